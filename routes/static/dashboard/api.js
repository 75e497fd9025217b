// The client of the public API, and the login session. All requests of the dashboard use this module.
//
// The token is kept in sessionStorage and sent in the Authorization header. The API uses no cookies, so CSRF is impossible;
// the token is deleted with its last tab, and no other site can read it. A new tab gets the token from an open one, so that
// a deep link needs no login. A foreign script in this page could, but the
// content security policy blocks such scripts, and the page never makes markup from text.

import { save } from "./notice.js";

const KEPT = "workerrmq.session";
const RANKS = ["monitor", "viewer", "publisher", "operator", "admin"];

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || `The service answered ${status}.`);
    this.status = status;
    this.code = problem.code || "";
    this.errors = problem.errors || [];
    this.requestId = problem.requestId || "";
  }
}

export const session = {
  get current() {
    return JSON.parse(sessionStorage.getItem(KEPT) || "null");
  },
  end() {
    tabs.postMessage({ ended: session.current?.token });
    forget();
  },
  // Takes over the session of another tab, and calls `start`. Calls it without a session if no tab has answered after `wait`
  // milliseconds, and again if a busy tab answers later.
  fromOtherTab(start, wait = 150) {
    answered = start;
    tabs.postMessage({ asks: true });
    setTimeout(() => session.current || start(), wait);
  },
};

let changing = null; // the request that changes the password: the service refuses the old token before the answer with the new one

// Browsers deliver its messages only to pages of the same origin.
const tabs = new BroadcastChannel(KEPT);
let answered = null; // what takes over the session of another tab
// An answer must not replace a login form that the user has begun to fill in.
addEventListener("input", () => { answered = null; }, { once: true });
tabs.onmessage = ({ data: { asks, given, ended } }) => {
  if (asks && session.current) tabs.postMessage({ given: session.current });
  if (given && answered && !session.current) {
    sessionStorage.setItem(KEPT, JSON.stringify(given));
    answered();
  }
  if (ended && ended === session.current?.token && !changing) forget();
};

function forget() {
  answered = null;
  sessionStorage.removeItem(KEPT);
  dispatchEvent(new Event("loggedout"));
}

export function may(role) {
  return RANKS.indexOf(session.current?.role) >= RANKS.indexOf(role);
}

export async function logIn(username, password) {
  keep(username, (await send("POST", "login", { body: { username, password } })).data);
}

// Ends all other logins of the user. Other requests wait for the new token. Throws Refused.
export async function changePassword(passwords) {
  const sent = send("POST", "changePassword", { body: passwords });
  changing = sent.then(({ data }) => keep(session.current.username, data)).finally(() => { changing = null; });
  await changing;
}

function keep(username, { role, token }) {
  sessionStorage.setItem(KEPT, JSON.stringify({ username, role, token }));
}

export async function logOut() {
  try {
    await send("POST", "logout");
  } catch (error) {
    if (error.status !== 401) throw error;
  } finally {
    session.end();
  }
}

export const get = (path, query, signal) => send("GET", path, { query, signal });
export const post = (path, body, signal) => send("POST", path, { body, signal });
export const patch = (path, body) => send("PATCH", path, { body });
export const remove = (path, body) => send("DELETE", path, { body });

// Returns the items of all pages of a list.
export async function all(path, query, signal) {
  const items = [];
  for (let page = 1; ; page += 1) {
    const { data, total } = await get(path, { ...query, page, pageSize: 500 }, signal);
    items.push(...data);
    if (items.length >= total || !data.length) return items;
  }
}

// Saves the answer as a file. Throws Refused.
export async function download(path, query, filename) {
  const { data } = await send("GET", path, { query, read: (answer) => answer.blob() });
  save(data, filename);
}

// Returns { data, total }. Throws Refused, or AbortError if the signal aborts.
async function send(method, path, { query, body, signal, read } = {}) {
  await changing?.catch(() => {});
  const given = Object.entries(query || {}).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const url = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const headers = {};
  const token = session.current?.token;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: "The service does not answer. Is it running, and is the network up?" });
  }
  const data = answer.ok && read ? await read(answer) : await contentOf(answer);
  if (answer.ok) return { data, total: Number(answer.headers.get("X-Total-Count") || 0) };
  if (answer.status === 401 && token && token === session.current?.token && !changing) session.end(); // unless the user has logged in again meanwhile
  throw new Refused(answer.status, data);
}

// An error may come from a proxy, without JSON.
async function contentOf(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!answer.ok) return {};
    throw new Refused(0, { detail: "The answer is incomplete, or not from the service. The request may have been carried out." });
  }
}
