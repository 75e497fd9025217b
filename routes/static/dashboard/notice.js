// Short messages about results and errors. Screen readers announce them.

import { button, el } from "./dom.js";

const SHOWN = 8000; // milliseconds; errors stay until they are closed

export function tell(text) {
  show(text, "good", null);
}

export function complain(error) {
  if (error.name === "AbortError") return;
  const where = error.requestId ? ` (request ${error.requestId})` : "";
  show(`${error.message}${where}`, "bad", "alert");
}

// Saves a text or a Blob as a file.
export function save(content, filename, type) {
  const file = URL.createObjectURL(new Blob([content], type && { type }));
  Object.assign(document.createElement("a"), { href: file, download: filename }).click();
  URL.revokeObjectURL(file);
}

// Browsers permit navigator.clipboard only with HTTPS or on this machine.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    tell(`Copied ${text.length > 60 ? "the text" : text}.`);
  } catch {
    complain(new Error(`The browser does not permit copying here. Copy it by hand: ${text}`));
  }
}

function show(text, tone, role) {
  const close = button("Close", () => note.remove(), { class: "quiet", "aria-label": "Close this message" });
  const note = el("div", { class: `notice ${tone}`, role }, el("span", {}, text), close);
  const place = document.getElementById("notices");
  place.append(note);
  while (place.children.length > 4) place.firstChild.remove();
  if (tone === "good") setTimeout(() => note.remove(), SHOWN);
}
