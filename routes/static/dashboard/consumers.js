// All consumers: state, reason, backlog and target statistics.

import { may } from "./api.js";
import { change, pauseOrResume } from "./consumer_actions.js";
import { createConsumer } from "./consumer_form.js";
import { button, el, link } from "./dom.js";
import { badge, count, milliseconds, percent, reasonOf, since, stateOf, timed } from "./format.js";
import { filters, listView } from "./list.js";
import { choice, search } from "./table.js";

const STATES = [["", "all"], ...["failing", "suspended", "waiting", "paused", "running"].map((state) => [state, state])];

export function show(place) {
  const chosenOnes = () => [...view.list.chosen].map((one) => ({ name: one }));
  const selected = may("operator") ? [
    button("Pause selected", () => change("pauseConsumer", chosenOnes()), { class: "quiet" }),
    button("Resume selected", () => change("resumeConsumer", chosenOnes()), { class: "quiet" }),
  ] : [];
  const showChoice = () => selected.forEach((one) => { one.disabled = !view.list.chosen.size; });
  const actions = may("operator") ? [
    el("div", { class: "buttons" }, ...selected, button("Select all shown", () => view.list.chooseAll(), { class: "quiet" })),
    button("Create consumer", () => createConsumer()),
  ] : [];
  const view = listView(place, {
    title: "Consumers",
    path: "getConsumers",
    query: () => filters(place, ["name", "state"]),
    tools: [search(place, "Search"), choice(place, "State", "state", STATES), ...actions],
    empty: "No consumers match.",
    key: (one) => one.name,
    choose: may("operator") && { name: (one) => one.name, changed: showChoice },
    columns: [
      { title: "Consumer", sort: "name", value: (one) => [one.name, one.queueName, one.url], cell: name, kind: "wide first" },
      { title: "State", sort: "state", value: stateOf, cell: (one) => badge(stateOf(one)) },
      { title: "Reason", value: (one) => [reasonOf(one), lastError(one)], cell: why, kind: "wide first" },
      { title: "Backlog", sort: "backlog", format: count, kind: "number" },
      { title: "Success", sort: "successRate", falling: false, value: (one) => percent(one.successRate), kind: "number" },
      { title: "p99", sort: "latencyP99Ms", value: (one) => milliseconds(one.latencyP99Ms), kind: "number" },
      { title: "Delivered", sort: "delivered", format: count, kind: "number" },
      { title: "Retried", sort: "retried", format: count, kind: "number" },
      { title: "Dead-lettered", sort: "deadLettered", format: count, kind: "number" },
      { title: "Actions", field: "desiredState", cell: (one) => pauseOrResume(one.name, one.desiredState) || "", kind: "actions" },
    ],
  });
  return view;
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
