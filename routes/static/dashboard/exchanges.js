// All exchanges, including RabbitMQ's own.

import { get, may, post } from "./api.js";
import { button, el, link } from "./dom.js";
import { askFor } from "./fields.js";
import { rate } from "./format.js";
import { PAGE_SIZE, ordering, pager, search, table } from "./table.js";

export function show(place) {
  const list = table({
    caption: "Exchanges",
    place,
    empty: "No exchanges match.",
    key: (one) => one.exchange,
    columns: [
      { title: "Exchange", sort: "exchange", value: (one) => one.exchange, cell: (one) => (one.exchange ? link(one.exchange, ["exchange", one.exchange]) : "(default)"), kind: "wide" },
      { title: "Type", sort: "type", value: (one) => one.type },
      { title: "In/s", sort: "publishInRate", value: (one) => one.publishInRate, cell: (one) => rate(one.publishInRate), kind: "number" },
      { title: "Out/s", sort: "publishOutRate", value: (one) => one.publishOutRate, cell: (one) => rate(one.publishOutRate), kind: "number" },
      { title: "Settings", value: settings, kind: "wide" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const { data, total } = await get("getExchanges", { name: place.query.get("name"), ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const tools = el("div", { class: "tools" }, search(place, "Search"), may("operator") && button("Create exchange", createExchange));
  return { title: "Exchanges", content: [el("h1", {}, "Exchanges"), tools, ...list.content, pages.node], refresh };
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
    async run(values) {
      await post("createExchange", values);
      return `Created the exchange ${values.exchange}.`;
    },
  });
}
