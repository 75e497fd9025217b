// Actions on a consumer, shared by several views.

import { may, patch, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, of } from "./dom.js";
import { refreshNow } from "./live.js";
import { complain, tell } from "./notice.js";

export function pause(name) {
  return change("pauseConsumer", { name }, `Paused ${name}. It finishes its messages in flight and takes no more.`);
}

// `consumer` has its name, or the queueName if the queue has only one consumer.
export function resume(consumer) {
  return change("resumeConsumer", consumer, `Resumed ${consumer.name || consumer.queueName}.`);
}

async function change(path, consumer, said) {
  try {
    await post(path, consumer);
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
    text: "Its queue and the messages in it stay. Messages in flight are finished, or go back to the queue.",
    name,
    verb: "Delete consumer",
    async run() {
      await remove("deleteConsumer", { name });
      gone?.();
      return `Deleted the consumer ${name}.`;
    },
  });
}

// Returns a button to pause an enabled consumer, or to resume a paused or suspended one.
export function pauseOrResume(name, desired) {
  if (!may("operator")) return null;
  const act = desired === "enabled" ? () => pause(name) : () => resume({ name });
  const verb = desired === "enabled" ? "Pause" : "Resume";
  return button(of(verb, name), act, { class: desired === "enabled" ? "quiet" : "" });
}
