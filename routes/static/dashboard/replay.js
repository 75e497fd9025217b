// The replay of dead letters: all, the selected ones, or those that match a filter; with its progress.

import { Refused, get, may, post } from "./api.js";
import { el, fill } from "./dom.js";
import { form } from "./form.js";
import { count, plural } from "./format.js";
import { complain, tell } from "./notice.js";

const EVERY = 400; // milliseconds

export function replayForm(deadLetterQueue, { done }) {
  if (!may("operator")) return { choose() {} };
  let ids = [];
  const progress = el("div", { class: "progress", role: "status" });
  const asked = form({
    fields: [
      { name: "queueName", label: "Queue", required: true, value: deadLetterQueue.replace(/\.dlq$/, ""), hint: "for messages that do not name their queue" },
      { name: "which", label: "Messages", kind: "select", options: [["all", "all"], ["chosen", "selected below (none yet)"], ["filtered", "matching a filter"]] },
      { name: "status", label: "HTTP status", read: numbers, hint: "any of these, such as 500, 503" },
      { name: "error", label: "Error", read: words, hint: "any of these: timeout, connect, dns, tls …" },
      { name: "since", label: "Failed since", kind: "datetime-local", read: moment },
      { name: "until", label: "Failed before", kind: "datetime-local", read: moment },
      { name: "perSecond", label: "Rate limit", hint: "messages per second", kind: "number" },
      { name: "dryRun", label: "Only count them", kind: "check" },
    ],
    submit: "Replay",
    async run(values) {
      const { data } = await post("replayDeadLetters", request(deadLetterQueue, values, ids));
      await follow(data, progress);
      done();
    },
  });
  const which = asked.value("which").control;
  const filters = ["status", "error", "since", "until"].map((name) => asked.value(name).node);
  const chosenOption = which.querySelector("[value=chosen]");
  const update = () => filters.forEach((node) => { node.hidden = which.value !== "filtered"; });
  which.addEventListener("change", update);
  update();

  function choose(chosen) {
    const before = ids.length;
    ids = [...chosen];
    chosenOption.textContent = `selected below (${ids.length || "none yet"})`;
    if (ids.length && !before && which.value === "all") which.value = "chosen";
    if (!ids.length && which.value === "chosen") which.value = "all";
    update();
  }

  const node = el("section", { class: "replay", "aria-labelledby": "replay" }, el("h2", { id: "replay" }, "Replay"), asked.node, progress);
  return { node, choose };
}

function request(deadLetterQueue, { queueName, which, perSecond, dryRun, ...filter }, ids) {
  if (which === "chosen" && !ids.length) throw new Refused(0, { detail: "Select messages below first." });
  if (which === "filtered" && !Object.values(filter).some((given) => given?.length)) {
    throw new Refused(0, { detail: "The filter is empty. Fill in a status, an error or a time, or choose all." });
  }
  const wanted = { all: {}, chosen: { messageIds: ids }, filtered: filter }[which];
  return { queueName, deadLetterQueue, filter: wanted, perSecond, dryRun };
}

async function follow(begun, place) {
  const bar = el("progress", { "aria-label": "Replay", max: 1, value: 0 });
  const text = el("span", {}, "Starting …");
  fill(place, bar, text);
  let replay = begun;
  while (replay.state === "running") {
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
    try {
      replay = (await get("getReplay", { replayId: begun.replayId })).data;
    } catch (error) {
      if (!(error instanceof Refused) || (error.status >= 400 && error.status < 500 && error.status !== 429)) throw error;
      text.textContent = `${error.message} The replay continues in the service.`;
      continue;
    }
    bar.max = Math.max(1, replay.total);
    bar.value = replay.examined;
    text.textContent = `${count(replay.replayed)} replayed; ${count(replay.examined)} of ${count(replay.total)} examined.`;
  }
  const said = result(replay);
  fill(place, el("span", {}, said));
  if (replay.state === "finished") tell(said);
  else complain(new Error(said));
}

function result(replay) {
  if (replay.dryRun) return `${plural(replay.matched, "dead letter")} of ${count(replay.total)} would be replayed.`;
  const skipped = replay.skipped ? ` ${count(replay.skipped)} came from queues that you may not access, and stay.` : "";
  const failed = replay.failed ? ` ${count(replay.failed)} could not be published, and stay.` : "";
  const why = replay.reason ? ` ${replay.reason}` : "";
  const state = replay.state === "finished" ? "" : ` The replay is ${replay.state}.`;
  return `${plural(replay.replayed, "dead letter")} replayed.${failed}${skipped}${state}${why}`;
}

const words = (given) => given.split(/[\s,]+/).filter(Boolean);

function numbers(given) {
  const found = words(given).map(Number);
  if (found.some(Number.isNaN)) throw new Error("must be numbers, such as 500, 503");
  return found;
}

function moment(given) {
  return given ? new Date(given).toISOString() : undefined;
}
