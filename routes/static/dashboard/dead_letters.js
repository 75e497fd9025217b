// The dead-letter queues, sorted by number of messages.

import { link } from "./dom.js";
import { bytes, count, rate } from "./format.js";
import { listView } from "./list.js";

const CALLED = "(\\.dlq|^workerrmq\\.orphan(s|ed))$";

export function show(place) {
  return listView(place, {
    title: "Dead letters",
    caption: "Dead-letter queues",
    path: "getQueues",
    query: () => ({ name: CALLED, useRegex: "true", sort: "messages", descending: "true", includeInternal: true }),
    about: "Messages that their targets rejected or that have used up their attempts. Check the reason, fix the cause, then replay them.",
    empty: "No dead-letter queues, so there are no dead letters.",
    key: (one) => one.queueName,
    columns: [
      { title: "Queue", field: "queueName", cell: (one) => link(one.queueName, ["dead-letter-queue", one.queueName]), kind: "wide" },
      { title: "Dead letters", field: "messages", format: count, kind: "number" },
      { title: "New/s", value: (one) => rate(one.publishRate), kind: "number" },
      { title: "Size", value: (one) => bytes(one.messageBytes), kind: "number" },
    ],
  });
}
