// Shows the view that the part of the URL after # names. Views are modules, loaded when they are first needed.
//
// A view exports `show(place)`, which returns { title, content, refresh }: `content` are nodes, created once, and
// `refresh(signal)` fetches data and updates them. `place` has the parts of the path, and the query, which `set` changes.

import { fill } from "./dom.js";
import { refreshNow, stop, watch } from "./live.js";

// The view "dead-letters" is the module dead_letters.js.
const VIEWS = ["queues", "queue", "consumers", "consumer", "dead-letters", "dead-letter-queue", "attempts", "message", "find",
  "connections", "publish", "exchanges", "exchange", "policies", "configuration", "users", "keys", "audit"];
const LISTS = { queue: "queues", exchange: "exchanges", consumer: "consumers", "dead-letter-queue": "dead-letters", message: "attempts" };

let turn = 0;

export async function route() {
  const mine = ++turn;
  const place = read(mine);
  const view = VIEWS.includes(place.path[0]) ? place.path[0] : "now";
  stop();
  const { show } = await import(`./${view.replaceAll("-", "_")}.js`);
  if (mine !== turn) return;
  const main = document.getElementById("main");
  const { title, content, refresh } = await show(place);
  if (mine !== turn) return;
  fill(main, ...content);
  document.title = `${title} · WorkerRMQ`;
  mark(LISTS[place.path[0]] || place.path[0]);
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus();
  await watch(refresh);
}

function read(mine) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(query);
  return {
    path: path.split("/").map(decoded),
    query: given,
    set(changes) {
      if (mine !== turn) return undefined; // called late by a view that is no longer shown
      for (const [key, value] of Object.entries(changes)) {
        if (value === "" || value === null) given.delete(key);
        else given.set(key, value);
      }
      const text = given.toString();
      history.replaceState(null, "", `#/${path}${text ? `?${text}` : ""}`);
      return refreshNow();
    },
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function mark(current) {
  for (const item of document.querySelectorAll("#views a")) {
    if (item.dataset.view === current) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
}
