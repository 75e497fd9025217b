// One dead-letter queue: its messages grouped by consumer, reason and answer, and actions on a group or on single messages.

import { download, get, may } from "./api.js";
import { button, el, fill, link, of } from "./dom.js";
import { count, messageId, plural, rate, since, time } from "./format.js";
import { refreshNow } from "./live.js";
import { lookAt, peek } from "./messages.js";
import { askToPurge } from "./queue.js";
import { askTo, editAndResend } from "./replay.js";
import { table } from "./table.js";

const STEP = 50;
const MOST = 500; // the API's limit

export function show(place) {
  const name = place.path[1];
  const heading = el("h1", {}, "Dead letters in ", el("span", { class: "name" }, name));
  const total = el("p", { class: "verdict", role: "status" }, "Loading …");
  if (!may("operator")) {
    const refresh = async (signal) => fill(total, sum((await get("getQueue", { queueName: name }, signal)).data.messages, name));
    return { title: name, content: [heading, total, el("p", {}, "Viewing and replaying messages requires the role operator.")], refresh };
  }

  let wanted = STEP;
  let looked = null; // the number of messages and the group at the last look
  let groups = [];
  const queueOf = (group) => group?.queueName || name.replace(/\.dlq$/, "");
  const sources = () => [...new Set(groups.map((one) => one.queueName))];
  const act = (action, which, filter, group) => askTo(action, {
    deadLetterQueue: name, which, filter, done: again,
    queueName: group ? queueOf(group) : sources().length === 1 ? queueOf(groups[0]) : queueOf(),
  });
  const grouped = groupTable(act, (group) => place.set({ group }), (group) => save(name, group));
  const list = letters(showChoice, (message) => editAndResend(message, { deadLetterQueue: name, queueName: header(message, "queue") || queueOf(groups[0]), done: again }));
  const part = el("p", { class: "note" });
  const which = el("h2", {});
  const selected = button("Replay selected", () => act("replay", plural(list.chosen.size, "selected message"), { messageIds: chosenIds() }));
  const everything = button("Show all groups", () => place.set({ group: null }), { class: "quiet" });
  const more = button("Show more", () => { wanted = Math.min(wanted + 100, MOST); again(); }, { class: "quiet" });

  // A look marks messages as redelivered, so the view looks only when the number of messages or the group has changed.
  async function refresh(signal) {
    const { data: queue } = await get("getQueue", { queueName: name }, signal);
    fill(total, sum(queue.messages, name));
    const now = `${queue.messages} ${place.query.get("group") || ""}`;
    if (looked !== now) await look(now, signal);
  }

  async function look(now, signal) {
    const group = place.query.get("group");
    const { data: seen } = await get("getDeadLetters", { deadLetterQueue: name }, signal);
    const found = await peek(name, wanted, signal, group ? { group: [group] } : {});
    looked = now;
    groups = seen.groups;
    fill(total, sum(seen.messages, name));
    fill(part, seen.examined < seen.messages ? `Grouped: the first ${count(seen.examined)} of ${count(seen.messages)}. An action on a group examines all of them.` : "");
    grouped.show(groups);
    list.show(found.map((message, at) => ({ message, at })));
    fill(which, group ? `Messages: ${label(groups.find((one) => one.group === group))}` : "Messages");
    everything.hidden = !group;
    more.hidden = found.length < wanted || wanted >= MOST;
  }

  const chosenIds = () => [...list.chosen].map((key) => JSON.parse(key)[0]);

  function showChoice() {
    selected.disabled = !list.chosen.size;
    selected.textContent = list.chosen.size ? `Replay ${list.chosen.size} selected` : "Replay selected";
  }

  function again() {
    looked = null;
    return refreshNow();
  }

  const all = el("div", { class: "tools" },
    button("Replay all", () => act("replay", "all messages", {})), button("Move all", () => act("move", "all messages", {}), { class: "quiet" }),
    button("Export all", () => save(name), { class: "quiet" }), button("Purge", () => askToPurge(name), { class: "quiet" }));
  const tools = el("div", { class: "tools" }, selected, button("Select all shown", () => list.chooseAll(), { class: "quiet" }), everything, button("Reload", again, { class: "quiet" }));
  return { title: name, content: [heading, total, all, el("h2", {}, "Causes"), part, ...grouped.content, which, tools, ...list.content, more], refresh };
}

