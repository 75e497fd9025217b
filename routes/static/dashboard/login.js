// The login page.

import { logIn } from "./api.js";
import { el, fill } from "./dom.js";
import { form } from "./form.js";

export function showLogin(entered) {
  const asked = form({
    fields: [
      { name: "username", label: "User name", required: true, autocomplete: "username" },
      { name: "password", label: "Password", kind: "password", required: true, autocomplete: "current-password" },
    ],
    submit: "Log in",
    async run({ username, password }) {
      await logIn(username, password);
      entered();
    },
  });
  const heading = el("h1", { tabindex: "-1" }, "WorkerRMQ");
  const about = el("p", {}, "Manage queues, and deliver their messages to HTTP APIs.");
  const more = el("p", {}, el("a", { href: "docs" }, "API documentation"));
  fill(document.getElementById("main"), el("section", { class: "login" }, heading, about, asked.node, more));
  document.title = "Log in · WorkerRMQ";
  asked.value("username").focus();
}
