// The connections to the broker, including the service's own.

import { get, may, remove } from "./api.js";
import { confirm } from "./dialog.js";
import { button, el } from "./dom.js";
import { badge, time } from "./format.js";
import { PAGE_SIZE, ordering, pager, table } from "./table.js";

export function show(place) {
  const list = table({
    caption: "Connections",
    place,
    empty: "No connections.",
    key: (one) => one.connectionId,
    columns: [
      { title: "Connection", sort: "connectionName", value: (one) => [one.connectionId, one.connectionName], cell: name, kind: "wide" },
      { title: "State", sort: "state", value: (one) => one.state, cell: (one) => badge(one.state) },
      { title: "User", sort: "user", value: (one) => one.user },
      { title: "Channels", sort: "channels", value: (one) => one.channels, kind: "number" },
      { title: "TLS", value: (one) => (one.tls ? "yes" : "no") },
      { title: "Since", sort: "connectedAt", falling: true, value: (one) => one.connectedAt, cell: (one) => time(one.connectedAt) },
      { title: "Actions", value: () => "", cell: (one) => (may("operator") ? closer(one) : ""), kind: "actions" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const { data, total } = await get("getConnections", { ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  return { title: "Connections", content: [el("h1", {}, "Connections"), ...list.content, pages.node], refresh };
}

function name(one) {
  return one.connectionName ? [one.connectionName, el("small", {}, one.connectionId)] : [one.connectionId];
}

function closer({ connectionId, connectionName }) {
  const close = () => confirm({
    title: "Close this connection?",
    text: `${connectionName || connectionId} is closed from the broker's side. Its unacked messages go back to their queues. Most clients reconnect.`,
    verb: "Close connection",
    async run() {
      await remove("closeConnection", { connectionId });
      return "Closed the connection.";
    },
  });
  return button("Close", close, { class: "quiet", "aria-label": `Close ${connectionId}` });
}
