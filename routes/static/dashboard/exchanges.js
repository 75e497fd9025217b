// All exchanges, including RabbitMQ's own.

import { may } from "./api.js";
import { button, link } from "./dom.js";
import { askFor } from "./fields.js";
import { rate } from "./format.js";
import { filters, listView } from "./list.js";
import { search } from "./table.js";

export function show(place) {
  return listView(place, {
    title: "Exchanges",
    path: "getExchanges",
    query: () => filters(place, ["name"]),
    tools: [search(place, "Search"), may("operator") && button("Create exchange", createExchange)],
    empty: "No exchanges match.",
    key: (one) => one.exchange,
    columns: [
      { title: "Exchange", sort: "exchange", cell: (one) => (one.exchange ? link(one.exchange, ["exchange", one.exchange]) : "(default)"), kind: "wide" },
      { title: "Type", sort: "type" },
      { title: "In/s", sort: "publishInRate", format: rate, kind: "number" },
      { title: "Out/s", sort: "publishOutRate", format: rate, kind: "number" },
      { title: "Settings", value: settings, kind: "wide" },
    ],
  });
}

export function settings(one) {
  const words = [!one.durable && "not durable", one.autoDelete && "auto-delete", one.internal && "internal"].filter(Boolean);
  return [...words, ...Object.entries(one.arguments).map(([name, value]) => `${name}: ${value}`)].join(", ") || "–";
}

function createExchange() {
  return askFor("createExchange", {
    title: "Create an exchange",
    first: ["exchange", "type", "durable"],
    own: { exchange: { label: "Name", suggest: null } },
    submit: "Create exchange",
    said: (values) => `Created the exchange ${values.exchange}.`,
  });
}
