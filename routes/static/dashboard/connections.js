// The connections to the broker, including the service's own.

import { may, remove } from "./api.js";
import { confirm } from "./dialog.js";
import { button, el } from "./dom.js";
import { badge, time } from "./format.js";
import { listView } from "./list.js";

export function show(place) {
  return listView(place, {
    title: "Connections",
    path: "getConnections",
    empty: "No connections.",
    key: (one) => one.connectionId,
    columns: [
      { title: "Connection", sort: "connectionName", value: (one) => [one.connectionId, one.connectionName], cell: name, kind: "wide" },
      { title: "State", sort: "state", format: badge },
      { title: "User", sort: "user" },
      { title: "Channels", sort: "channels", kind: "number" },
      { title: "TLS", value: (one) => (one.tls ? "yes" : "no") },
      { title: "Since", sort: "connectedAt", falling: true, format: time },
      { title: "Actions", value: () => "", cell: (one) => (may("operator") ? closer(one) : ""), kind: "actions" },
    ],
  });
}

function name(one) {
  return one.connectionName ? [one.connectionName, el("small", {}, one.connectionId)] : [one.connectionId];
}

function closer({ connectionId, connectionName }) {
  const close = () => confirm({
    title: "Close this connection?",
    text: `${connectionName || connectionId} is closed from the broker's side. Its unacked messages go back to their queues. Most clients reconnect.`,
    verb: "Close connection",
    run: () => remove("closeConnection", { connectionId }),
    said: "Closed the connection.",
  });
  return button("Close", close, { class: "quiet", "aria-label": `Close ${connectionId}` });
}
