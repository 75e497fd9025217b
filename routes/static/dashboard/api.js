// The public API over fetch, and who is logged in. Every request of the dashboard goes through here.
//
// The token lives in sessionStorage and travels in the Authorization header. So the API needs no cookie: nothing is sent
// that the page did not mean to send (no CSRF), it ends with the tab, and no other tab or site has it. What could read it
// is a script of somebody else in this page; the content security policy lets none run, and text is never made markup.

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
    sessionStorage.removeItem(KEPT);
    dispatchEvent(new Event("loggedout"));
  },
};

export function may(role) {
  return RANKS.indexOf(session.current?.role) >= RANKS.indexOf(role);
}

export async function logIn(username, password) {
  const { data } = await send("POST", "login", { body: { username, password } });
  sessionStorage.setItem(KEPT, JSON.stringify({ username, role: data.role, token: data.token }));
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

// All pages of a list.
export async function all(path, query, signal) {
  const items = [];
  for (let page = 1; ; page += 1) {
    const { data, total } = await get(path, { ...query, page, pageSize: 500 }, signal);
    items.push(...data);
    if (items.length >= total || !data.length) return items;
  }
}

// What came back as { data, total }; raises Refused, and AbortError when the signal says so.
async function send(method, path, { query, body, signal } = {}) {
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
  const data = await contentOf(answer);
  if (answer.ok) return { data, total: Number(answer.headers.get("X-Total-Count") || 0) };
  if (answer.status === 401 && token && token === session.current?.token) session.end(); // somebody may have come in since
  throw new Refused(answer.status, data);
}

// What says no need not be the service: a proxy's words are no JSON.
async function contentOf(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!answer.ok) return {};
    throw new Refused(0, { detail: "The answer broke off, or is not the service's. What was asked for may have been done." });
  }
}
