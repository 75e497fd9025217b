// API keys, for admins. A key is shown only once, after its creation.

import { post, remove } from "./api.js";
import { confirmByName, look } from "./dialog.js";
import { button, el } from "./dom.js";
import { askFor } from "./fields.js";
import { ago, time } from "./format.js";
import { listView } from "./list.js";
import { copy } from "./notice.js";
import { ROLES } from "./users.js";

export function show(place) {
  return listView(place, {
    title: "API keys",
    path: "getApiKeys",
    tools: [button("Create API key", createKey)],
    empty: "No API keys.",
    key: (key) => key.name,
    columns: [
      { title: "Key", sort: "name", kind: "wide" },
      { title: "Role", sort: "role" },
      { title: "Queues", value: (key) => key.queues.join(", ") || "all", kind: "wide" },
      { title: "Expires", sort: "expiresAt", cell: (key) => (key.expiresAt ? time(key.expiresAt) : "never") },
      { title: "Last used", sort: "lastUsedAt", falling: true, value: (key) => ago(key.lastUsedAt) },
      { title: "Created by", sort: "createdBy" },
      { title: "Actions", value: () => "", cell: (key) => button("Delete", () => askToDelete(key), { class: "quiet", "aria-label": `Delete ${key.name}` }), kind: "actions" },
    ],
  });
}

function createKey() {
  return askFor("createApiKey", {
    title: "Create an API key",
    own: { role: { hint: ROLES, value: "publisher" } },
    submit: "Create API key",
    async run(values) {
      const { data } = await post("createApiKey", values);
      const shown = el("input", { readonly: true, value: data.key, "aria-label": "The key", onfocus: () => shown.select() });
      setTimeout(() => look(`The key ${values.name}`, el("p", {}, "Copy the key now. It is never shown again."), shown, button("Copy", () => copy(data.key))));
    },
  });
}

function askToDelete({ name }) {
  confirmByName({
    title: `Delete the API key ${name}?`,
    text: "Requests with this key are rejected at once.",
    name,
    verb: "Delete API key",
    run: () => remove("deleteApiKey", { name }),
    said: `Deleted the API key ${name}.`,
  });
}
