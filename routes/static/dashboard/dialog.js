// Dialogs for forms, confirmations and details. The browser's <dialog> traps the focus and closes on Esc. Back closes it, too:
// a dialog has an entry in the browser's history, above that of its view. The entry stays when the dialog closes, because
// history.back() is asynchronous and would revert a navigation that the user starts before it ends.

import { button, el } from "./dom.js";
import { form } from "./form.js";
import { refreshNow } from "./live.js";
import { tell } from "./notice.js";

let left = history.state; // on popstate, the state of the entry that the user has left

function open(title, ...content) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const box = el("article", {}, heading, ...content);
  const dialog = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, box);
  document.body.append(dialog);
  dialog.showModal();
  // Else the entry of a closed dialog serves this one. A filter that was set since has cleared the state (router.js): Back keeps it.
  if (!history.state?.dialog) {
    const pair = Date.now();
    history.replaceState({ view: pair }, "");
    history.pushState({ dialog: pair }, "");
    left = history.state;
  }
  return dialog;
}

// Back closes the open dialogs. From the entry of a closed dialog, it goes on to the entry before the view.
addEventListener("popstate", () => {
  const dialogs = document.querySelectorAll("dialog[open]");
  dialogs.forEach((dialog) => dialog.close());
  if (!dialogs.length && left?.dialog && left.dialog === history.state?.view) history.back();
  left = history.state;
});

export function look(title, ...content) {
  const dialog = open(title, ...content, el("div", { class: "buttons" }, button("Close", () => dialog.close())));
  return dialog;
}

// Opens a form in a dialog. When `run(values, changed)` has finished, it shows the sentence `said` or, without one, the
// sentence that `run` returns, if any.
export function ask({ title, about = [], fields, submit, danger, run, said, focus }) {
  const cancel = button("Cancel", () => dialog.close(), { class: "quiet" });
  const asked = form({
    fields,
    submit,
    danger,
    extra: [cancel],
    async run(values, changed) {
      const view = location.hash;
      const told = await run(values, changed);
      dialog.close();
      if (said ?? told) tell(said ?? told);
      if (location.hash === view) await refreshNow();
    },
  });
  const dialog = open(title, ...about, asked.node);
  if (focus) asked.reveal(focus);
  else dialog.querySelector("input, textarea, select, button")?.focus();
  return { dialog, asked };
}

// For actions that cannot be undone: the button is enabled once the user has typed the name.
export function confirmByName({ text, name, verb, fields = [], ...dialog }) {
  const typed = { name: "typed", label: `Type ${name} to confirm`, required: true };
  const { asked } = ask({ about: [el("p", {}, text)], fields: [typed, ...fields], submit: verb, danger: true, ...dialog });
  const { control } = asked.value("typed");
  const typeable = name.replace(/[\r\n]/g, ""); // browsers remove line breaks in a one-line field
  const check = () => { asked.send.disabled = control.value !== typeable; };
  control.addEventListener("input", check);
  check();
}

// For actions that can be undone or do little harm.
export function confirm({ text, verb, ...dialog }) {
  ask({ about: [el("p", {}, text)], fields: [], submit: verb, ...dialog });
}
