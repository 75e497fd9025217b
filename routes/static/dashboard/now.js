// The start page: current problems, the worst first, with buttons to fix them; then totals and rates.

import { get, may, post, remove } from "./api.js";
import { change } from "./consumer_actions.js";
import { createConsumer, editConsumer } from "./consumer_form.js";
import { ask } from "./dialog.js";
import { address, button, el, fill, fillOn, link, of, terms } from "./dom.js";
import { badge, clock, count, plural, rate, since, timed } from "./format.js";
import { history } from "./history.js";
import { refreshNow } from "./live.js";
import { createQueue } from "./queues.js";

const SHOWN = 25;
const ASKED = 10; // problems whose target's answer is shown

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
  const past = history({}, [
    { label: "Messages per second, all queues", lines: { publishRate: "in", deliverRate: "out", ackRate: "acked" } },
    { label: "Messages, all queues", format: count, lines: { ready: "ready", unacked: "unacked" } },
  ]);

  async function refresh(signal) {
    const [{ data }] = await Promise.all([get("getOverview", {}, signal), past.refresh(signal)]);
    fillOn(verdict, [data.troubleCount, data.troubles.filter(isBad).length, data.troubles.filter((one) => one.acknowledged).length], () => judge(data));
    const showList = () => fillOn(list, [data.troubles, [...answers.values()]], () => data.troubles.slice(0, SHOWN).map(item).concat(rest(data.troubleCount)));
    showList();
    fillOn(states, data.consumers, () => Object.entries(data.consumers).map(state));
    fill(totals, ...figures(data));
    await learn(data.troubles.slice(0, ASKED), signal);
    showList();
  }

  const heading = el("h1", {}, "Current problems");
  const going = el("section", { "aria-labelledby": "going" }, el("h2", { id: "going" }, "Activity"), states, totals, ...past.content);
  return { title: "Now", content: [heading, verdict, list, going], refresh };
}

// The last answer of the target to each failing consumer, and the most frequent of the last dead letters, by problem; read
// again when the problem has changed.
const answers = new Map();
const FAILURES = ["consumer_suspended", "breaker_open", "consumer_failing", "dead_letters"];
const LOST = ["rejected", "exhausted", "expired", "filtered"];
const keyOf = ({ kind, name, messages }) => `${kind} ${name} ${messages}`;

async function learn(troubles, signal) {
  const wanted = troubles.filter(({ kind }) => FAILURES.includes(kind));
  const keys = wanted.map(keyOf);
  for (const key of answers.keys()) if (!keys.includes(key)) answers.delete(key);
  await Promise.all(wanted.filter((one) => !answers.has(keyOf(one))).map(async (one) => {
    const whose = one.kind === "dead_letters" ? { destination: one.name, ...one.name.endsWith(".dlq") && { queueName: one.name.slice(0, -4) } } : { consumer: one.name };
    const { data } = await get("getDeliveries", { ...whose, pageSize: 20, fields: "consumer,reason,answer,sampled,result" }, signal);
    const found = one.kind === "dead_letters" ? commonest(data.filter(({ result }) => LOST.includes(result))) : data.find(({ sampled }) => !sampled);
    if (found) answers.set(keyOf(one), found); // else look again: a worker stores its attempts later
  }));
}

// One entry of the largest group with the same cause, and the number of the other causes.
function commonest(entries) {
  const groups = Map.groupBy(entries, ({ consumer, reason, answer }) => JSON.stringify([consumer, reason, wordsOf(answer || "")]));
  const [largest] = [...groups.values()].sort((one, other) => other.length - one.length);
  return largest && { ...largest[0], others: groups.size - 1 };
}

const isBad = (trouble) => KINDS[trouble.kind][1] === "bad";

function judge(data) {
  if (!data.troubleCount) return el("span", { class: "good" }, "● No problems.");
  const tone = data.troubles.some(isBad) ? "bad" : "warn";
  const known = data.troubles.filter((one) => one.acknowledged).length;
  return el("span", { class: tone }, `▲ ${plural(data.troubleCount, "problem")}${known ? `, ${count(known)} acknowledged` : ""}.`);
}

function item(trouble) {
  const [title, tone, view] = KINDS[trouble.kind];
  const name = view ? link(trouble.name, [view, trouble.name]) : trouble.name;
  const { messages, queueName, acknowledged } = trouble;
  const facts = [
    messages ? `${plural(messages, "message")} ${messages === 1 ? "waits" : "wait"}` : "",
    trouble.since && el("span", {}, "since ", clock(trouble.since), ", ", since(trouble.since)),
    trouble.nextAttemptAt && el("span", {}, "next attempt ", clock(trouble.nextAttemptAt)),
    trouble.oldestMessageAt && el("span", {}, "oldest message ", since(trouble.oldestMessageAt)),
    view === "consumer" && queueName !== trouble.name ? `queue ${queueName}` : "",
  ].filter(Boolean);
  const noted = acknowledged && el("p", { class: "noted" }, `Acknowledged by ${acknowledged.by}`, acknowledged.note ? `: ${acknowledged.note}` : "");
  const what = el("p", { class: "what" }, el("span", { class: `tag ${tone}` }, title), " ", el("strong", {}, name));
  const why = el("p", { class: "why", title: trouble.reason }, ...said(trouble));
  const about = facts.length ? el("p", { class: "facts" }, ...facts.flatMap((one, at) => (at ? [" · ", one] : [one]))) : null;
  return el("li", { class: acknowledged ? `${tone} acknowledged` : tone }, what, el("div", {}, why, noted), about, el("div", { class: "buttons" }, ...helps(trouble)));
}

