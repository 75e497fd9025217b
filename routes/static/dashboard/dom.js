// Creates elements. Strings always become text, never markup.

export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...present(children));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

// Rebuilds a node's content only if `state` has changed, so that focus and selection survive a refresh. After a rebuild,
// the element with the same label gets the focus.
const states = new WeakMap();
export function fillOn(node, state, build) {
  const wanted = JSON.stringify(state);
  if (states.get(node) === wanted) return;
  states.set(node, wanted);
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  fill(node, ...[build()].flat());
  if (!focused) return;
  const again = [...node.querySelectorAll("button, a")];
  (again.find((one) => one.textContent === focused.textContent) || again[0])?.focus();
}

export function button(label, onclick, properties = {}) {
  return el("button", { type: "button", onclick, ...properties }, label);
}

// A label for one of several equal buttons or links; screen readers also announce the name.
export function of(verb, name) {
  return [verb, el("span", { class: "hidden" }, ` ${name}`)];
}

// The terms of a <dl>, from pairs of term and text or nodes.
export function terms(pairs) {
  return pairs.map(([term, said]) => el("div", {}, el("dt", {}, term), el("dd", {}, said)));
}

// A link to a view: `link("orders", ["queues", "orders"])`.
export function link(text, path, query) {
  return el("a", { href: address(path, query) }, text);
}

export function address(path, query) {
  const given = new URLSearchParams(query || {}).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${given ? `?${given}` : ""}`;
}

function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}
