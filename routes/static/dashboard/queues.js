// All queues, with counts, rates and consumers.

import { may } from "./api.js";
import { button, el, link } from "./dom.js";
import { askFor } from "./fields.js";
import { badge, bytes, count, rate } from "./format.js";
import { filters, listView } from "./list.js";
import { option, search } from "./table.js";

const FIELDS = "queueName,type,state,ready,unacked,messageBytes,consumers,publishRate,deliverRate,ackRate,deliveredBy";

export function show(place) {
  return listView(place, {
    title: "Queues",
    path: "getQueues",
    query: () => ({ ...filters(place, ["name"]), includeDeadLetters: place.query.get("deadLetters") === "true", fields: FIELDS }),
    tools: [
      search(place, "Search"), option(place, "Show dead-letter queues", "deadLetters"),
      may("operator") && button("Create queue", () => createQueue()),
    ],
    empty: "No queues match.",
    key: (queue) => queue.queueName,
    columns: [
      { title: "Queue", sort: "queueName", cell: (one) => link(one.queueName, ["queue", one.queueName]), kind: "wide" },
      { title: "State", field: "state", format: badge },
      { title: "Consumer", sort: "consumers", falling: true, value: (one) => [one.deliveredBy, one.consumers], cell: consumers, kind: "wide" },
      { title: "Ready", sort: "ready", format: count, kind: "number" },
      { title: "Unacked", sort: "unacked", format: count, kind: "number" },
      { title: "In/s", sort: "publishRate", format: rate, kind: "number" },
      { title: "Out/s", sort: "deliverRate", format: rate, kind: "number" },
      { title: "Acked/s", sort: "ackRate", format: rate, kind: "number" },
      { title: "Size", sort: "messageBytes", format: bytes, kind: "number" },
      { title: "Type", field: "type" },
    ],
  });
}

// The service's own consumers, and those of other programs as a number.
function consumers({ deliveredBy, consumers: number }) {
  const own = (deliveredBy || []).map(({ name, state }) => el("div", {}, link(name, ["consumer", name]), " ", badge(state)));
  return own.length ? own : number ? `${count(number)} of other programs` : el("span", { class: "dim" }, "none");
}

export function createQueue(queueName) {
  return askFor("createQueue", {
    title: "Create a queue",
    first: ["queueName", "type", "durable", "messageTtl", "maxLength"],
    values: { queueName },
    own: { queueName: { label: "Name", suggest: null } },
    submit: "Create queue",
    said: (values) => `Created the queue ${values.queueName}.`,
  });
}
