// One exchange and its bindings.

import { Refused, get, may, post, remove } from "./api.js";
import { confirm, confirmByName } from "./dialog.js";
import { address, button, el, fill, link, of } from "./dom.js";
import { settings } from "./exchanges.js";
import { askFor } from "./fields.js";
import { rate } from "./format.js";
import { PAGE_SIZE, ordering, pager, table } from "./table.js";

export function show(place) {
  const name = place.path[1];
  const about = el("p", { class: "verdict", role: "status" });
  const list = table({
    caption: "Bindings",
    place,
    empty: "No bindings: messages go nowhere, unless the exchange has an alternate exchange.",
    key: (one) => JSON.stringify(one),
    columns: [
      { title: "To", sort: "queueName", value: (one) => [one.queueName, one.destinationExchange], cell: destination, kind: "wide" },
      { title: "Routing key", sort: "routingKey", kind: "wide" },
      { title: "Arguments", value: (one) => (Object.keys(one.arguments).length ? JSON.stringify(one.arguments) : "–"), kind: "wide" },
      { title: "Actions", value: () => "", cell: (one) => (may("operator") ? button(of("Unbind", one.queueName || one.destinationExchange), () => unbind(one), { class: "quiet" }) : ""), kind: "actions" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const [{ data: found }, { data, total }] = await Promise.all([
      get("getExchanges", { name, pageSize: 500, includeInternal: true }, signal),
      get("getBindings", { exchange: name, ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal),
    ]);
    const one = found.find(({ exchange }) => exchange === name);
    if (!one) throw new Refused(404, { detail: `There is no exchange '${name}'.` });
    fill(about, `${one.type}; ${rate(one.publishInRate)} messages/s in, ${rate(one.publishOutRate)} out. Settings: ${settings(one)}`);
    list.show(data);
    pages.show(total);
  }

  const tools = el("div", { class: "tools" },
    may("publisher") && el("a", { href: address(["publish"], { exchange: name }), role: "button" }, "Publish"),
    ...may("operator") ? [button("Bind", () => bind(name), { class: "quiet" }), button("Delete", () => askToDelete(name), { class: "quiet" })] : []);
  const heading = el("h1", {}, "Exchange ", el("span", { class: "name" }, name));
  return { title: name, content: [heading, about, tools, el("h2", {}, "Bindings"), ...list.content, pages.node], refresh };
}

function destination({ queueName, destinationExchange }) {
  return queueName ? link(queueName, ["queue", queueName]) : ["exchange ", link(destinationExchange, ["exchange", destinationExchange])];
}

function bind(exchange) {
  return askFor("bindQueue", {
    title: `Bind to ${exchange}`,
    omit: ["exchange"],
    own: { queueName: { hint: "or give a destination exchange" } },
    submit: "Bind",
    async run(values) {
      await post("bindQueue", { exchange, ...values });
      return `Bound ${values.queueName || values.destinationExchange} to ${exchange}.`;
    },
  });
}

function unbind(binding) {
  const to = binding.queueName || binding.destinationExchange;
  confirm({
    title: `Unbind ${to}?`,
    text: `${to} gets no more messages from ${binding.exchange} by the routing key “${binding.routingKey}”. Messages that it has stay.`,
    verb: "Unbind",
    run: () => post("unbindQueue", binding),
    said: `Unbound ${to}.`,
  });
}

function askToDelete(name) {
  confirmByName({
    title: `Delete the exchange ${name}?`,
    text: "Its bindings are deleted too. The queues and their messages stay. Publishing to the exchange fails from then on.",
    name,
    verb: "Delete exchange",
    fields: [{ name: "ifUnused", label: "Only if it has no bindings", kind: "check", value: false }],
    async run({ ifUnused }) {
      await remove("deleteExchange", { exchange: name, ifUnused });
      location.hash = "#/exchanges";
      return `Deleted the exchange ${name}.`;
    },
  });
}
