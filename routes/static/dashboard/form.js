// Builds forms from a list of fields, and shows the API's field errors beside the fields.
//
// A field is { name, label, kind, value, hint, options, required, read }: `kind` is text, number, password, area, select,
// check or datetime-local; `read(text)` converts the text to the API's value, and may throw an Error with a sentence.

import { Refused } from "./api.js";
import { el } from "./dom.js";

let made = 0;

export function form({ fields, submit, danger, run, extra = [] }) {
  const inputs = fields.map((field) => input(field));
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const send = el("button", { type: "submit", class: danger ? "danger" : "" }, submit);
  const node = el("form", { novalidate: true, onsubmit: onSubmit }, ...inputs.map((one) => one.node), problem);
  const buttons = el("div", { class: "buttons" }, send, ...extra);
  node.append(buttons);

  async function onSubmit(event) {
    event.preventDefault();
    complain("");
    inputs.forEach((one) => one.complain(""));
    let values;
    try {
      values = read(inputs);
    } catch (error) {
      complain(error.message);
      return;
    }
    send.disabled = true;
    send.setAttribute("aria-busy", "true");
    try {
      await run(values, new Set(inputs.filter((one) => one.changed()).map((one) => one.field.name)));
    } catch (error) {
      if (!(error instanceof Refused) || !node.isConnected) throw error; // the dialog may have been closed
      refuse(error);
    } finally {
      send.disabled = false;
      send.removeAttribute("aria-busy");
    }
  }

  function refuse(error) {
    complain(error.message);
    for (const { field, detail } of error.errors) {
      inputs.find((one) => field === one.field.name || field.startsWith(`${one.field.name}.`))?.complain(detail);
    }
    inputs.find((one) => one.wrong())?.focus();
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  return { node, send, value: (name) => inputs.find((one) => one.field.name === name) };
}

function read(inputs) {
  const values = {};
  for (const one of inputs) {
    try {
      values[one.field.name] = one.read();
    } catch (error) {
      one.complain(error.message);
      one.focus();
      throw new Error(`${one.field.label}: ${error.message}`);
    }
  }
  return values;
}

function input(field) {
  const id = `field-${++made}`;
  const control = controlOf(field, id);
  const wrong = el("small", { class: "wrong", id: `${id}-wrong`, hidden: true });
  const hint = field.hint ? el("small", { id: `${id}-hint` }, field.hint) : null;
  control.setAttribute("aria-describedby", `${hint ? `${id}-hint ` : ""}${id}-wrong`);
  const label = el("label", { for: id }, field.label);
  const parts = field.kind === "check" ? [control, label] : [label, control];
  const initial = text(control);
  return {
    field,
    node: el("div", { class: field.kind === "check" ? "field check" : "field" }, ...parts, hint, wrong),
    focus: () => control.focus(),
    control,
    changed: () => text(control) !== initial,
    wrong: () => control.getAttribute("aria-invalid") === "true",
    complain(sentence) {
      wrong.textContent = sentence;
      wrong.hidden = !sentence;
      if (sentence) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
    read() {
      const given = text(control);
      // The value of an incomplete date or an invalid number is empty.
      if (control.validity.badInput) throw new Error(field.kind === "number" ? "must be a number" : "is not complete");
      if (field.required && given === "") throw new Error("is required");
      if (field.read) return field.read(given);
      if (field.kind === "check") return control.checked;
      if (given === "") return undefined;
      return field.kind === "number" ? Number(given) : given;
    },
  };
}

function text(control) {
  return control.type === "checkbox" ? String(control.checked) : control.type === "password" ? control.value : control.value.trim();
}

function controlOf(field, id) {
  const common = { id, name: field.name, required: field.required, autocomplete: field.autocomplete || "off" };
  const value = field.value ?? "";
  if (field.kind === "area") {
    const area = el("textarea", { ...common, rows: field.rows || 4, spellcheck: "false" });
    area.value = value;
    return area;
  }
  if (field.kind === "select") {
    const options = field.options.map(([key, shown]) => el("option", { value: key, selected: key === value }, shown));
    return el("select", common, ...options);
  }
  if (field.kind === "check") return el("input", { ...common, type: "checkbox", checked: Boolean(value) });
  const box = el("input", { ...common, type: field.kind || "text", step: field.kind === "number" ? "any" : null, autocapitalize: "none", spellcheck: "false" });
  box.value = value;
  return box;
}

// Parses an optional JSON value, such as headers.
export function json(given) {
  if (given === "") return undefined;
  try {
    return JSON.parse(given);
  } catch (error) {
    throw new Error(`is not JSON: ${error.message}`);
  }
}
