// Shows messages: body, headers and properties. Their content is untrusted, so it is shown as text only.

import { post } from "./api.js";
import { look } from "./dialog.js";
import { el, terms } from "./dom.js";
import { bytes, count, plural } from "./format.js";

export async function peek(queueName, number, signal, filter = {}) {
  const wanted = { queueName, count: number, ackMode: "peek", truncateBytes: 65536, filter };
  return (await post("getMessages", wanted, signal)).data;
}

export async function lookInto(queueName) {
  const messages = await peek(queueName, 10);
  const shown = messages.map((message, place) =>
    el("details", { open: place === 0 }, el("summary", {}, `Message ${place + 1}, ${bytes(message.bytes)}`), ...contents(message)));
  const about = messages.length ? `The first ${plural(messages.length, "message")} of ${queueName}. They stay in the queue.`
    : `${queueName} has no ready messages.`;
  look(`Messages in ${queueName}`, el("p", {}, about), ...shown);
}

export function lookAt(message) {
  look(`Message ${message.properties.messageId || "without an id"}`, ...contents(message));
}

function contents(message) {
  const { headers = {}, ...properties } = message.properties;
  return [
    el("h3", {}, message.bodyBase64 === null ? "Body" : "Body (Base64, because it is not text)"),
    el("pre", { class: "body", tabindex: "0" }, pretty(message)),
    message.truncated ? el("p", {}, `Truncated. The whole body has ${count(message.bytes)} bytes.`) : null,
    el("h3", {}, "Headers"), facts(headers),
    el("h3", {}, "Properties"), facts({ exchange: message.exchange, routingKey: message.routingKey, ...properties }),
  ].filter(Boolean);
}

function pretty({ message, bodyBase64, truncated }) {
  if (bodyBase64 !== null) return bodyBase64;
  if (truncated) return message;
  try {
    const laidOut = JSON.stringify(JSON.parse(message), null, 2);
    return squeezed(laidOut) === squeezed(message) ? laidOut : message;
  } catch {
    return message;
  }
}

// JavaScript changes some JSON, such as numbers above 53 bits; such a body is shown unchanged.
const squeezed = (text) => text.replace(/\s/g, "");

function facts(known) {
  const entries = Object.entries(known);
  if (!entries.length) return el("p", {}, "None.");
  const shown = entries.map(([term, value]) => [term, typeof value === "object" ? JSON.stringify(value) : String(value)]);
  return el("dl", { class: "facts" }, ...terms(shown));
}
