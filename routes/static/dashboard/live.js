// Keeps what is shown up to date: asks again every few seconds while somebody looks, and says how fresh it is, or why not.

import { Refused } from "./api.js";
import { grow } from "./format.js";

const EVERY = 5000; // milliseconds: RabbitMQ's own statistics are no fresher

const freshness = document.getElementById("freshness");
const failure = document.getElementById("failure");
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
  freshness.textContent = freshness.className = "";
  fail("");
}

// Ask at once, as after something was changed; resolves when it is shown.
export async function refreshNow() {
  if (!refresh) return;
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    await refresh(mine.signal);
    if (mine !== asking) return;
    freshness.textContent = `live, ${new Date().toLocaleTimeString("sv-SE")}`;
    freshness.className = "fresh";
    grow();
    fail("");
  } catch (error) {
    if (error.name === "AbortError" || mine !== asking) return;
    if (!(error instanceof Refused)) console.error(error);
    freshness.textContent = freshness.textContent.replace("live,", "from");
    freshness.className = "stale";
    fail(error.message, error.status);
  }
  if (mine === asking) timer = setTimeout(next, EVERY);
}

function next() {
  if (!document.hidden) refreshNow();
}

// A screen reader says it once, not at every try. Of what is not there, or not for this role, only the name is shown.
function fail(text, status) {
  if (failure.textContent !== text) failure.textContent = text;
  failure.hidden = !text;
  document.getElementById("main").classList.toggle("nothing", status === 403 || status === 404);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refreshNow();
});
