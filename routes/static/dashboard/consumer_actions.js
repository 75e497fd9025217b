// Actions on consumers, shared by several views.

import { may, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, of } from "./dom.js";
import { plural } from "./format.js";
import { refreshNow } from "./live.js";
import { complain, tell } from "./notice.js";

const SAID = {
  pauseConsumer: (names) => `Paused ${names}. It finishes its messages in flight and takes no more.`,
  resumeConsumer: (names) => `Resumed ${names}.`,
};

// Pauses or resumes consumers, one after another. Each has its name, or the queueName if the queue has only one consumer.
export async function change(path, consumers) {
  const done = [];
  for (const one of consumers) {
    try {
      await post(path, one);
      done.push(one.name || one.queueName);
    } catch (error) {
      complain(error);
    }
  }
  if (done.length) tell(done.length === 1 ? SAID[path](done[0]) : `${path === "pauseConsumer" ? "Paused" : "Resumed"} ${plural(done.length, "consumer")}.`);
  await refreshNow();
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

// Returns a button to pause an enabled consumer, or to resume a paused or suspended one. A suspended one must be changed first.
export function pauseOrResume(name, desired) {
  if (!may("operator")) return null;
  const [verb, path] = desired === "enabled" ? ["Pause", "pauseConsumer"] : ["Resume", "resumeConsumer"];
  return button(of(verb, name), () => change(path, [{ name }]), { class: desired === "paused" ? "" : "quiet" });
}
