// Two forms: publish a message, and send a sample to a consumer's target.

import { may, post } from "./api.js";
import { el, fill } from "./dom.js";
import { form, json } from "./form.js";
import { milliseconds } from "./format.js";
import { tell } from "./notice.js";

export function show(place) {
  const content = [el("h1", {}, "Publish and test"), publish(place.query.get("queue") || "")];
  if (may("operator")) content.push(test(place.query.get("consumer") || ""));
  return { title: "Publish", content, refresh: async () => {} };
}

function publish(queueName) {
  const asked = form({
    fields: [
      { name: "queueName", label: "Queue", value: queueName, hint: "or leave empty and give exchange and routing key" },
      { name: "exchange", label: "Exchange" },
      { name: "routingKey", label: "Routing key" },
      { name: "message", label: "Message", kind: "area", rows: 6, read: (given) => given, hint: "published exactly as typed" },
      { name: "contentType", label: "Content type", hint: "empty: application/json for JSON, otherwise text/plain" },
      { name: "correlationId", label: "Correlation id" },
      { name: "deliverAt", label: "Deliver at", kind: "datetime-local", read: zoned, hint: "empty: now. You cannot cancel a scheduled message." },
      { name: "headers", label: "Headers", kind: "area", rows: 2, read: json, hint: 'JSON, such as {"x-tenant": "acme"}' },
    ],
    submit: "Publish",
    async run({ message, contentType = typeOf(message), correlationId, headers, ...where }) {
      const properties = { contentType, correlationId, headers };
      const { data } = await post("messagePublish", { ...where, message, properties });
      const at = data.deliverAt && new Date(data.deliverAt).toLocaleString("sv-SE");
      tell(at ? `Scheduled message ${data.messageId} for ${at}.` : `Published message ${data.messageId}. It is in its queue.`);
    },
  });
  return el("section", { "aria-labelledby": "publish" }, el("h2", { id: "publish" }, "Publish a message"), asked.node);
}

function test(name) {
  const result = el("div", { class: "result", role: "status" });
  const asked = form({
    fields: [
      { name: "name", label: "Consumer", required: true, value: name },
      { name: "message", label: "Sample", kind: "area", rows: 4, hint: 'empty: {"sample": true}' },
      { name: "mode", label: "What to do", kind: "select", options: MODES },
    ],
    submit: "Try it",
    async run({ name, message, mode }) {
      fill(result);
      const sample = message === undefined || mode === "queue" ? {} : { message, properties: { contentType: typeOf(message) } };
      const dryRun = mode !== "send";
      const { data } = await post("testConsumer", { name, ...sample, dryRun, fromQueue: mode === "queue" });
      fill(result, ...(data.request ? request(data.request) : answer(data)));
    },
  });
  const about = el("p", {}, "The sample is sent and signed like a delivery. No queue is used, and the request is not retried.");
  return el("section", { "aria-labelledby": "test" }, el("h2", { id: "test" }, "Test a consumer's target"), about, asked.node, result);
}

const MODES = [["send", "send the sample"], ["show", "show the request for the sample"], ["queue", "show the request for the first message of the queue"]];

function request({ method, url, headers, body, bodyBase64 }) {
  const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}`);
  const shown = body ?? `${bodyBase64} (Base64)`;
  return [
    el("p", {}, el("span", { class: "tag good" }, "not sent"), " A worker would send this request. Credentials are masked."),
    el("pre", { class: "body", tabindex: "0" }, [`${method} ${url}`, ...lines, "", shown].join("\n")),
  ];
}

function answer(data) {
  const meaning = {
    success: "would be delivered", retry: "would be retried", throttle: "would wait for the target", reject: "would be dead-lettered",
    suspend: "would rest or suspend the consumer", filtered: "would not be sent; “otherwise” decides",
  };
  const took = data.durationMs === undefined ? "" : `, in ${milliseconds(data.durationMs)}`;
  const tone = data.outcome === "success" ? "good" : "bad";
  return [
    el("p", {}, el("span", { class: `tag ${tone}` }, data.outcome), ` ${data.reason}${took}: a message ${meaning[data.outcome]}.`),
    data.body ? el("pre", { class: "body", tabindex: "0" }, data.body) : null,
  ];
}

const zoned = (given) => (given ? new Date(given).toISOString() : undefined);

// The text itself is sent, because JavaScript would change numbers above 53 bits.
function typeOf(text) {
  try {
    JSON.parse(text);
    return "application/json";
  } catch {
    return undefined;
  }
}
