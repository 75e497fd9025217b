// Replays, moves and deletes dead letters. A dialog says first how many, where they go and whether they would fail again.

import { Refused, get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el, fill } from "./dom.js";
import { isJson, moment, names } from "./fields.js";
import { count, plural } from "./format.js";
import { complain, tell } from "./notice.js";

const EVERY = 400; // milliseconds

const ACTIONS = {
  replay: {
    path: "replayDeadLetters", verb: "Replay", done: "replayed",
    does: (told) => `${told.destinations.map((one) => `${count(one.messages)} to ${one.queueName}`).join(", ") || "none"}, each as it was published first and with all its attempts.`,
  },
  move: { path: "moveDeadLetters", verb: "Move", done: "moved", does: () => "The dead letters keep their reasons. You can replay them from the other queue." },
  delete: { path: "deleteDeadLetters", verb: "Delete", done: "deleted", danger: true, does: () => "You cannot undo this. Export the dead letters first if you may need them." },
};

// `filter` selects the dead letters, `which` names them in the title, and `queueName` is the queue of those that do not name theirs.
export function askTo(action, { deadLetterQueue, queueName, filter, which, done }) {
  const { path, verb, danger, does } = ACTIONS[action];
  const plan = el("p", { class: "plan", role: "status" }, "Counting …");
  const warnings = el("div", { class: "warnings", role: "alert" });
  const progress = el("div", { class: "progress", role: "status" });
  const { dialog, asked } = ask({
    title: `${verb} ${which}`, about: [plan, warnings], fields: FIELDS[action](queueName, deadLetterQueue), submit: verb, danger,
    async run(values) {
      const { data } = await post(path, request(values));
      const ended = await follow(data, progress);
      done();
      return ended;
    },
  });
  asked.node.before(progress);

  function request({ toQueue, perSecond, since, until, queueName: given = queueName }) {
    return { queueName: given, deadLetterQueue, toQueue, perSecond, filter: { ...filter, since, until } };
  }

  // A dry run of a replay also finds the destinations and warnings; the count is the same for all actions.
  async function recount() {
    try {
      const counted = action === "replay" ? path : ACTIONS.delete.path;
      const { data: told } = await post(counted, { ...request({ ...read("since"), ...read("until"), toQueue: undefined }), dryRun: true });
      const of = told.examined < told.total ? ` among the first ${count(told.examined)} of ${count(told.total)}` : "";
      fill(plan, el("strong", {}, `${plural(told.matched, "dead letter")}${of}.`), ` ${does(told)}`, skipped(told));
      fill(warnings, ...told.warnings.map((text) => el("p", {}, `▲ ${text}`)));
    } catch (error) {
      if (dialog.isConnected) fill(plan, error.message);
    }
  }

  function read(name) {
    const field = asked.value(name);
    return field?.control.value ? { [name]: field.read() } : {};
  }

  for (const name of ["since", "until"]) asked.value(name)?.control.addEventListener("change", recount);
  return recount();
}

const TIMES = [
  { name: "since", label: "Failed since", kind: "datetime-local", read: moment },
  { name: "until", label: "Failed before", kind: "datetime-local", read: moment },
];
const FIELDS = {
  replay: (queueName) => [
    { name: "queueName", label: "Queue", required: true, value: queueName, hint: "for messages that do not name their queue" },
    ...TIMES,
    { name: "perSecond", label: "Rate limit", hint: "messages per second; empty: no limit", kind: "number" },
  ],
  move: () => [{ name: "toQueue", label: "To the queue", required: true, suggest: (name) => names("getQueues", "queueName", name) }, ...TIMES],
  delete: (_, deadLetterQueue) => [...TIMES, { name: "typed", label: `Type ${deadLetterQueue} to confirm`, required: true, read(text) {
    if (text !== deadLetterQueue) throw new Error("is not the name of the queue");
  } }],
};

// Publishes one dead letter with another body. It is removed after the broker has confirmed the new message.
export function editAndResend(message, { deadLetterQueue, queueName, done }) {
  const json = isJson(message.message);
  ask({
    title: `Edit and resend ${message.properties.messageId}`,
    about: [el("p", {}, `The edited message goes to ${queueName}, with the same headers and with all its attempts. After RabbitMQ has confirmed it, this dead letter is removed.`)],
    fields: [{ name: "replacement", label: "Body", kind: "area", rows: 12, value: message.message, read(text) {
      if (json && !isJson(text)) throw new Error("must be JSON, because the original body is JSON");
      return text;
    } }],
    submit: "Resend",
    async run({ replacement }) {
      const one = { messageIds: [message.properties.messageId] };
      const { data } = await post("replayDeadLetters", { queueName, deadLetterQueue, filter: one, limit: 1, replacement });
      await follow(data, el("div"));
      done();
    },
  });
}

async function follow(begun, place) {
  const bar = el("progress", { "aria-label": "Progress", max: 1, value: 0 });
  const text = el("span", {}, "Starting …");
  fill(place, bar, text);
  let replay = begun;
  while (replay.state === "running") {
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
    try {
      replay = (await get("getReplay", { replayId: begun.replayId })).data;
    } catch (error) {
      if (!(error instanceof Refused) || (error.status >= 400 && error.status < 500 && error.status !== 429)) throw error;
      text.textContent = `${error.message} The service continues.`;
      continue;
    }
    bar.max = Math.max(1, replay.total);
    bar.value = replay.examined;
    text.textContent = `${count(replay.replayed)} done; ${count(replay.examined)} of ${count(replay.total)} examined.`;
  }
  const said = result(replay);
  if (replay.state === "finished") tell(said);
  else complain(new Error(said));
}

function result(replay) {
  const failed = replay.failed ? ` ${count(replay.failed)} failed, and stay.` : "";
  const why = replay.reason ? ` ${replay.reason}` : "";
  const state = replay.state === "finished" ? "" : ` The action is ${replay.state}.`;
  return `${plural(replay.replayed, "dead letter")} ${ACTIONS[replay.action].done}.${failed}${skipped(replay)}${state}${why}`;
}

function skipped(replay) {
  return replay.skipped ? ` ${count(replay.skipped)} came from queues that you may not access, and stay.` : "";
}
