// All queues, with counts and rates.

import { get, may, post } from "./api.js";
import { remember, sparkline } from "./charts.js";
import { ask } from "./dialog.js";
import { button, el, link } from "./dom.js";
import { bytes, count, rate } from "./format.js";
import { PAGE_SIZE, choice, pager, search, table } from "./table.js";

const FIELDS = "queueName,type,ready,unacked,messageBytes,consumers,publishRate,deliverRate,ackRate";
const ORDERS = [
  ["", "by name"], ["ready", "most ready"], ["unacked", "most unacked"], ["messageBytes", "most bytes"],
  ["publishRate", "highest in/s"], ["deliverRate", "highest out/s"], ["ackRate", "highest acked/s"],
];

export function show(place) {
  const list = table({
    caption: "Queues",
    empty: "No queues match.",
    key: (queue) => queue.queueName,
    columns: [
      { title: "Queue", value: (one) => one.queueName, cell: (one) => link(one.queueName, ["queue", one.queueName]), kind: "wide" },
      { title: "Ready", value: (one) => one.ready, cell: (one) => count(one.ready), kind: "number" },
      { title: "Unacked", value: (one) => one.unacked, cell: (one) => count(one.unacked), kind: "number" },
      { title: "In/s", value: (one) => one.publishRate, cell: (one) => rate(one.publishRate), kind: "number line-1" },
      { title: "Out/s", value: (one) => one.deliverRate, cell: (one) => rate(one.deliverRate), kind: "number line-2" },
      { title: "Acked/s", value: (one) => one.ackRate, cell: (one) => rate(one.ackRate), kind: "number line-3" },
      { title: "Trend", value: (one) => one.past.times.at(-1), cell: (one) => sparkline(one.past), kind: "lines" },
      { title: "Consumers", value: (one) => one.consumers, cell: (one) => count(one.consumers), kind: "number" },
      { title: "Size", value: (one) => one.messageBytes, cell: (one) => bytes(one.messageBytes), kind: "number" },
      { title: "Type", value: (one) => one.type },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const sort = place.query.get("sort");
    const query = { name: place.query.get("name") || "", sort, descending: sort ? "true" : "", fields: FIELDS };
    const { data, total } = await get("getQueues", { ...query, page: pages.page(), pageSize: PAGE_SIZE }, signal);
    const rows = data.map((one) => ({
      ...one,
      past: remember(`queue ${one.queueName}`, [one.publishRate, one.deliverRate, one.ackRate]),
    }));
    list.show(rows);
    pages.show(total);
  }

  const create = may("operator") && button("Create queue", () => createQueue());
  const tools = el("div", { class: "tools" }, search(place, "Search"), choice(place, "Sort", "sort", ORDERS), create);
  return { title: "Queues", content: [el("h1", {}, "Queues"), tools, ...list.content, pages.node], refresh };
}

export function createQueue(name) {
  ask({
    title: "Create a queue",
    fields: [
      { name: "queueName", label: "Name", required: true, value: name },
      { name: "type", label: "Type", kind: "select", options: [["classic", "classic"], ["quorum", "quorum"]] },
      { name: "durable", label: "Durable: survives a restart of the broker", kind: "check", value: true },
      { name: "messageTtl", label: "Message TTL", kind: "number", hint: "milliseconds; empty: never" },
      { name: "maxLength", label: "Maximum length", kind: "number", hint: "messages; empty: no limit" },
    ],
    submit: "Create queue",
    async run(values) {
      await post("createQueue", values);
      return `Created the queue ${values.queueName}.`;
    },
  });
}
