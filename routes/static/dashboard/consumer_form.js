// The forms to create and to change a consumer. Only changed fields are sent.

import { post } from "./api.js";
import { update } from "./consumer_actions.js";
import { ask } from "./dialog.js";
import { el } from "./dom.js";
import { json } from "./form.js";

const METHODS = ["POST", "PUT", "PATCH"].map((method) => [method, method]);
const PAYLOADS = [["raw", "raw: the body unchanged"], ["envelope", "envelope: JSON with the body and all AMQP properties"], ["cloudevents", "cloudevents"],
  ["template", "template: the output of the template"]];

const CERTIFICATES = [
  ["ca", "Trusted CA certificates", "PEM; empty: the CA certificates of the service"],
  ["certificate", "Client certificate", "PEM, with its chain"],
  ["key", "Key of the client certificate", "PEM, not encrypted; never shown again"],
];

export function createConsumer(queueName) {
  ask({
    title: "Create a consumer",
    about: [el("p", {}, "A consumer sends each message of a queue to a URL.")],
    fields: [
      { name: "queueName", label: "Queue", required: true, value: queueName },
      { name: "name", label: "Name", hint: "empty: the queue's name" },
      ...common({}),
    ],
    submit: "Create consumer",
    async run(values) {
      const { data } = await post("createConsumer", nested(withPayload(values)));
      return [`Created the consumer ${data.consumer.name}.`, ...data.warnings].join(" ");
    },
  });
}

export function editConsumer(consumer) {
  ask({
    title: `Edit ${consumer.name}`,
    about: [el("p", {}, "An empty field resets to its default. Saving resumes a suspended consumer.")],
    fields: common(consumer),
    submit: "Save",
    async run(values, changed) {
      const given = nested(withPayload(values));
      const names = new Set([...changed].map((name) => (PAYLOAD_PARTS.has(name) ? "payload" : name.split(".")[0])));
      await update(consumer.name, Object.fromEntries([...names].map((name) => [name, given[name] ?? null])));
      return `Changed ${consumer.name}.`;
    },
  });
}

// Returns the values with the form's separate `tls` fields merged into one object, as the API expects them.
function nested(values) {
  const flat = Object.entries(values).filter(([name]) => !name.startsWith("tls."));
  const tls = CERTIFICATES.map(([name]) => [name, values[`tls.${name}`]]).filter(([, value]) => value);
  return Object.fromEntries(tls.length ? [...flat, ["tls", Object.fromEntries(tls)]] : flat);
}

// Returns the fields of a consumer's authorization that are set; the API shows the others as null or empty.
function given(auth) {
  return Object.fromEntries(Object.entries(auth).filter(([, value]) => value !== null && value !== ""));
}

