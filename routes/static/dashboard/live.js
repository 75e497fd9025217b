// Refreshes the view every few seconds while the page is visible, and shows the time of the last refresh or the error.

import { Refused } from "./api.js";
import { grow, timeText } from "./format.js";

const EVERY = 5000; // milliseconds: the interval of RabbitMQ's statistics

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

// Refreshes at once, for example after a change. Resolves when the result is shown.
export async function refreshNow() {
  if (!refresh) return;
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    await refresh(mine.signal);
    if (mine !== asking) return;
    freshness.textContent = `live, ${timeText(new Date(), "clock")}`;
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

// Screen readers announce an error once, not at every refresh. After 403 and 404 the view shows only its heading.
function fail(text, status) {
  if (failure.textContent !== text) failure.textContent = text;
  failure.hidden = !text;
  document.getElementById("main").classList.toggle("nothing", status === 403 || status === 404);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refreshNow();
});
