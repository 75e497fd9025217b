// One queue: counts and rates, consumers, settings and actions.

import { get, may, post, remove } from "./api.js";
import { createConsumer } from "./consumer_form.js";
import { confirmByName } from "./dialog.js";
import { address, button, el, fill, fillOn, link, terms } from "./dom.js";
import { ago, badge, bytes, count, percent, rate, reasonOf, stateOf } from "./format.js";
import { history } from "./history.js";
import { lookInto } from "./messages.js";
import { table } from "./table.js";

export function show(place) {
  const name = place.path[1];
  const totals = el("dl", { class: "figures" });
  const past = history({ queueName: name }, [
    { label: "Messages per second", lines: { publishRate: "in", deliverRate: "out", ackRate: "acked" } },
    { label: "Messages", format: count, lines: { ready: "ready", unacked: "unacked" } },
  ]);
  const facts = el("dl", { class: "facts" });
  const consumers = table({
    caption: "Consumers of this queue",
    empty: "This service has no consumer for the queue.",
    key: (one) => one.consumerId,
    columns: [
      { title: "Consumer", field: "name", cell: (one) => link(one.name, ["consumer", one.name]) },
      { title: "State", value: stateOf, cell: (one) => badge(stateOf(one)) },
      { title: "Target", field: "url", kind: "wide" },
      { title: "Success", value: (one) => percent(one.successRate), kind: "number" },
      { title: "Reason", value: reasonOf, kind: "wide" },
    ],
  });

  async function refresh(signal) {
    const [{ data: queue }, { data: found }] = await Promise.all([
      get("getQueue", { queueName: name }, signal),
      get("getConsumers", { queueName: name, pageSize: 500 }, signal),
      past.refresh(signal),
    ]);
    fill(totals, ...figures(queue));
    consumers.show(found);
    fillOn(facts, [queue.arguments, queue.policy, queue.type, queue.durable], () => about(queue));
  }

  const heading = el("h1", {}, "Queue ", el("span", { class: "name" }, name));
  const whose = el("h2", {}, "Consumers");
  const what = el("h2", {}, "Settings");
  return {
    title: name,
    content: [heading, el("div", { class: "tools" }, ...actions(name)), totals, ...past.content, whose, ...consumers.content, what, facts],
    refresh,
  };
}

function actions(name) {
  const links = [
    may("publisher") && el("a", { href: address(["publish"], { queue: name }), role: "button" }, "Publish"),
    el("a", { href: address(["attempts"], { queueName: name }), role: "button", class: "quiet" }, "Attempts"),
  ];
  if (!may("operator")) return links;
  return [
    ...links,
    el("a", { href: address(["dead-letter-queue", name]), role: "button", class: "quiet" }, "View as dead letters"),
    button("View messages", () => lookInto(name), { class: "quiet" }),
    button("Create consumer", () => createConsumer(name), { class: "quiet" }),
    button("Purge", () => askToPurge(name), { class: "quiet" }),
    button("Delete", () => askToDelete(name), { class: "quiet" }),
  ];
}

function figures(queue) {
  return terms([
    ["ready", count(queue.ready)], ["unacked", count(queue.unacked)], ["size", bytes(queue.messageBytes)],
    ["oldest message", ago(queue.oldestMessageAt)],
    ["consumers", count(queue.consumers)], ["in/s", rate(queue.publishRate)], ["out/s", rate(queue.deliverRate)],
    ["acked/s", rate(queue.ackRate)],
  ]);
}

function about(queue) {
  const known = { type: queue.type, durable: queue.durable ? "yes" : "no", policy: queue.policy || "none", ...queue.arguments };
  return terms(Object.entries(known).map(([term, value]) => [term, String(value)]));
}

export function askToPurge(name) {
  confirmByName({
    title: `Purge ${name}?`,
    text: "All ready messages are deleted permanently. Unacked messages stay.",
    name,
    verb: "Purge queue",
    run: () => post("purgeQueue", { queueName: name }),
    said: `Purged ${name}.`,
  });
}

function askToDelete(name) {
  confirmByName({
    title: `Delete ${name}?`,
    text: "The queue and all its messages are deleted permanently. Its consumers wait until it is created again.",
    name,
    verb: "Delete queue",
    fields: [{ name: "ifEmpty", label: "Only if it is empty", kind: "check", value: false }],
    async run({ ifEmpty }) {
      await remove("deleteQueue", { queueName: name, ifEmpty });
      location.hash = "#/queues";
      return `Deleted ${name}.`;
    },
  });
}
