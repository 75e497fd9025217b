// All consumers: state, reason and target statistics.

import { get, may } from "./api.js";
import { pauseOrResume } from "./consumer_actions.js";
import { createConsumer } from "./consumer_form.js";
import { button, el, link } from "./dom.js";
import { badge, count, milliseconds, percent, reasonOf, since, stateOf } from "./format.js";
import { PAGE_SIZE, choice, pager, search, table } from "./table.js";

const STATES = [["", "all"], ...["failing", "suspended", "waiting", "paused", "running"].map((state) => [state, state])];

export function show(place) {
  const list = table({
    caption: "Consumers",
    empty: "No consumers match.",
    key: (one) => one.consumerId,
    columns: [
      { title: "Consumer", value: (one) => [one.name, one.queueName], cell: name, kind: "wide first" },
      { title: "State", value: stateOf, cell: (one) => badge(stateOf(one)) },
      { title: "Reason", value: (one) => [reasonOf(one), lastError(one)], cell: why, kind: "wide" },
      { title: "In flight", value: (one) => one.inFlight, cell: (one) => count(one.inFlight), kind: "number" },
      { title: "Success", value: (one) => percent(one.successRate), kind: "number" },
      { title: "p50", value: (one) => milliseconds(one.latencyP50Ms), kind: "number" },
      { title: "p99", value: (one) => milliseconds(one.latencyP99Ms), kind: "number" },
      { title: "Delivered", value: (one) => one.delivered, cell: (one) => count(one.delivered), kind: "number" },
      { title: "Retried", value: (one) => one.retried, cell: (one) => count(one.retried), kind: "number" },
      { title: "Dead-lettered", value: (one) => one.deadLettered, cell: (one) => count(one.deadLettered), kind: "number" },
      { title: "Actions", value: (one) => one.desiredState, cell: (one) => pauseOrResume(one.name, one.desiredState) || "", kind: "actions" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const query = { name: place.query.get("name"), state: place.query.get("state") };
    const { data, total } = await get("getConsumers", { ...query, page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const create = may("operator") && button("Create consumer", () => createConsumer(""));
  const tools = el("div", { class: "tools" }, search(place, "Search"), choice(place, "State", "state", STATES), create);
  return { title: "Consumers", content: [el("h1", {}, "Consumers"), tools, ...list.content, pages.node], refresh };
}

function name(one) {
  const from = one.queueName === one.name ? [] : [el("small", {}, "from ", link(one.queueName, ["queue", one.queueName]))];
  return [link(one.name, ["consumer", one.name]), ...from, el("small", {}, `to ${one.url}`)];
}

function why(one) {
  const reason = reasonOf(one);
  const error = lastError(one);
  return [reason, error && error !== reason ? el("small", {}, "last error ", since(one.lastErrorAt), `: ${error}`) : ""].filter(Boolean);
}

const lastError = (one) => one.lastError || "";
