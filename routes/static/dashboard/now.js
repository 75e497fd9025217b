// The start page: current problems, the worst first, with buttons to fix them; then totals and rates.

import { get, may } from "./api.js";
import { chart, remember } from "./charts.js";
import { resume } from "./consumer_actions.js";
import { createConsumer } from "./consumer_form.js";
import { address, button, el, fill, fillOn, link, of } from "./dom.js";
import { badge, count, plural, rate, since } from "./format.js";
import { createQueue } from "./queues.js";

const SHOWN = 25;

// The title, the tone and the linked view of each kind of problem.
const KINDS = {
  broker_unavailable: ["Broker down", "bad", null],
  no_worker: ["No worker", "bad", null],
  consumer_suspended: ["Suspended", "bad", "consumer"],
  copies_refused: ["Copies refused", "bad", "consumer"],
  retries_overdue: ["Retries overdue", "bad", "queue"],
  scheduled_overdue: ["Scheduled messages overdue", "bad", "queue"],
  dead_lettering_stuck: ["Not dead-lettered", "bad", "queue"],
  breaker_open: ["Circuit breaker open", "bad", "consumer"],
  consumer_failing: ["Failing", "bad", "consumer"],
  dead_letters: ["Dead letters", "warn", "dead-letter-queue"],
  queue_unconsumed: ["No active consumer", "warn", "queue"],
  queue_growing: ["Growing", "warn", "queue"],
  consumer_waiting: ["Waiting", "warn", "consumer"],
  connection_blocked: ["Blocked", "bad", null],
  certificate_expires: ["Certificate expires", "warn", "consumer"],
};

export function show() {
  const verdict = el("p", { class: "verdict", role: "status" }, "Loading …");
  const list = el("ul", { class: "troubles" });
  const totals = el("dl", { class: "figures" });
  const states = el("div", { class: "states" });
  const lines = chart("Messages per second, all queues", ["in", "out", "acked"]);

  async function refresh(signal) {
    const { data } = await get("getOverview", {}, signal);
    fillOn(verdict, [data.troubleCount, data.troubles.some(isBad)], () => judge(data));
    fillOn(list, data.troubles, () => data.troubles.slice(0, SHOWN).map(item).concat(rest(data.troubleCount)));
    fillOn(states, data.consumers, () => Object.entries(data.consumers).map(state));
    fill(totals, ...figures(data));
    if (data.totals) {
      const { publishRate, deliverRate, ackRate } = data.totals;
      lines.show(remember("all", [publishRate, deliverRate, ackRate]));
    }
  }

  const heading = el("h1", {}, "Current problems");
  const going = el("section", { "aria-labelledby": "going" }, el("h2", { id: "going" }, "Activity"), states, totals, lines.node);
  return { title: "Now", content: [heading, verdict, list, going], refresh };
}

const isBad = (trouble) => KINDS[trouble.kind][1] === "bad";

function judge(data) {
  if (!data.troubleCount) return el("span", { class: "good" }, "● No problems.");
  const tone = data.troubles.some(isBad) ? "bad" : "warn";
  return el("span", { class: tone }, `▲ ${plural(data.troubleCount, "problem")}.`);
}

function item(trouble) {
  const [title, tone, view] = KINDS[trouble.kind];
  const name = view ? link(trouble.name, [view, trouble.name]) : trouble.name;
  const facts = [
    trouble.messages ? `${plural(trouble.messages, "message")} ${trouble.messages === 1 ? "waits" : "wait"}` : "",
    view === "consumer" && trouble.queueName !== trouble.name ? `queue ${trouble.queueName}` : "",
    trouble.since && since(trouble.since),
    trouble.oldestMessageAt && el("span", {}, "oldest message ", since(trouble.oldestMessageAt)),
  ].filter(Boolean);
  const what = el("p", { class: "what" }, el("span", { class: `tag ${tone}` }, title), " ", el("strong", {}, name));
  const why = el("p", { class: "why" }, trouble.reason);
  const about = facts.length ? el("p", { class: "facts" }, ...facts.flatMap((one, at) => (at ? [" · ", one] : [one]))) : null;
  return el("li", { class: tone }, el("div", {}, what, why, about), el("div", { class: "buttons" }, ...helps(trouble)));
}

function helps({ kind, name, queueName, reason }) {
  const operator = may("operator");
  const log = el("a", { href: address(["attempts"], { consumer: name }), role: "button", class: "quiet" }, ...of("Attempts", name));
  const test = operator && el("a", { href: address(["publish"], { consumer: name }), role: "button", class: "quiet" }, ...of("Test", name));
  if (kind === "consumer_suspended") return [operator && button(of("Resume", name), () => resume(name)), test, log];
  if (kind === "breaker_open" || kind === "consumer_failing") return [test, log];
  if (kind === "copies_refused") return [log];
  if (kind === "consumer_waiting" && operator && reason.includes("no queue")) {
    return [button(of("Create queue", queueName), () => createQueue(queueName))];
  }
  if (kind === "dead_letters") {
    return [el("a", { href: address(["dead-letter-queue", name]), role: "button" }, ...of(operator ? "View and replay" : "View", name))];
  }
  if (kind === "queue_unconsumed" && operator && !reason.includes("paused")) {
    return [button(of("Create consumer", queueName), () => createConsumer(queueName))];
  }
  return [];
}

function rest(total) {
  return total > SHOWN ? [el("li", { class: "more" }, `${count(total - SHOWN)} more: see the lists.`)] : [];
}

function state([name, number]) {
  return el("a", { href: address(["consumers"], { state: name }), class: number ? "" : "none" }, badge(name), ` ${count(number)}`);
}

function figures({ totals, workers }) {
  const shown = [["workers", count(workers)]];
  if (totals) {
    shown.push(
      ["queues", count(totals.queues)], ["ready", count(totals.ready)], ["unacked", count(totals.unacked)],
      ["waiting retries", count(totals.retries)], ["retries overdue", count(totals.retriesOverdue)],
      ["scheduled", count(totals.scheduled)],
      ["dead letters", count(totals.deadLetters)], ["in/s", rate(totals.publishRate)],
      ["out/s", rate(totals.deliverRate)], ["acked/s", rate(totals.ackRate)],
    );
  }
  return shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}
