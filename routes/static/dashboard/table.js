// A table that is updated in place: only cells whose value has changed are rebuilt, so that focus, selection and scroll
// position survive a refresh. In a narrow window each row is a card. The pager and the filters use the API's parameters.

import { button, el, fill } from "./dom.js";
import { count } from "./format.js";

export const PAGE_SIZE = 50;

// `columns`: { title, field, sort, value(row), format(value), cell(row), kind }. With a `place`, the API sorts by the field
// `sort` of a column. `value`, by default that of the `field` or of `sort`, is compared, and shown in `format` unless there is
// a `cell`. `kind` is "number" (right-aligned), "wide" (may wrap) or "actions". With `choose`, rows have a checkbox unless
// `choose.name(row)`, its name, is empty; `chosen` has their keys, and `choose.changed()` is called when it changes.
export function table({ caption, columns, key, empty, place, choose }) {
  const shown = new Map();
  const chosen = new Set();
  const body = el("tbody");
  const head = columns.map((one) => el("th", { scope: "col", class: one.kind || "" }, one.sort && place ? sorter(place, one) : one.title));
  const name = el("caption", { class: "hidden" }, caption);
  const nothing = el("p", { class: "empty", hidden: true }, empty);
  const frame = el("table", {}, name, el("thead", {}, el("tr", {}, ...head)), body);
  const scroller = el("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": caption }, frame);

  function show(rows) {
    const wanted = new Set();
    let before = null;
    for (const row of rows) {
      const id = key(row);
      wanted.add(id);
      const line = shown.get(id) || shown.set(id, newLine(columns)).get(id);
      if (choose && !line.box) line.box = checkbox(id, choose.name(row));
      update(line, row, columns);
      const next = before ? before.nextSibling : body.firstChild;
      if (next !== line.node) body.insertBefore(line.node, next);
      before = line.node;
    }
    for (const [id, line] of shown) {
      if (wanted.has(id)) continue;
      line.node.remove();
      shown.delete(id);
      chosen.delete(id);
    }
    if (place) columns.forEach((one, at) => mark(head[at], one, ordering(place)));
    nothing.hidden = rows.length > 0;
    scroller.hidden = rows.length === 0;
    if (choose) choose.changed();
  }

  function checkbox(id, named) {
    if (!named) return [];
    const box = el("input", { type: "checkbox", "aria-label": `Select ${named}` });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(id);
      else chosen.delete(id);
      choose.changed();
    });
    return [box];
  }

  // Chooses all rows that are shown; if they are chosen already, none.
  function chooseAll() {
    const boxes = [...body.querySelectorAll("input[type=checkbox]")];
    const open = boxes.filter((box) => !box.checked);
    (open.length ? open : boxes).forEach((box) => box.click());
  }

  return { content: [scroller, nothing], show, chosen, chooseAll };
}

function newLine(columns) {
  const cells = columns.map((one, index) => {
    const properties = { class: one.kind || "", "data-title": one.title };
    return index === 0 ? el("th", { scope: "row", ...properties }) : el("td", properties);
  });
  return { node: el("tr", {}, ...cells), cells, values: columns.map(() => undefined) };
}

function update(line, row, columns) {
  columns.forEach((column, index) => {
    const { field, sort, format = (one) => one } = column;
    const found = column.value ? column.value(row) : row[field ?? sort];
    const value = JSON.stringify(found) ?? "";
    if (line.values[index] === value) return;
    line.values[index] = value;
    line.cells[index].classList.toggle("zero", Boolean(column.kind?.startsWith("number")) && /^(0|"0"|"–"|null)$/.test(value));
    const shown = column.cell ? column.cell(row) : format(found);
    const nodes = [shown].flat().map((one) => (one instanceof Node ? one : String(one ?? "")));
    fill(line.cells[index], ...(index === 0 && line.box ? [el("div", { class: "pick" }, ...line.box, el("div", {}, ...nodes))] : nodes));
  });
}

