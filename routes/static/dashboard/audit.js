// The audit log, for admins.

import { changes, time } from "./format.js";
import { filters, listView } from "./list.js";
import { search, times } from "./table.js";

export function show(place) {
  return listView(place, {
    title: "Audit log",
    path: "getAuditLog",
    query: () => filters(place, ["user", "action", "resource", "since", "until"]),
    about: "Changes of the last 90 days, including refused ones, with the values before and after. Filters match whole names.",
    tools: [search(place, "User", "user"), search(place, "Action", "action"), search(place, "Resource", "resource"), ...times(place)],
    empty: "No entries match.",
    key: (entry) => entry.requestId + entry.at,
    columns: [
      { title: "At", sort: "at", falling: true, format: time },
      { title: "User", sort: "user", value: (entry) => entry.user || "" },
      { title: "Action", sort: "action" },
      { title: "Resource", value: (entry) => Object.values(entry.resource).join(", "), kind: "wide" },
      { title: "Changes", field: "changes", format: changes, kind: "wide first" },
      { title: "Status", sort: "status", kind: "number" },
      { title: "From", sort: "remote" },
    ],
  });
}
