// Users and their roles, for admins.

import { all, patch, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button } from "./dom.js";
import { askFor } from "./fields.js";
import { badge, time } from "./format.js";
import { listView } from "./list.js";
import { refreshNow } from "./live.js";
import { tell } from "./notice.js";

export const ROLES = "a monitor reads the metrics, a viewer reads everything, a publisher also publishes, an operator also manages queues and consumers, an admin also manages users and applies configurations";

export function show(place) {
  return listView(place, {
    title: "Users",
    path: "getUsers",
    tools: [button("Create user", createUser)],
    empty: "No users.",
    key: (user) => user.username,
    columns: [
      { title: "User", sort: "username", kind: "wide" },
      { title: "Role", sort: "role" },
      { title: "State", field: "disabled", cell: (user) => (user.disabled ? badge("disabled") : "") },
      { title: "Created", sort: "createdAt", falling: true, format: time },
      { title: "Changed", sort: "updatedAt", falling: true, format: time },
      { title: "Actions", value: (user) => [user.disabled, user.role], cell: actions, kind: "actions" },
    ],
  });
}

function createUser() {
  return askFor("createUser", {
    title: "Create a user",
    own: { username: { label: "User name" }, password: { hint: "12 to 72 bytes" }, role: { hint: ROLES, value: "viewer" } },
    submit: "Create user",
    said: (values) => `Created the user ${values.username}.`,
  });
}

function actions(user) {
  const named = (verb) => ({ class: "quiet", "aria-label": `${verb} ${user.username}` });
  const turn = user.disabled ? "Enable" : "Disable";
  return [
    button("Edit", () => edit(user), named("Edit")),
    button(turn, () => setDisabled(user, !user.disabled), named(turn)),
    button("Delete", () => askToDelete(user), named("Delete")),
  ];
}

function edit(user) {
  return askFor("updateUser", {
    title: `Edit ${user.username}`,
    omit: ["username", "disabled"],
    values: user,
    current: async () => (await all("getUsers", { name: user.username })).find(({ username }) => username === user.username),
    own: { role: { hint: ROLES, required: true }, password: { label: "New password", hint: "empty: unchanged; a new password ends all sessions of the user" } },
    submit: "Save",
    async run(values, changed) {
      if (!changed.size) return "Nothing was changed.";
      await patch("updateUser", { username: user.username, ...Object.fromEntries([...changed].map((name) => [name, values[name]])) });
      return `Changed ${user.username}.`;
    },
  });
}

async function setDisabled({ username }, disabled) {
  await patch("updateUser", { username, disabled });
  tell(`${disabled ? "Disabled" : "Enabled"} ${username}.`);
  await refreshNow();
}

function askToDelete({ username }) {
  confirmByName({
    title: `Delete the user ${username}?`,
    text: "This also ends all sessions of the user.",
    name: username,
    verb: "Delete user",
    run: () => remove("deleteUser", { username }),
    said: `Deleted ${username}.`,
  });
}
