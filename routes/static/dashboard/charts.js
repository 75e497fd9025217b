// Charts. Where the API returns current values only, the page keeps their history while it is open.

import { el, fill, svg } from "./dom.js";
import { rate } from "./format.js";

const REMEMBERED = 180; // points: 15 minutes at one per 5 seconds
const SHOWN = 120; // seconds: the least width of a chart
const TONES = ["--line-1", "--line-2", "--line-3"];
const seen = new Map();

// The charts on the page. uPlot adds listeners to the window, so charts of closed views must be destroyed.
const drawn = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((one) => one.draw()));

// Adds the current values to the history of `key`. Returns { times, lines }, with one list of values per line.
export function remember(key, values) {
  const past = seen.get(key) || { times: [], lines: values.map(() => []) };
  seen.delete(key);
  seen.set(key, past); // in order of use: the least recently used history is dropped first
  if (seen.size > 1500) seen.delete(seen.keys().next().value);
  past.times.push(Date.now() / 1000);
  values.forEach((value, line) => past.lines[line].push(value));
  if (past.times.length > REMEMBERED) [past.times, ...past.lines].forEach((list) => list.shift());
  return past;
}

// A small inline chart. It is hidden from screen readers, because the numbers are in the same row.
export function sparkline(past) {
  const width = 96, height = 22;
  const top = Math.max(1, ...past.lines.flat());
  const step = width / (Math.max(past.times.length, 24) - 1);
  const left = width - step * (past.times.length - 1);
  const lines = past.lines.map((values, line) => svg("polyline", {
    class: `line-${line + 1}`,
    points: values.map((value, at) => `${(left + at * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`).join(" "),
  }));
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...lines);
}

// A chart with one line per title, whose values are shown in `format`. `show` takes times and lines as `remember` returns
// them; null is a gap.
export function chart(label, titles, format = rate) {
  const figures = titles.map(() => el("b"));
  const legend = el("ul", { class: "legend" }, ...titles.map((title, line) =>
    el("li", {}, el("span", { class: `key line-${line + 1}`, "aria-hidden": "true" }), `${title} `, figures[line])));
  const canvas = el("div", { class: "canvas", role: "img", "aria-label": label });
  const node = el("figure", { class: "chart" }, el("figcaption", {}, el("span", {}, label), legend), canvas);
  let plot = null;
  let latest = null;

  async function draw() {
    const { default: UPlot } = await import("./vendor/uPlot.min.js");
    const colour = (name) => getComputedStyle(node).getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const lines = titles.map((_, line) => ({ stroke: colour(TONES[line]), width: 2, points: { show: true, filter: (_, index) => alone(latest.lines[index - 1]) } }));
    drawn.forEach((one) => one.node.isConnected || one.forget());
    drawn.add(mine);
    plot?.destroy();
    fill(canvas);
    plot = new UPlot({
      width: Math.max(canvas.clientWidth, 200), height: 180,
      legend: { show: false }, cursor: { show: false },
      scales: { x: { range: () => [Math.min(latest.times[0], latest.times.at(-1) - SHOWN), latest.times.at(-1)] }, y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
      series: [{}, ...lines],
      axes: [{ ...axis, values: (_, ticks) => ticks.map(moment), space: 90, size: 28 },
        { ...axis, size: 56, values: (_, ticks) => ticks.map(format) }],
    }, [latest.times, ...latest.lines], canvas);
  }

  const widened = new ResizeObserver(() => plot?.setSize({ width: Math.max(canvas.clientWidth, 200), height: 180 }));
  widened.observe(canvas);

  function forget() {
    widened.disconnect();
    plot.destroy();
    drawn.delete(mine);
  }

  function show(past) {
    latest = past;
    figures.forEach((figure, line) => { figure.textContent = format(past.lines[line].slice(-2).findLast((value) => value !== null)); });
    if (!past.times.length) {
      if (!plot) fill(canvas, "No measurement yet.");
    } else if (plot) plot.setData([past.times, ...past.lines]);
    else draw();
  }

  // With the date if the chart shows more than a day.
  function moment(at) {
    const shown = new Date(at * 1000);
    if (latest.times.at(-1) - latest.times[0] <= 86400) return shown.toLocaleTimeString("sv-SE");
    return shown.toLocaleString("sv-SE", { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  }

  const mine = { node, draw, forget };
  return { node, show };
}

// The indices of the values between gaps, which no line joins to others.
function alone(values) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}