// The order that the user has chosen, as parameters of the API.
export function ordering(place) {
  const sort = place.query.get("sort");
  return sort ? { sort, descending: place.query.get("descending") || "false" } : {};
}

// The first click sorts numbers and times from the largest, texts from A; the next click reverses the order.
function sorter(place, { title, sort, kind = "", falling = kind.startsWith("number") }) {
  return button(title, () => {
    const now = ordering(place);
    place.set({ sort, descending: String(now.sort === sort ? now.descending === "false" : falling), page: null });
  }, { class: "sort" });
}

function mark(head, { sort }, now) {
  if (sort && now.sort === sort) head.setAttribute("aria-sort", now.descending === "true" ? "descending" : "ascending");
  else head.removeAttribute("aria-sort");
}

export function pager(place) {
  const previous = button("Previous", () => turn(-1), { class: "quiet" });
  const next = button("Next", () => turn(1), { class: "quiet" });
  const where = el("span", { role: "status" });
  const node = el("nav", { class: "pager", "aria-label": "Pages" }, previous, where, next);
  const page = () => Number(place.query.get("page")) || 1;
  const turn = (by) => place.set({ page: page() + by });

  function show(total, size = PAGE_SIZE) {
    const last = Math.max(1, Math.ceil(total / size));
    if (page() > last) turn(last - page()); // the list has become shorter
    previous.disabled = page() <= 1;
    next.disabled = page() >= last;
    where.textContent = `${count(total)} in total, page ${page()} of ${last}`;
  }

  return { node, show, page };
}

function filter(label, control) {
  return el("div", { class: "filter" }, el("label", { for: control.id }, label), control);
}

// A search field that searches while the user types.
export function search(place, label, name = "name") {
  let timer = 0;
  const input = el("input", {
    id: `search-${name}`,
    type: "search",
    value: place.query.get(name) || "",
    autocomplete: "off",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => place.set({ [name]: input.value.trim(), page: null }), 250);
    },
  });
  return filter(label, input);
}

// A select field. `options` are pairs of value and text.
export function choice(place, label, name, options) {
  const current = place.query.get(name) || "";
  const items = options.map(([value, text]) => el("option", { value, selected: value === current }, text));
  const select = el("select", { id: `choice-${name}`, onchange: () => place.set({ [name]: select.value, page: null }) }, ...items);
  return filter(label, select);
}

// A checkbox.
export function option(place, label, name) {
  const box = el("input", { id: `option-${name}`, type: "checkbox", checked: place.query.get(name) === "true", onchange: () => place.set({ [name]: box.checked ? "true" : null, page: null }) });
  return el("div", { class: "filter option" }, box, el("label", { for: box.id }, label));
}

const HOURS = { hour: 1, day: 24, week: 168 };

// Fields for a period, in the user's time zone, and the usual ones to choose from.
export function times(place) {
  const usual = el("select", { id: "time-usual", onchange() {
    const begin = HOURS[usual.value] && new Date(Date.now() - HOURS[usual.value] * 3600000).toISOString();
    since.value = local(begin);
    until.value = "";
    place.set({ since: begin || null, until: null, page: null });
  } }, ...[["", "any time"], ...Object.keys(HOURS).map((one) => [one, `last ${one}`])].map(([key, text]) => el("option", { value: key }, text)));
  const [since, until] = ["since", "until"].map((name) => el("input", {
    id: `time-${name}`,
    type: "datetime-local",
    value: local(place.query.get(name)),
    onchange: ({ target }) => target.validity.badInput || place.set({ [name]: target.value && new Date(target.value).toISOString(), page: null }),
  }));
  return [filter("Time", usual), filter("From", since), filter("Before", until)];
}

function local(moment) {
  const at = new Date(moment);
  return moment && !Number.isNaN(at.getTime()) ? new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
}
