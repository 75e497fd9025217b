// One dead-letter queue: its messages with their reasons, and their replay.

import { get, may } from "./api.js";
import { button, el, fill } from "./dom.js";
import { count, plural, time } from "./format.js";
import { refreshNow } from "./live.js";
import { lookAt, peek } from "./messages.js";
import { askToPurge } from "./queue.js";
import { replayForm } from "./replay.js";
import { table } from "./table.js";

const STEP = 50;
const MOST = 500; // the API's limit

export function show(place) {
  const name = place.path[1];
  const chosen = new Set();
  let wanted = STEP;
  let looked = null; // the number of messages at the last peek
  const total = el("p", { class: "verdict", role: "status" }, "Loading …");
  const list = may("operator") ? letters(chosen, () => replay.choose(chosen)) : null;
  const more = button("Show more", () => { wanted = Math.min(wanted + 100, MOST); again(); }, { class: "quiet" });
  const replay = replayForm(name, { done: again });

  // A peek marks messages as redelivered, so the view peeks only when the number of messages has changed.
  async function refresh(signal) {
    const { data: queue } = await get("getQueue", { queueName: name }, signal);
    fill(total, `${plural(queue.messages, "dead letter")} in ${name}.`);
    if (list && looked !== queue.messages) await look(queue.messages, signal);
  }

  async function look(messages, signal) {
    const found = await peek(name, wanted, signal);
    looked = messages;
    const ids = new Set(found.map((one) => one.properties.messageId));
    for (const id of chosen) if (!ids.has(id)) chosen.delete(id);
    list.show(found.map((message, at) => ({ message, at })));
    replay.choose(chosen);
    more.hidden = found.length < wanted || wanted >= MOST;
  }

  function chooseAll() {
    document.querySelectorAll("main .pick input:not(:checked)").forEach((box) => box.click());
  }

  function again() {
    looked = null;
    return refreshNow();
  }

  const heading = el("h1", {}, "Dead letters in ", el("span", { class: "name" }, name));
  const rest = list
    ? [replay.node, el("h2", {}, "Messages"), el("div", { class: "tools" }, button("Select all shown", chooseAll, { class: "quiet" }), button("Reload", again, { class: "quiet" }),
        button("Purge", () => askToPurge(name), { class: "quiet" })), ...list.content, more]
    : [el("p", {}, "Viewing and replaying messages requires the role operator.")];
  return { title: name, content: [heading, total, ...rest], refresh };
}

function letters(chosen, changed) {
  return table({
    caption: "Dead letters",
    empty: "The queue has no ready messages.",
    key: ({ message, at }) => `${message.properties.messageId} ${at}`,
    columns: [
      { title: "Message", value: ({ message }) => message.properties.messageId, cell: ({ message }) => pick(message, chosen, changed), kind: "wide" },
      { title: "Reason", value: ({ message }) => why(message), kind: "wide" },
      { title: "Attempts", value: ({ message }) => header(message, "attempts"), kind: "number" },
      { title: "Queue", value: ({ message }) => header(message, "queue"), kind: "wide" },
      { title: "Failed at", value: ({ message }) => header(message, "last-failed-at"), cell: ({ message }) => time(header(message, "last-failed-at")) },
      { title: "Body", value: ({ message }) => beginning(message), kind: "wide preview" },
      { title: "Actions", value: ({ message }) => message, cell: ({ message }) => button("View", () => lookAt(message), { class: "quiet" }), kind: "actions" },
    ],
  });
}

function pick(message, chosen, changed) {
  const id = message.properties.messageId;
  if (!id) return "without an id";
  const box = el("input", { type: "checkbox", checked: chosen.has(id) });
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(id);
    else chosen.delete(id);
    changed();
  });
  return el("label", { class: "pick" }, box, id);
}

const header = (message, name) => message.properties.headers?.[`workerrmq-${name}`] ?? "";

function why(message) {
  const ours = [header(message, "outcome"), header(message, "reason")].filter(Boolean).join(": ");
  if (ours) return ours;
  const death = message.properties.headers?.["x-death"]?.[0];
  return death ? `${death.reason}, by the broker` : "published to this queue";
}

function beginning({ message, bodyBase64, bytes }) {
  if (bodyBase64 !== null) return `${count(bytes)} bytes, not text`;
  return message.length > 120 ? `${message.slice(0, 120)}…` : message;
}
