// The history of queues or a consumer in the last hour, day or week, as the service has recorded it.

import { get } from "./api.js";
import { chart } from "./charts.js";
import { el } from "./dom.js";
import { refreshNow } from "./live.js";

let period = "hour"; // of all views, until the page is loaded again

// `query` names the queue or the consumer; without both, it is the history of all queues. Each of `charts` has a label, a format, and the titles of its lines by their
// names in the API.
export function history(query, charts) {
  const choice = el("select", { onchange() { period = choice.value; refreshNow(); } },
    ...["hour", "day", "week"].map((one) => el("option", { value: one, selected: one === period }, `last ${one}`)));
  const drawn = charts.map(({ label, format, lines }) => ({ ...chart(label, Object.values(lines), format), names: Object.keys(lines) }));

  async function refresh(signal) {
    const { data } = await get("getHistory", { ...query, period }, signal);
    const times = data.times.map((at) => Date.parse(at) / 1000);
    drawn.forEach(({ names, show }) => show({ times, lines: names.map((name) => data.series[name]) }));
  }

  const label = el("label", { class: "period" }, "Period ", choice);
  return { content: [label, el("div", { class: "charts" }, ...drawn.map(({ node }) => node))], refresh };
}
