// Shows the view that the part of the URL after # names. Views are modules, loaded when they are first needed.
//
// A view exports `show(place)`, which returns { title, content, refresh }: `content` are nodes, created once, and
// `refresh(signal)` fetches data and updates them. `place` has the parts of the path, and the query, which `set` changes.

import { fill } from "./dom.js";
import { refreshNow, stop, watch } from "./live.js";

const VIEWS = {
  "": () => import("./now.js"),
  queues: () => import("./queues.js"),
  queue: () => import("./queue.js"),
  consumers: () => import("./consumers.js"),
  consumer: () => import("./consumer.js"),
  "dead-letters": () => import("./dead_letters.js"),
  "dead-letter-queue": () => import("./dead_letter_queue.js"),
  attempts: () => import("./attempts.js"),
  message: () => import("./message.js"),
  find: () => import("./find.js"),
  connections: () => import("./connections.js"),
  publish: () => import("./publish.js"),
  exchanges: () => import("./exchanges.js"),
  exchange: () => import("./exchange.js"),
  policies: () => import("./policies.js"),
  configuration: () => import("./configuration.js"),
  users: () => import("./users.js"),
  keys: () => import("./keys.js"),
  audit: () => import("./audit.js"),
};
const LISTS = { queue: "queues", exchange: "exchanges", consumer: "consumers", "dead-letter-queue": "dead-letters", message: "attempts" };

let turn = 0;

export async function route() {
  const mine = ++turn;
  const place = read(mine);
  const load = VIEWS[Object.hasOwn(VIEWS, place.path[0]) ? place.path[0] : ""];
  stop();
  const { show } = await load();
  if (mine !== turn) return;
  const main = document.getElementById("main");
  const view = await show(place);
  if (mine !== turn) return;
  fill(main, ...view.content);
  document.title = `${view.title} · WorkerRMQ`;
  mark(LISTS[place.path[0]] || place.path[0]);
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus();
  await watch(view.refresh);
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
