// Keeps what is shown up to date: asks again every few seconds while somebody looks, and says how fresh it is.

import { Refused } from "./api.js";

const EVERY = 5000; // milliseconds: RabbitMQ's own statistics are no fresher

let refresh = null;
let asking = null;
let timer = 0;

export function watch(view) {
  stop();
  refresh = view;
  return refreshNow();
}

export function stop() {
  clearTimeout(timer);
  asking?.abort();
  refresh = asking = null;
  say("", false);
}

// Ask at once, as after something was changed; resolves when it is shown.
export async function refreshNow() {
  if (!refresh) return;
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    await refresh(mine.signal);
    if (mine === asking) say(`live, ${new Date().toLocaleTimeString("sv-SE")}`, true);
  } catch (error) {
    if (error.name === "AbortError" || mine !== asking) return;
    if (!(error instanceof Refused)) throw error;
    say(error.message, false);
  }
  if (mine === asking) timer = setTimeout(next, EVERY);
}

function next() {
  if (!document.hidden) refreshNow();
}

function say(text, fresh) {
  const place = document.getElementById("freshness");
  place.textContent = text;
  place.className = fresh ? "fresh" : text && "stale";
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refreshNow();
});
