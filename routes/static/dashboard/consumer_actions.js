// What can be done to a consumer, wherever it is shown.

import { may, patch, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, of } from "./dom.js";
import { refreshNow } from "./live.js";
import { complain, tell } from "./notice.js";

export function pause(name) {
  return change("pauseConsumer", name, `Paused ${name}: it finishes what it holds and takes nothing more.`);
}

export function resume(name) {
  return change("resumeConsumer", name, `Resumed ${name}.`);
}

async function change(path, name, said) {
  try {
    await post(path, { name });
    tell(said);
    await refreshNow();
  } catch (error) {
    complain(error);
  }
}

export function update(name, changes) {
  return patch("updateConsumer", { name, ...changes });
}

export function askToDelete(name, gone) {
  confirmByName({
    title: `Delete the consumer ${name}?`,
    text: "Its queue and the messages in it stay. What it holds is finished, or goes back to the queue.",
    name,
    verb: "Delete consumer",
    async run() {
      await remove("deleteConsumer", { name });
      gone?.();
      return `Deleted the consumer ${name}.`;
    },
  });
}

// The button that fits its state: resume what rests, pause what runs.
export function pauseOrResume(name, desired) {
  if (!may("operator")) return null;
  const act = desired === "enabled" ? () => pause(name) : () => resume(name);
  const verb = desired === "enabled" ? "Pause" : "Resume";
  return button(of(verb, name), act, { class: desired === "enabled" ? "quiet" : "" });
}
