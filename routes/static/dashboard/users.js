// Users and their roles, for admins.

import { all, get, patch, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, el } from "./dom.js";
import { askFor } from "./fields.js";
import { badge, time } from "./format.js";
import { refreshNow } from "./live.js";
import { complain, tell } from "./notice.js";
import { PAGE_SIZE, ordering, pager, table } from "./table.js";

export const ROLES = "a monitor reads the metrics, a viewer reads everything, a publisher also publishes, an operator also manages queues and consumers, an admin also manages users and applies configurations";

export function show(place) {
  const list = table({
    caption: "Users",
    place,
    empty: "No users.",
    key: (user) => user.username,
    columns: [
      { title: "User", sort: "username", value: (user) => user.username, kind: "wide" },
      { title: "Role", sort: "role", value: (user) => user.role },
      { title: "State", value: (user) => user.disabled, cell: (user) => (user.disabled ? badge("disabled") : "") },
      { title: "Created", sort: "createdAt", falling: true, value: (user) => user.createdAt, cell: (user) => time(user.createdAt) },
      { title: "Changed", sort: "updatedAt", falling: true, value: (user) => user.updatedAt, cell: (user) => time(user.updatedAt) },
      { title: "Actions", value: (user) => [user.disabled, user.role], cell: actions, kind: "actions" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const { data, total } = await get("getUsers", { ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const tools = el("div", { class: "tools" }, button("Create user", createUser));
  return { title: "Users", content: [el("h1", {}, "Users"), tools, ...list.content, pages.node], refresh };
}

function createUser() {
  return askFor("createUser", {
    title: "Create a user",
    own: { username: { label: "User name" }, password: { hint: "12 to 72 bytes" }, role: { hint: ROLES, value: "viewer" } },
    submit: "Create user",
    async run(values) {
      await post("createUser", values);
      return `Created the user ${values.username}.`;
    },
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
  try {
    await patch("updateUser", { username, disabled });
    tell(`${disabled ? "Disabled" : "Enabled"} ${username}.`);
    await refreshNow();
  } catch (error) {
    complain(error);
  }
}

function askToDelete({ username }) {
  confirmByName({
    title: `Delete the user ${username}?`,
    text: "This also ends all sessions of the user.",
    name: username,
    verb: "Delete user",
    async run() {
      await remove("deleteUser", { username });
      return `Deleted ${username}.`;
    },
  });
}
