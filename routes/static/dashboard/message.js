// The life of one message: where it is, and what happened to it in the order of time, with the target's answers.

import { get, may } from "./api.js";
import { button, el, fillOn, link, of, terms } from "./dom.js";
import { badge, milliseconds, time } from "./format.js";
import { refreshNow } from "./live.js";
import { complain } from "./notice.js";
import { askTo } from "./replay.js";

const LABELS = { deadLettered: "dead-lettered" };
const label = (state) => LABELS[state] || state;

export function show(place) {
  const messageId = place.path[1] || "";
  const places = el("ul", { class: "troubles" });
  const notes = el("div", {});
  const events = el("ol", { class: "timeline" });
  let looked = null; // the events at the last look, which marks messages as redelivered

  async function refresh(signal) {
    let { data: life } = await get("getMessage", { messageId }, signal);
    const lookIn = place.query.get("lookIn") || life.places.find((one) => one.state === "deadLettered")?.destination;
    const now = JSON.stringify([lookIn, life.events]);
    if (lookIn && may("operator") && looked?.now !== now) {
      looked = { now, life: await lookedAt(lookIn, signal) };
    }
    if (looked?.now === now && looked.life) life = looked.life;
    fillOn(places, life.places, () => life.places.map(where));
    fillOn(notes, life.notes, () => life.notes.map((text) => el("p", { class: "note" }, text)));
    fillOn(events, life.events, () => life.events.map(happened));
  }

  async function lookedAt(lookIn, signal) {
    try {
      return (await get("getMessage", { messageId, lookIn }, signal)).data;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (place.query.get("lookIn")) complain(error); // else the queue was deleted, or RabbitMQ is down
      return null;
    }
  }

  function where(one) {
    const to = one.destination && one.destination !== one.queueName ? [" → ", link(one.destination, [one.state === "deadLettered" ? "dead-letter-queue" : "queue", one.destination])] : [];
    const letter = may("operator") && one.state === "deadLettered" && one.destination;
    return el("li", { class: one.state === "deadLettered" || one.state === "purged" ? "bad" : "" },
      el("p", {}, badge(label(one.state)), " ", link(one.queueName, ["queue", one.queueName]), ...to),
      el("p", {}, one.found === false ? "It is no longer there." : "", one.dueAt ? [one.state === "scheduled" ? "It is due " : "Its retry is due ", time(one.dueAt), "."] : ""),
      el("p", { class: "facts" }, "since ", time(one.since)),
      el("div", { class: "buttons" }, letter && one.found !== false && button(of("Replay", one.queueName), () => replay(one))));
  }

  function replay({ queueName, destination }) {
    askTo("replay", { deadLetterQueue: destination, queueName, filter: { messageIds: [messageId] }, which: `message ${messageId}`, done: refreshNow });
  }

  const input = el("input", { id: "look-in", name: "queue", value: place.query.get("lookIn") || "", autocomplete: "off" });
  const look = el("form", { class: "tools", onsubmit(event) { event.preventDefault(); looked = null; place.set({ lookIn: input.value.trim() }); } },
    el("div", { class: "filter" }, el("label", { for: input.id }, "Look in the queue"), input), el("button", { type: "submit", class: "quiet" }, "Look"));
  const heading = el("h1", {}, "Message ", el("span", { class: "name" }, messageId));
  return {
    title: messageId,
    content: [heading, places, notes, may("operator") ? look : "", el("h2", {}, "History"), events].filter(Boolean),
    refresh,
  };
}

function happened({ at, event, text, queueName, attempt }) {
  const about = [
    queueName && ["queue ", link(queueName, ["queue", queueName])],
    attempt?.consumer && ["consumer ", link(attempt.consumer, ["consumer", attempt.consumer])],
    attempt?.consumerId && milliseconds(attempt.durationMs),
    attempt?.nextAt && ["next attempt ", time(attempt.nextAt)],
  ].filter(Boolean).flatMap((one, index) => (index ? [" · ", one] : [one]));
  const headers = Object.entries(attempt?.answerHeaders || {});
  return el("li", {}, el("p", {}, time(at), " ", badge(label(event)), " ", text), about.length ? el("p", { class: "note" }, ...about) : "",
    headers.length ? el("dl", { class: "facts" }, ...terms(headers)) : "",
    attempt?.answer ? el("pre", { class: "body", tabindex: "0", "aria-label": "Body of the answer" }, attempt.answer) : "");
}