function common(consumer) {
  return [
    { name: "url", label: "URL", kind: "url", value: consumer.url, hint: "target of each message" },
    { name: "method", label: "Method", kind: "select", options: METHODS, value: consumer.method },
    { name: "payload", label: "Payload", kind: "select", options: PAYLOADS, value: consumer.payload?.template ? "template" : consumer.payload },
    {
      name: "template", label: "Template", kind: "area", value: consumer.payload?.template,
      hint: 'for the payload “template”, as in {"id": {{ body.id|tojson }}}',
    },
    { name: "contentType", label: "Template’s content type", value: consumer.payload?.contentType, hint: "default application/json" },
    {
      name: "filter", label: "Filter", kind: "area", rows: 2, read: json, value: consumer.filter ? JSON.stringify(consumer.filter, null, 2) : "",
      hint: 'JSON, as in {"body": {"total": {"$gte": 100}}}; empty: every message',
    },
    {
      name: "otherwise", label: "Messages that do not match the filter", value: otherwiseText(consumer.otherwise), read: otherwise,
      hint: "deadLetter, discard, queue:NAME or exchange:NAME:ROUTING-KEY; required with a filter",
    },
    { name: "timeout", label: "Timeout", kind: "number", value: consumer.timeout, hint: "seconds; default 30" },
    { name: "prefetch", label: "Prefetch", kind: "number", value: consumer.prefetch, hint: "messages in flight per worker; default 64" },
    {
      name: "ordering", label: "Ordering", value: orderingText(consumer.ordering), read: ordering,
      hint: "none, queue, header:NAME or json:PATH, such as json:customer.id",
    },
    {
      name: "retry", label: "Retry delays", value: consumer.retry && (consumer.retry.schedule.join(", ") || "never"), read: schedule,
      hint: "seconds before each retry; default 5, 30, 120, 600, 1800, 7200; “never”: no retries",
    },
    {
      name: "rateLimit", label: "Rate limit", value: consumer.rateLimit?.perSecond,
      read: (given) => perSecond(given, consumer.rateLimit),
      hint: "messages per second, all workers together; empty: no limit",
    },
    {
      name: "headers", label: "Headers", kind: "area", read: (given) => headers(given, consumer.headers), hint: 'JSON, such as {"X-Env": "prod"}',
      value: Object.keys(consumer.headers || {}).length ? JSON.stringify(consumer.headers, null, 2) : "",
    },
    {
      name: "auth", label: "Authorization", kind: "area", read: json, value: consumer.auth ? JSON.stringify(given(consumer.auth), null, 2) : "",
      hint: 'JSON, as in {"type": "oauth2", "tokenUrl": "https://…", "clientId": "…", "clientSecret": "…"}; also basic, bearer, apiKey, awsSigV4, hmac',
    },
    ...CERTIFICATES.map(([name, label, hint]) => ({ name: `tls.${name}`, label, hint, kind: "area", value: consumer.tls?.[name] })),
    {
      name: "signingSecret", label: "Signing secret", value: consumer.signingSecret, autocomplete: "off",
      hint: "whsec_…; never shown again",
    },
  ];
}

const PAYLOAD_PARTS = new Set(["template", "contentType"]);

// The API takes a template and its content type as the payload.
function withPayload({ template, contentType, ...values }) {
  return values.payload === "template" ? { ...values, payload: { template, contentType } } : values;
}

function otherwiseText(value) {
  const to = value?.forward;
  return to ? (to.exchange ? `exchange:${to.exchange}:${to.routingKey}` : `queue:${to.routingKey}`) : value;
}

function otherwise(given) {
  if (given.startsWith("queue:")) return { forward: { exchange: "", routingKey: given.slice(6) } };
  const [, exchange, routingKey] = given.match(/^exchange:([^:]+):(.*)$/s) || [];
  return exchange ? { forward: { exchange, routingKey } } : given || undefined;
}

function orderingText(value) {
  if (!value) return "";
  return value.header ? `header:${value.header}` : value.jsonPath ? `json:${value.jsonPath}` : value;
}

function ordering(given) {
  if (given.startsWith("header:")) return { header: given.slice(7) };
  if (given.startsWith("json:")) return { jsonPath: given.slice(5) };
  return given || undefined;
}

function schedule(given) {
  if (given === "") return undefined;
  const delays = given === "never" ? [] : given.split(/[\s,]+/).filter(Boolean).map(Number);
  if (delays.some(Number.isNaN)) throw new Error("must be seconds separated by commas, such as 5, 30, 120");
  return { schedule: delays };
}

// The API merges headers into the existing ones, so removed headers are sent as null.
function headers(given, before = {}) {
  const wanted = json(given);
  if (!wanted || typeof wanted !== "object" || Array.isArray(wanted)) return wanted;
  const gone = Object.keys(before).filter((name) => !(name in wanted));
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...wanted };
}

function perSecond(given, before) {
  if (given === "") return undefined;
  if (Number.isNaN(Number(given))) throw new Error("must be a number");
  return { ...before, perSecond: Number(given) };
}
