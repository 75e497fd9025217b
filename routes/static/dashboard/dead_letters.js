// The dead-letter queues, sorted by number of messages.

import { get } from "./api.js";
import { el, link } from "./dom.js";
import { bytes, count, rate } from "./format.js";
import { PAGE_SIZE, pager, table } from "./table.js";

const CALLED = "(\\.dlq|^workerrmq\\.orphan(s|ed))$";

export function show(place) {
  const list = table({
    caption: "Dead-letter queues",
    empty: "No dead-letter queues, so there are no dead letters.",
    key: (one) => one.queueName,
    columns: [
      { title: "Queue", value: (one) => one.queueName, cell: (one) => link(one.queueName, ["dead-letter-queue", one.queueName]), kind: "wide" },
      { title: "Dead letters", value: (one) => one.messages, cell: (one) => count(one.messages), kind: "number" },
      { title: "New/s", value: (one) => rate(one.publishRate), kind: "number" },
      { title: "Size", value: (one) => bytes(one.messageBytes), kind: "number" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const query = { name: CALLED, useRegex: "true", sort: "messages", descending: "true" };
    const { data, total } = await get("getQueues", { ...query, includeInternal: true, page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const about = el("p", {}, "Messages that their targets rejected or that have used up their attempts. Check the reason, fix the cause, then replay them.");
  return { title: "Dead letters", content: [el("h1", {}, "Dead letters"), about, ...list.content, pages.node], refresh };
}
