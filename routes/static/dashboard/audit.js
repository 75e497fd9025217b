// The audit log, for admins.

import { get } from "./api.js";
import { el } from "./dom.js";
import { changes, time } from "./format.js";
import { PAGE_SIZE, ordering, pager, search, table, times } from "./table.js";

export function show(place) {
  const list = table({
    caption: "Audit log",
    place,
    empty: "No entries match.",
    key: (entry) => entry.requestId + entry.at,
    columns: [
      { title: "At", sort: "at", falling: true, value: (entry) => entry.at, cell: (entry) => time(entry.at) },
      { title: "User", sort: "user", value: (entry) => entry.user || "" },
      { title: "Action", sort: "action", value: (entry) => entry.action },
      { title: "Resource", value: (entry) => Object.values(entry.resource).join(", "), kind: "wide" },
      { title: "Changes", value: (entry) => entry.changes, cell: (entry) => changes(entry.changes), kind: "wide first" },
      { title: "Status", sort: "status", value: (entry) => entry.status, kind: "number" },
      { title: "From", sort: "remote", value: (entry) => entry.remote },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const query = Object.fromEntries(["user", "action", "resource", "since", "until"].map((name) => [name, place.query.get(name)]));
    const { data, total } = await get("getAuditLog", { ...query, ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const tools = el("div", { class: "tools" }, search(place, "User", "user"), search(place, "Action", "action"), search(place, "Resource", "resource"), ...times(place));
  const about = el("p", {}, "Changes of the last 90 days, including refused ones, with the values before and after. Filters match whole names.");
  return { title: "Audit log", content: [el("h1", {}, "Audit log"), about, tools, ...list.content, pages.node], refresh };
}