const sum = (messages, name) => `${plural(messages, "dead letter")} in ${name}.`;

function groupTable(act, choose, saved) {
  const actions = (one) => {
    const filter = { group: [one.group] };
    const which = `${plural(one.count, "message")}: ${label(one)}`;
    const quiet = { class: "quiet" };
    return el("div", { class: "buttons" },
      button(of("Replay", label(one)), () => act("replay", which, filter, one)), button(of("Messages", label(one)), () => choose(one.group), quiet),
      button(of("Move", label(one)), () => act("move", which, filter, one), quiet), button(of("Export", label(one)), () => saved(one.group), quiet),
      button(of("Delete", label(one)), () => act("delete", which, filter, one), quiet));
  };
  return table({
    caption: "Causes of the dead letters",
    empty: "The queue has no ready messages.",
    key: (one) => one.group,
    columns: [
      { title: "Cause", value: label, cell: cause, kind: "wide first" },
      { title: "Messages", value: (one) => [one.count, one.perSecond], cell: (one) => [count(one.count), el("small", {}, one.perSecond && rate(one.perSecond) !== "0" ? `+${rate(one.perSecond)}/s` : "")], kind: "number" },
      { title: "Since", field: "since", cell: (one) => (one.since ? [time(one.since), el("small", {}, since(one.since))] : "–") },
      { title: "Consumer", value: (one) => [one.consumer, one.queueName], cell: whose, kind: "wide" },
      { title: "Actions", value: (one) => [one.count, one.queueName], cell: actions, kind: "actions" },
    ],
  });
}

function label(group) {
  return group ? [group.reason, group.answer].filter(Boolean).join(" ") : "none";
}

function whose({ consumer, queueName }) {
  return [consumer ? link(consumer, ["consumer", consumer]) : "–", queueName && queueName !== consumer ? el("small", {}, "of ", link(queueName, ["queue", queueName])) : ""];
}

function cause(one) {
  return [el("strong", {}, label(one)), el("small", {}, one.outcome)];
}

function save(queue, group) {
  return download("exportDeadLetters", { deadLetterQueue: queue, group }, `${queue}${group ? `.${group}` : ""}.ndjson`);
}

function letters(changed, edit) {
  return table({
    caption: "Dead letters",
    empty: "No messages.",
    key: ({ message, at }) => JSON.stringify([message.properties.messageId, at]),
    choose: { name: ({ message }) => message.properties.messageId, changed },
    columns: [
      { title: "Message", value: ({ message }) => message.properties.messageId, cell: ({ message }) => messageId(message.properties.messageId) },
      { title: "Reason", value: ({ message }) => why(message), kind: "wide" },
      { title: "Attempts", value: ({ message }) => header(message, "attempts"), kind: "number" },
      { title: "Failed at", value: ({ message }) => header(message, "last-failed-at"), cell: ({ message }) => time(header(message, "last-failed-at")) },
      { title: "Body", value: ({ message }) => beginning(message), kind: "wide preview" },
      { title: "Actions", value: ({ message }) => message, cell: ({ message }) => actionsOf(message, edit), kind: "actions" },
    ],
  });
}

function actionsOf(message, edit) {
  const id = message.properties.messageId;
  const editable = id && message.bodyBase64 === null && !message.truncated;
  return el("div", { class: "buttons" }, button("View", () => lookAt(message), { class: "quiet" }),
    editable && button("Edit and resend", () => edit(message), { class: "quiet" }));
}

const header = (message, name) => message.properties.headers?.[`workerrmq-${name}`] ?? "";

function why(message) {
  const ours = [header(message, "outcome"), [header(message, "reason"), header(message, "answer")].filter(Boolean).join(" ")].filter(Boolean).join(": ");
  if (ours) return ours;
  const death = (message.properties.headers?.["x-death"] ?? header(message, "x-death"))[0];
  return death ? `${death.reason}, by the broker` : "published to this queue";
}

function beginning({ message, bodyBase64, bytes }) {
  if (bodyBase64 !== null) return `${count(bytes)} bytes, not text`;
  return message.length > 120 ? `${message.slice(0, 120)}…` : message;
}