// The words of the target; for dead letters also the consumer.
function said(trouble) {
  const last = answers.get(keyOf(trouble));
  const reason = timed(trouble.nextAttemptAt ? trouble.reason.replace(/; next attempt at \S+$/, ".") : trouble.reason);
  if (!last) return reason;
  const words = wordsOf(last.answer || "");
  const about = trouble.kind === "dead_letters" ? [link(last.consumer, ["consumer", last.consumer]), ` failed: ${last.reason}`] : reason;
  return [...about, words && " · answer: ", words && el("q", {}, words), last.others && ` · and ${plural(last.others, "other cause")}`].filter(Boolean);
}

// The sentence in a JSON answer, or the beginning of any other.
function wordsOf(answer) {
  let found = answer.trim();
  try {
    const { detail, message, error, title } = JSON.parse(found);
    found = [detail, message, error, title].find((one) => typeof one === "string") || found;
  } catch { /* not JSON, or cut */ }
  return found.slice(0, 200);
}

// The actions that remove each cause; the first one is the primary.
const HELP = {
  credentials: [edit("Edit credentials", "auth"), test, attempts],
  definition: [edit("Edit"), test, attempts],
  certificate: [edit("Edit certificate", "tls")],
  target_refuses: [edit("Edit"), test, resumed, attempts],
  target_fails: [test, attempts],
  target_throttles: [attempts],
  paused: [({ queueName }) => action("Resume", queueName, () => change("resumeConsumer", [{ queueName }]))],
  no_consumer: [({ queueName }) => action("Create consumer", queueName, () => createConsumer(queueName))],
  queue_missing: [({ queueName }) => action("Create queue", queueName, () => createQueue(queueName))],
  slow: [({ queueName }) => to(["queue", queueName], {}, "View", queueName)],
};
const HELP_OF_KIND = { consumer_suspended: [resumed, test, attempts], dead_letters: [letters], copies_refused: [attempts] };

function helps(trouble) {
  const made = (HELP[trouble.cause] || HELP_OF_KIND[trouble.kind] || []).map((make) => make(trouble)).filter(Boolean);
  made.slice(1).forEach((one) => one.classList.add("quiet"));
  return [...made, may("operator") && acknowledge(trouble)];
}

function action(verb, name, run) {
  return may("operator") && button(of(verb, name), run);
}

function to(path, query, verb, name) {
  return el("a", { href: address(path, query), role: "button" }, ...of(verb, name));
}

function edit(verb, field) {
  return ({ name }) => action(verb, name, async () => editConsumer((await get("getConsumer", { name })).data, field));
}

function test({ name }) {
  return may("operator") && to(["publish"], { consumer: name }, "Test", name);
}

function attempts({ name }) {
  return to(["attempts"], { consumer: name }, "Attempts", name);
}

function resumed({ name }) {
  return action("Resume", name, () => change("resumeConsumer", [{ name }]));
}

function letters({ name }) {
  return to(["dead-letter-queue", name], {}, may("operator") ? "View and replay" : "View", name);
}

function acknowledge({ kind, name, acknowledged }) {
  if (acknowledged) {
    return button(of("Unacknowledge", name), async () => {
      await remove("deleteAcknowledgement", { kind, name });
      await refreshNow();
    }, { class: "quiet" });
  }
  return button(of("Acknowledge", name), () => ask({
    title: `Acknowledge: ${KINDS[kind][0]}, ${name}`,
    about: [el("p", {}, "Other users see your name and the note. The problem moves to the end of the list until it ends.")],
    fields: [{ name: "note", label: "Note", hint: "such as the ticket, or who fixes it by when" }],
    submit: "Acknowledge",
    run: async ({ note }) => { await post("acknowledgeProblem", { kind, name, note }); },
  }), { class: "quiet" });
}

function rest(total) {
  return total > SHOWN ? [el("li", { class: "more" }, `${count(total - SHOWN)} more: see the lists.`)] : [];
}

function state([name, number]) {
  return el("a", { href: address(["consumers"], { state: name }), class: number ? "" : "none" }, badge(name), ` ${count(number)}`);
}

function figures({ totals, workers }) {
  return terms([
    ["workers", count(workers)],
    ...totals ? [
      ["queues", count(totals.queues)], ["ready", count(totals.ready)], ["unacked", count(totals.unacked)],
      ["waiting retries", count(totals.retries)], ["retries overdue", count(totals.retriesOverdue)],
      ["scheduled", count(totals.scheduled)],
      ["dead letters", count(totals.deadLetters)], ["in/s", rate(totals.publishRate)],
      ["out/s", rate(totals.deliverRate)], ["acked/s", rate(totals.ackRate)],
    ] : [],
  ]);
}
