// The log of delivery attempts.

import { get } from "./api.js";
import { el, link } from "./dom.js";
import { badge, messageId, milliseconds, time } from "./format.js";
import { PAGE_SIZE, choice, ordering, pager, search, table, times } from "./table.js";

const RESULTS = [["", "all"], ...["retried", "requeued", "rejected", "exhausted", "expired", "filtered", "forwarded", "discarded", "routed", "delivered", "replayed", "moved", "deleted"].map((one) => [one, one])];

// The reason, and the start of the body in which the target says more.
function answer(one) {
  const body = (one.answer ?? "").trim();
  return body ? `${one.reason}: ${body.slice(0, 300)}` : one.reason;
}

export function attemptTable(caption, empty, place) {
  return table({
    caption,
    place,
    empty,
    key: (one) => `${one.at} ${one.consumerId} ${one.messageId} ${one.attempt}`,
    columns: [
      { title: "At", sort: "at", falling: true, value: (one) => one.at, cell: (one) => time(one.at) },
      { title: "Result", sort: "result", value: (one) => one.result, cell: (one) => badge(one.result) },
      { title: "Answer", value: (one) => answer(one), kind: "wide" },
      { title: "Duration", sort: "durationMs", value: (one) => milliseconds(one.durationMs), kind: "number" },
      { title: "Attempt", sort: "attempt", value: (one) => one.attempt, kind: "number" },
      { title: "Next attempt", value: (one) => one.nextAt, cell: (one) => time(one.nextAt) },
      { title: "Consumer", sort: "consumer", value: (one) => one.consumer, cell: (one) => (one.consumer ? link(one.consumer, ["consumer", one.consumer]) : "–") },
      { title: "Message", value: (one) => one.messageId, cell: (one) => messageId(one.messageId) },
    ],
  });
}

export function show(place) {
  const list = attemptTable("Attempts", "No attempts in the last seven days.", place);
  const pages = pager(place);

  async function refresh(signal) {
    const query = Object.fromEntries(["consumer", "queueName", "messageId", "result", "since", "until"].map((name) => [name, place.query.get(name)]));
    const { data, total } = await get("getDeliveries", { ...query, ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const tools = el("div", { class: "tools" },
    search(place, "Consumer", "consumer"), search(place, "Queue", "queueName"), search(place, "Message id", "messageId"),
    choice(place, "Result", "result", RESULTS), ...times(place));
  const about = el("p", {}, "All failures of the last seven days, and one in a hundred successes. Filters match whole names.");
  return { title: "Attempts", content: [el("h1", {}, "Attempts"), about, tools, ...list.content, pages.node], refresh };
}
