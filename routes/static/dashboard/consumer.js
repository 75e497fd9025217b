// One consumer: state, target statistics, latest attempts and actions.

import { get, may } from "./api.js";
import { ATTEMPTS } from "./attempts.js";
import { askToDelete, pauseOrResume } from "./consumer_actions.js";
import { editConsumer } from "./consumer_form.js";
import { address, button, el, fill, fillOn, link, terms } from "./dom.js";
import { ago, badge, count, milliseconds, percent, reasonOf, stateOf, time, timed } from "./format.js";
import { history } from "./history.js";
import { table } from "./table.js";

const SHOWN = ["method", "url", "queueName", "timeout", "connectTimeout", "prefetch", "payload", "filter", "otherwise", "routes", "router", "ordering", "retry", "outcomes",
  "rateLimit", "concurrency", "batch", "breaker", "attemptLog", "headers", "forwardHeaders", "auth", "signingSecret", "reply", "createdAt", "updatedAt"];

export function show(place) {
  const name = place.path[1];
  let latest = null;
  const state = el("p", { class: "verdict", role: "status" });
  const actions = el("div", { class: "tools" });
  const totals = el("dl", { class: "figures" });
  const past = history({ consumer: name }, [
    { label: "Messages per second", lines: { deliveredRate: "delivered", retriedRate: "retried", deadLetteredRate: "dead-lettered" } },
    { label: "Latency", format: milliseconds, lines: { latencyP50Ms: "p50", latencyP99Ms: "p99" } },
  ]);
  const attempts = table({ caption: "Latest attempts: failures, and a sample of the successes", empty: "No attempts in the last seven days.", ...ATTEMPTS });
  const workers = table({
    caption: "Workers",
    empty: "No worker runs this consumer.",
    key: (one) => one.worker,
    columns: [
      { title: "Worker", field: "worker", kind: "wide" },
      { title: "State", field: "state" },
      { title: "In flight", field: "inFlight", kind: "number" },
      { title: "Delivered", field: "delivered", kind: "number" },
      { title: "Success", value: (one) => percent(one.successRate), kind: "number" },
      { title: "p99", value: (one) => milliseconds(one.latencyP99Ms), kind: "number" },
      { title: "Reason", value: (one) => one.reason || one.copyError || one.lastError || "", kind: "wide" },
    ],
  });
  const facts = el("dl", { class: "facts" });

  async function refresh(signal) {
    const [{ data: consumer }, { data: tried }] = await Promise.all([
      get("getConsumer", { name }, signal),
      get("getDeliveries", { consumer: name, pageSize: 10 }, signal),
    ]);
    await past.refresh(signal); // not beside them: a consumer that is missing has no history either
    latest = consumer;
    fillOn(state, [stateOf(consumer), reasonOf(consumer), consumer.nextAttemptAt], () => [badge(stateOf(consumer)), " ", ...timed(reasonOf(consumer)),
      consumer.nextAttemptAt && !reasonOf(consumer).includes("next attempt") && [" Next attempt ", time(consumer.nextAttemptAt), "."]]);
    fillOn(actions, [consumer.desiredState, consumer.reason], () => buttons(consumer));
    fill(totals, ...figures(consumer));
    attempts.show(tried);
    workers.show(consumer.workers);
    fillOn(facts, consumer.revision, () => terms(SHOWN.map((field) => [field, shown(field, consumer[field])])));
  }

  function buttons({ desiredState, reason }) {
    const suspended = desiredState === "suspended", refused = suspended && /HTTP 40[13]/.test(reason);
    const links = [el("a", { href: address(["attempts"], { consumer: name }), role: "button", class: "quiet" }, "Attempts")];
    if (!may("operator")) return links;
    const edit = button(refused ? "Edit credentials" : "Edit", () => editConsumer(latest, refused ? "auth" : undefined), { class: suspended ? "" : "quiet" });
    return [
      ...suspended ? [edit, pauseOrResume(name, desiredState)] : [pauseOrResume(name, desiredState), edit],
      el("a", { href: address(["publish"], { consumer: name }), role: "button", class: "quiet" }, "Test the target"),
      ...links,
      button("Delete", () => askToDelete(name, () => { location.hash = "#/consumers"; }), { class: "quiet" }),
    ];
  }

  const heading = el("h1", {}, "Consumer ", el("span", { class: "name" }, name));
  return {
    title: name,
    content: [heading, state, actions, totals, ...past.content, el("h2", {}, "Attempts"), ...attempts.content,
      el("h2", {}, "Workers"), ...workers.content, el("h2", {}, "Settings"), facts],
    refresh,
  };
}

function figures(consumer) {
  const error = consumer.lastError ? `${consumer.lastError}, ${ago(consumer.lastErrorAt)}` : "none";
  return terms([
    ["in flight", count(consumer.inFlight)], ["success", percent(consumer.successRate)],
    ["p50", milliseconds(consumer.latencyP50Ms)], ["p99", milliseconds(consumer.latencyP99Ms)],
    ["delivered", [count(consumer.delivered), ...sinceOf(consumer)]], ["retried", count(consumer.retried)],
    ["dead-lettered", count(consumer.deadLettered)], ["requeued", count(consumer.requeued)],
    ["filtered", count(consumer.filtered)], ["routed", count(consumer.routed)], ["copies refused", count(consumer.refusedCopies)], ["last error", error],
  ]);
}

function sinceOf({ countedSince }) {
  return countedSince ? [" ", el("small", {}, "since ", time(countedSince))] : [];
}

function shown(field, value) {
  if (field.endsWith("At")) return time(value);
  if (field === "queueName") return link(value, ["queue", value]);
  return value === null || value === "" ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
}
