// The log of delivery attempts.

import { link } from "./dom.js";
import { badge, messageId, milliseconds, time } from "./format.js";
import { filters, listView } from "./list.js";
import { choice, search, times } from "./table.js";

const RESULTS = [["", "all"], ...["retried", "requeued", "rejected", "exhausted", "expired", "filtered", "forwarded", "discarded", "routed", "delivered", "replayed", "moved", "deleted"].map((one) => [one, one])];

// The reason, and the start of the body in which the target says more.
function answer(one) {
  const body = (one.answer ?? "").trim();
  return body ? `${one.reason}: ${body.slice(0, 300)}` : one.reason;
}

// The key and the columns of a table of attempts.
export const ATTEMPTS = {
  key: (one) => `${one.at} ${one.consumerId} ${one.messageId} ${one.attempt}`,
  columns: [
    { title: "At", sort: "at", falling: true, format: time },
    { title: "Result", sort: "result", format: badge },
    { title: "Answer", value: (one) => answer(one), kind: "wide" },
    { title: "Duration", sort: "durationMs", value: (one) => milliseconds(one.durationMs), kind: "number" },
    { title: "Attempt", sort: "attempt", kind: "number" },
    { title: "Next attempt", field: "nextAt", format: time },
    { title: "Consumer", sort: "consumer", cell: (one) => (one.consumer ? link(one.consumer, ["consumer", one.consumer]) : "–") },
    { title: "Message", field: "messageId", format: messageId },
  ],
};

export function show(place) {
  return listView(place, {
    title: "Attempts",
    path: "getDeliveries",
    query: () => filters(place, ["consumer", "queueName", "messageId", "result", "since", "until"]),
    about: "All failures of the last seven days, and one in a hundred successes. Filters match whole names.",
    tools: [
      search(place, "Consumer", "consumer"), search(place, "Queue", "queueName"), search(place, "Message id", "messageId"),
      choice(place, "Result", "result", RESULTS), ...times(place),
    ],
    empty: "No attempts in the last seven days.",
    ...ATTEMPTS,
  });
}
