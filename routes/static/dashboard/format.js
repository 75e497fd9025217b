// Formats numbers, times and states.

import { address, button, el } from "./dom.js";
import { copy } from "./notice.js";

const whole = new Intl.NumberFormat("en");
const fraction = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const NOTHING = "–";

export function count(value) {
  return value === null || value === undefined ? NOTHING : whole.format(value);
}

export function rate(value) {
  return value === null || value === undefined ? NOTHING : value < 10 ? fraction.format(value) : count(Math.round(value));
}

export function percent(share) {
  if (share === null || share === undefined) return NOTHING;
  return `${share > 0.99 && share < 1 ? fraction.format(Math.floor(share * 1000) / 10) : Math.round(share * 100)} %`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return NOTHING;
  return value < 1000 ? `${value < 10 ? fraction.format(value) : Math.round(value)} ms` : `${fraction.format(value / 1000)} s`;
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  return value < 1048576 ? `${fraction.format(value / 1024)} KiB` : `${fraction.format(value / 1048576)} MiB`;
}

export function ago(moment) {
  if (!moment) return NOTHING;
  const seconds = Math.max(0, (Date.now() - Date.parse(moment)) / 1000);
  if (Number.isNaN(seconds)) return String(moment);
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
}

// An age, which `grow` updates.
export function since(moment) {
  return el("time", { datetime: moment, class: "since" }, ago(moment));
}

export function grow() {
  for (const one of document.querySelectorAll("time.since")) one.textContent = ago(one.dateTime);
}

// 2026-01-31 12:00:00 UTC+1: each time on the page is in the reader's time zone, and names it.
const DATE = { year: "numeric", month: "2-digit", day: "2-digit" };
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "shortOffset" };
const formats = { moment: { ...DATE, ...CLOCK }, clock: CLOCK };
const zoned = Object.fromEntries(Object.entries(formats).map(([name, parts]) => [name, new Intl.DateTimeFormat("sv-SE", parts)]));

export function timeText(at, format = "moment") {
  return zoned[format].format(at).replace("GMT", "UTC").replace(/UTC[+]0$/, "UTC").replace("\u2212", "-");
}

export function time(moment) {
  const at = new Date(moment);
  if (!moment || Number.isNaN(at.getTime())) return moment ? String(moment) : NOTHING;
  return el("time", { datetime: at.toISOString(), title: at.toISOString() }, timeText(at));
}

// The time of day, with the date if it is more than half a day away.
export function clock(moment) {
  const at = new Date(moment);
  return el("time", { datetime: at.toISOString(), title: timeText(at) }, timeText(at, Math.abs(Date.now() - at) < 43200000 ? "clock" : "moment"));
}

// A sentence of the service, whose times are in UTC.
export function timed(text) {
  return text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, index) => (index % 2 ? time(part) : part)).filter(Boolean);
}

// A message's id, shortened in the middle, with a link to its life and a button that copies the whole id.
export function messageId(id) {
  if (!id) return NOTHING;
  const short = id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id;
  const shown = el("a", { href: address(["message", id]), title: id, "aria-label": `Message ${id}` }, short);
  return el("span", { class: "id" }, shown, button("", () => copy(id), { class: "copy", title: "Copy", "aria-label": `Copy the message id ${id}` }));
}

// Changed fields with their values before and after.
export function changes(list) {
  return list.map(({ field, from, to }) => {
    const values = from === null ? [el("ins", {}, value(to))] : to === null ? [el("del", {}, value(from))] : [el("del", {}, value(from)), " → ", el("ins", {}, value(to))];
    return el("div", { class: "change" }, `${field}: `, ...values);
  });
}

const value = (one) => (typeof one === "string" ? one : JSON.stringify(one));

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// The symbol and colour of each state. The symbol distinguishes states without colour.
const STATES = {
  running: ["●", "good"], delivered: ["●", "good"], finished: ["●", "good"],
  failing: ["▲", "bad"], suspended: ["■", "bad"], "breaker open": ["◆", "bad"], rejected: ["■", "bad"],
  exhausted: ["■", "bad"], expired: ["■", "bad"], failed: ["■", "bad"], blocked: ["■", "bad"], blocking: ["■", "bad"],
  resting: ["▲", "bad"], "half open": ["◇", "warn"], throttled: ["◇", "warn"],
  waiting: ["○", "warn"], retried: ["↻", "warn"], requeued: ["↩", "warn"], interrupted: ["▲", "warn"],
  replayed: ["↻", "idle"], "dead-lettered": ["■", "bad"], purged: ["■", "bad"],
  paused: ["‖", "idle"], disabled: ["‖", "idle"],
};

export function badge(state) {
  const [sign, tone] = STATES[state] || ["○", "idle"];
  return el("span", { class: `badge ${tone}` }, el("span", { "aria-hidden": "true" }, sign), ` ${state}`);
}

const FINER = {
  "breaker-open": "breaker open", probing: "half open", resting: "resting", throttled: "throttled",
};

// A consumer's state; more precise than the API's if a worker reports why it fails or waits.
export function stateOf(consumer) {
  if (consumer.state !== "failing" && consumer.state !== "waiting") return consumer.state;
  const finer = consumer.workers.map((worker) => FINER[worker.state]).find(Boolean);
  return finer || consumer.state;
}

export function reasonOf(consumer) {
  return consumer.reason || consumer.copyError || (consumer.state === "failing" ? consumer.lastError : "") || "";
}
