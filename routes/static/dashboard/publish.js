// Two forms: publish a message, and send a sample to a consumer's target.

import { may, post } from "./api.js";
import { el, fill } from "./dom.js";
import { consumerNames, fieldsOf, isJson } from "./fields.js";
import { form } from "./form.js";
import { milliseconds, timeText } from "./format.js";
import { tell } from "./notice.js";

const FIRST = ["queueName", "exchange", "routingKey", "message"];

export async function show(place) {
  const fields = await fieldsOf("messagePublish", {
    first: FIRST,
    omit: ["messages"],
    values: { queueName: place.query.get("queue"), exchange: place.query.get("exchange") },
    own: {
      queueName: { hint: "or leave empty and give exchange and routing key" },
      message: { kind: "area", rows: 6, read: (typed) => typed, hint: "published exactly as typed" },
    },
  });
  const consumer = place.query.get("consumer") || "";
  const forms = [publish(fields), may("operator") && test(consumer)].filter(Boolean);
  return { title: "Publish", content: [el("h1", {}, "Publish and test"), ...(consumer ? forms.reverse() : forms)], refresh: async () => {} };
}

function publish(fields) {
  const asked = form({
    fields,
    submit: "Publish",
    async run({ message, bodyBase64, properties = {}, ...where }) {
      const content = bodyBase64 ? { bodyBase64 } : { message };
      const contentType = properties.contentType ?? (bodyBase64 ? undefined : typeOf(message));
      const { data } = await post("messagePublish", { ...where, ...content, properties: { ...properties, contentType } });
      const at = data.deliverAt && timeText(new Date(data.deliverAt));
      tell(at ? `Scheduled message ${data.messageId} for ${at}.` : `Published message ${data.messageId}. It is in its queue.`);
    },
  });
  return el("section", { "aria-labelledby": "publish" }, el("h2", { id: "publish" }, "Publish a message"), asked.node);
}

function test(name) {
  const result = el("div", { class: "result", role: "status" });
  const asked = form({
    fields: [
      { name: "name", label: "Consumer", required: true, value: name, suggest: consumerNames },
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

// The text itself is sent, because JavaScript would change numbers above 53 bits.
const typeOf = (text) => (isJson(text) ? "application/json" : undefined);
