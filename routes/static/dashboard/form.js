// Builds forms from a list of fields, and shows the API's field errors beside the fields.
//
// A field is { name, label, kind, value, hint, options, required, read, suggest, more }: `kind` is text, number, password,
// area, select, check, file, datetime-local, or group or choice, which contain further fields; `read(text)` converts the text
// to the API's value, and may throw an Error with a sentence; `suggest(text)` returns texts to offer. Fields with `more`
// are below a heading that opens. fields.js makes fields from the API's description.

import { Refused } from "./api.js";
import { el, fill } from "./dom.js";

const MASK = "**********"; // the API's, in place of a secret
let made = 0;

class Told extends Error {} // its field has the sentence already

export function form({ fields, submit, danger, run, extra = [] }) {
  const inputs = fields.map(input);
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const send = el("button", { type: "submit", class: danger ? "danger" : "" }, submit);
  const [shown, more] = [false, true].map((later) => inputs.filter((one) => Boolean(one.field.more) === later).map((one) => one.node));
  const rest = more.length ? el("details", { class: "more" }, el("summary", {}, "More settings"), ...more) : null;
  const node = el("form", { novalidate: true, onsubmit: onSubmit }, ...shown, rest, el("div", { class: "foot" }, problem, el("div", { class: "buttons" }, send, ...extra)));

  async function onSubmit(event) {
    event.preventDefault();
    complain("");
    inputs.forEach((one) => one.complain(""));
    let values;
    try {
      values = readAll(inputs);
    } catch (error) {
      complain(error.message);
      return;
    }
    send.disabled = true;
    send.setAttribute("aria-busy", "true");
    try {
      await run(values, new Set(inputs.filter((one) => one.changed()).map((one) => one.field.name)));
    } catch (error) {
      if (!(error instanceof Refused || error instanceof SyntaxError) || !node.isConnected) throw error; // the dialog may have been closed
      complain(error.message);
      for (const { field, detail } of error.errors || []) blame(inputs, field, detail);
      node.querySelector("[aria-invalid]")?.focus();
    } finally {
      send.disabled = false;
      send.removeAttribute("aria-busy");
    }
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  function reveal(name) {
    const one = inputs.find(({ field }) => field.name === name);
    unfold(one);
    one.focus();
  }

  return { node, send, reveal, value: (name) => inputs.find((one) => one.field.name === name) };
}

// Shows an error of the API, which names the field by its path, such as retry.jitter.
function blame(inputs, path, detail) {
  const one = inputs.find(({ field }) => path === field.name || path.startsWith(`${field.name}.`));
  one?.complain(detail, path.slice(one.field.name.length + 1));
  if (one) unfold(one);
}

function unfold({ node }) {
  const folded = node.closest("details");
  if (folded) folded.open = true;
}

function readAll(inputs) {
  const values = {};
  for (const one of inputs) {
    try {
      values[one.field.name] = one.read();
    } catch (error) {
      if (error instanceof Told) throw error;
      one.complain(error.message);
      unfold(one);
      one.focus();
      throw new Told(`${one.field.label}: ${error.message}`);
    }
  }
  return values;
}

function input(field) {
  return field.kind === "group" ? group(field) : field.kind === "choice" ? choice(field) : single(field);
}

// Fields that are one object of the API. One that has been emptied gets its default.
function group(field) {
  const inner = field.fields.map(input);
  return {
    field,
    node: el("fieldset", {}, el("legend", {}, field.label), field.hint && el("small", {}, field.hint), ...inner.map((one) => one.node)),
    focus: () => inner[0].focus(),
    changed: () => inner.some((one) => one.changed()),
    complain: (sentence, path = "") => (sentence ? blame(inner, path || inner[0].field.name, sentence) : inner.forEach((one) => one.complain(""))),
    read() {
      const values = readAll(inner);
      for (const one of inner) if (values[one.field.name] === undefined && one.changed()) values[one.field.name] = one.field.fallback ?? null;
      return given(values);
    },
  };
}

// A select field whose options may be objects with further fields, which appear below it. An option is
// { key, text, value, constant, fields }.
function choice(field) {
  const at = single({ ...field, kind: "select", read: undefined, options: field.options.map(({ key, text }) => [key, text]) });
  const place = el("div", { class: "inner" });
  let inner = [];
  const chosen = () => field.options.find(({ key }) => key === at.control.value);
  function showFields() {
    inner = (chosen().fields || []).map(input);
    fill(place, chosen().hint && el("small", {}, chosen().hint), ...inner.map((one) => one.node));
  }
  at.control.addEventListener("change", showFields);
  showFields();
  return {
    field,
    node: el("div", { class: "choice" }, at.node, place),
    focus: at.focus,
    control: at.control,
    changed: () => at.changed() || inner.some((one) => one.changed()),
    complain(sentence, path = "") {
      const found = inner.find((one) => path.split(".").includes(one.field.name)); // the path may name the option, too
      if (!sentence) inner.forEach((one) => one.complain(""));
      if (found && sentence) found.complain(sentence);
      else at.complain(sentence);
    },
    read: () => (chosen().fields ? { ...chosen().constant, ...given(readAll(inner)) } : chosen().value),
  };
}

function given(values) {
  const known = Object.entries(values).filter(([, value]) => value !== undefined);
  return known.length ? Object.fromEntries(known) : undefined;
}

function single(field) {
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
    node: el("div", { class: field.kind === "check" ? "field check" : "field" }, ...parts, field.suggest && offers(control, field), hint, wrong),
    focus: () => control.focus(),
    control,
    changed: () => text(control) !== initial,
    complain(sentence) {
      wrong.textContent = sentence;
      wrong.hidden = !sentence;
      if (sentence) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
    read() {
      const typed = text(control);
      // The value of an incomplete date or an invalid number is empty.
      if (control.validity.badInput) throw new Error(field.kind === "number" ? "must be a number" : "is not complete");
      if (field.required && typed === "") throw new Error("is required");
      if (field.read) return field.read(typed);
      if (field.kind === "check") return control.checked;
      if (typed === "") return undefined;
      return field.kind === "number" ? Number(typed) : typed;
    },
  };
}

function text(control) {
  return control.type === "checkbox" ? String(control.checked) : control.type === "file" ? "" : control.type === "password" ? control.value : control.value.trim();
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
  if (field.kind === "password") box.addEventListener("beforeinput", () => { if (box.value === MASK) box.value = ""; }); // a new secret never contains the mask
  return box;
}

// A list of texts that the browser offers while the user types.
function offers(control, { suggest }) {
  const list = el("datalist", { id: `${control.id}-offers` });
  control.setAttribute("list", list.id);
  let timer = 0, last = 0;
  async function look() {
    const asked = ++last;
    const found = await suggest(control.value.trim());
    if (asked === last) fill(list, ...found.map((one) => el("option", { value: one })));
  }
  control.addEventListener("focus", look, { once: true });
  control.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 200);
  });
  return list;
}
