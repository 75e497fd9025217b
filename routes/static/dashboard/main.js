// The page: login, navigation and the current view.

import { Refused, changePassword, logOut, may, session } from "./api.js";
import { look } from "./dialog.js";
import { address, button, el, fill, terms } from "./dom.js";
import { stop } from "./live.js";
import { showLogin } from "./login.js";
import { complain } from "./notice.js";
import { route } from "./router.js";

const VIEWS = [
  ["", "Now", "viewer"],
  ["queues", "Queues", "viewer"],
  ["consumers", "Consumers", "viewer"],
  ["dead-letters", "Dead letters", "viewer"],
  ["exchanges", "Exchanges", "viewer"],
  ["policies", "Policies", "viewer"],
  ["attempts", "Attempts", "viewer"],
  ["connections", "Connections", "viewer"],
  ["publish", "Publish", "publisher"],
  ["users", "Users", "admin"],
  ["keys", "API keys", "admin"],
  ["audit", "Audit log", "admin"],
  ["configuration", "Configuration", "admin"],
];

function start() {
  const current = session.current;
  const top = document.getElementById("top");
  top.hidden = !current;
  if (!current) {
    stop();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    showLogin(start);
    return;
  }
  const items = VIEWS.filter(([, , role]) => may(role)).map(([view, title]) =>
    el("li", {}, el("a", { href: `#/${view}`, "data-view": view }, title)));
  fill(document.getElementById("views"), ...items);
  const who = el("span", {}, current.username === current.role ? current.role : `${current.username}, ${current.role}`);
  fill(document.getElementById("who"), who, button("Change password", askForPassword, { class: "quiet" }), button("Log out", logOut, { class: "quiet" }));
  route();
}

// Loaded when it is needed, like the views.
async function askForPassword() {
  const { askFor } = await import("./fields.js");
  return askFor("changePassword", {
    title: "Change your password",
    about: [el("p", {}, "All your other logins end.")],
    own: { newPassword: { hint: "12 to 72 bytes" }, currentPassword: { autocomplete: "current-password" } },
    submit: "Change password",
    async run(values) {
      await changePassword(values);
      return "Changed your password.";
    },
  });
}

const menu = document.getElementById("menu");
function openMenu(open) {
  menu.setAttribute("aria-expanded", String(open));
  document.getElementById("top").classList.toggle("open", open);
}
menu.addEventListener("click", () => openMenu(menu.getAttribute("aria-expanded") !== "true"));

addEventListener("hashchange", () => {
  openMenu(false);
  if (session.current) route();
});
addEventListener("loggedout", start);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after # names a view
  document.querySelector("main h1").focus();
});
const finder = document.getElementById("find");
finder.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = finder.elements.text.value.trim();
  if (wanted) location.hash = address(["find", wanted]);
});
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof Refused) event.preventDefault(); // the service's answer is no fault of the page
  complain(event.reason);
});
const KEYS = [["/", "Find a message, queue or consumer"], ["Esc, or Back", "Close a dialog"], ["Tab, Shift+Tab", "Next, previous field or button"], ["?", "Show the keys"]];
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, textarea, select, dialog")) return;
  if (event.key === "?" && session.current) {
    look("Keys", el("dl", { class: "facts" }, ...terms(KEYS)));
  }
  if (event.key !== "/") return;
  event.preventDefault();
  finder.elements.text.select();
});
if (session.current) start();
else session.fromOtherTab(start);
