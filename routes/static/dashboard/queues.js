// All queues, with counts and rates.

import { get, may, post } from "./api.js";
import { remember, sparkline } from "./charts.js";
import { ask } from "./dialog.js";
import { button, el, link } from "./dom.js";
import { bytes, count, rate } from "./format.js";
import { PAGE_SIZE, ordering, pager, search, table } from "./table.js";

const FIELDS = "queueName,type,ready,unacked,messageBytes,consumers,publishRate,deliverRate,ackRate";
export function show(place) {
  const list = table({
    caption: "Queues",
    place,
    empty: "No queues match.",
    key: (queue) => queue.queueName,
    columns: [
      { title: "Queue", sort: "queueName", value: (one) => one.queueName, cell: (one) => link(one.queueName, ["queue", one.queueName]), kind: "wide" },
      { title: "Ready", sort: "ready", value: (one) => one.ready, cell: (one) => count(one.ready), kind: "number" },
      { title: "Unacked", sort: "unacked", value: (one) => one.unacked, cell: (one) => count(one.unacked), kind: "number" },
      { title: "In/s", sort: "publishRate", value: (one) => one.publishRate, cell: (one) => rate(one.publishRate), kind: "number line-1" },
      { title: "Out/s", sort: "deliverRate", value: (one) => one.deliverRate, cell: (one) => rate(one.deliverRate), kind: "number line-2" },
      { title: "Acked/s", sort: "ackRate", value: (one) => one.ackRate, cell: (one) => rate(one.ackRate), kind: "number line-3" },
      { title: "Trend", value: (one) => one.past.times.at(-1), cell: (one) => sparkline(one.past), kind: "lines" },
      { title: "Consumers", sort: "consumers", value: (one) => one.consumers, cell: (one) => count(one.consumers), kind: "number" },
      { title: "Size", sort: "messageBytes", value: (one) => one.messageBytes, cell: (one) => bytes(one.messageBytes), kind: "number" },
      { title: "Type", value: (one) => one.type },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const query = { name: place.query.get("name") || "", ...ordering(place), fields: FIELDS };
    const { data, total } = await get("getQueues", { ...query, page: pages.page(), pageSize: PAGE_SIZE }, signal);
    const rows = data.map((one) => ({
      ...one,
      past: remember(`queue ${one.queueName}`, [one.publishRate, one.deliverRate, one.ackRate]),
    }));
    list.show(rows);
    pages.show(total);
  }

  const create = may("operator") && button("Create queue", () => createQueue());
  const tools = el("div", { class: "tools" }, search(place, "Search"), create);
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
