// All consumers: state, reason, backlog and target statistics.

import { get, may } from "./api.js";
import { change, pauseOrResume } from "./consumer_actions.js";
import { createConsumer } from "./consumer_form.js";
import { button, el, link } from "./dom.js";
import { badge, count, milliseconds, percent, reasonOf, since, stateOf, timed } from "./format.js";
import { PAGE_SIZE, choice, ordering, pager, search, table } from "./table.js";

const STATES = [["", "all"], ...["failing", "suspended", "waiting", "paused", "running"].map((state) => [state, state])];

export function show(place) {
  const list = table({
    caption: "Consumers",
    place,
    empty: "No consumers match.",
    key: (one) => one.name,
    choose: may("operator") && { name: (one) => one.name, changed: showChoice },
    columns: [
      { title: "Consumer", sort: "name", value: (one) => [one.name, one.queueName, one.url], cell: name, kind: "wide first" },
      { title: "State", sort: "state", value: stateOf, cell: (one) => badge(stateOf(one)) },
      { title: "Reason", value: (one) => [reasonOf(one), lastError(one)], cell: why, kind: "wide first" },
      { title: "Backlog", sort: "backlog", value: (one) => one.backlog, cell: (one) => count(one.backlog), kind: "number" },
      { title: "Success", sort: "successRate", falling: false, value: (one) => percent(one.successRate), kind: "number" },
      { title: "p99", sort: "latencyP99Ms", value: (one) => milliseconds(one.latencyP99Ms), kind: "number" },
      { title: "Delivered", sort: "delivered", value: (one) => one.delivered, cell: (one) => count(one.delivered), kind: "number" },
      { title: "Retried", sort: "retried", value: (one) => one.retried, cell: (one) => count(one.retried), kind: "number" },
      { title: "Dead-lettered", sort: "deadLettered", value: (one) => one.deadLettered, cell: (one) => count(one.deadLettered), kind: "number" },
      { title: "Actions", value: (one) => one.desiredState, cell: (one) => pauseOrResume(one.name, one.desiredState) || "", kind: "actions" },
    ],
  });
  const pages = pager(place);
  const chosenOnes = () => [...list.chosen].map((one) => ({ name: one }));
  const chosen = el("div", { class: "buttons" }, ...may("operator") ? [
    button("Pause selected", () => change("pauseConsumer", chosenOnes()), { class: "quiet" }),
    button("Resume selected", () => change("resumeConsumer", chosenOnes()), { class: "quiet" }),
    button("Select all shown", () => list.chooseAll(), { class: "quiet" }),
  ] : []);

  function showChoice() {
    [...chosen.children].slice(0, 2).forEach((one) => { one.disabled = !list.chosen.size; });
  }

  async function refresh(signal) {
    const query = { name: place.query.get("name"), state: place.query.get("state"), ...ordering(place) };
    const { data, total } = await get("getConsumers", { ...query, page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const create = may("operator") && button("Create consumer", () => createConsumer());
  const tools = el("div", { class: "tools" }, search(place, "Search"), choice(place, "State", "state", STATES), chosen, create);
  return { title: "Consumers", content: [el("h1", {}, "Consumers"), tools, ...list.content, pages.node], refresh };
}

function name(one) {
  const from = one.queueName === one.name ? [] : ["from ", link(one.queueName, ["queue", one.queueName]), " "];
  return [link(one.name, ["consumer", one.name]), el("small", { class: "clip", title: one.url }, ...from, `to ${one.url}`)];
}

function why(one) {
  const reason = reasonOf(one);
  const error = lastError(one);
  return [...timed(reason), error && error !== reason ? el("small", {}, "last error ", since(one.lastErrorAt), `: ${error}`) : ""].filter(Boolean);
}

const lastError = (one) => one.lastError || "";
