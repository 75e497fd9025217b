// Charts of values over time.

import { el, fill } from "./dom.js";
import { rate } from "./format.js";

const AROUND = 60; // seconds on both sides of a single point
const TONES = ["--line-1", "--line-2", "--line-3"];

// The charts on the page. uPlot adds listeners to the window, so charts of closed views must be destroyed.
const drawn = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((one) => one.draw()));

// A chart with one line per title, whose values are shown in `format`. `show` takes times, in
// seconds, and lines with one value for each time; null is a gap.
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
      scales: { x: { range: () => (latest.times.length > 1 ? [latest.times[0], latest.times.at(-1)] : [latest.times[0] - AROUND, latest.times[0] + AROUND]) }, y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
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
    const seconds = latest.times.at(-1) - latest.times[0];
    const clock = { hour: "2-digit", minute: "2-digit", second: seconds < 600 ? "2-digit" : undefined };
    return shown.toLocaleString("sv-SE", seconds <= 86400 ? clock : { month: "2-digit", day: "2-digit", ...clock });
  }

  const mine = { node, draw, forget };
  return { node, show };
}

// The indices of the values between gaps, which no line joins to others.
function alone(values) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}
