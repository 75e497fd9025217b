// The forms to create and to change a consumer, with all fields of the API. Only changed fields are sent.

import { get, patch, post } from "./api.js";
import { el } from "./dom.js";
import { askFor } from "./fields.js";

const FIRST = ["queueName", "name", "url", "method", "auth", "payload", "retry"];

export function createConsumer(queueName) {
  return askFor("createConsumer", {
    title: "Create a consumer",
    about: [el("p", {}, "A consumer sends each message of a queue to a URL. An empty field has its default.")],
    first: FIRST,
    values: { queueName },
    submit: "Create consumer",
    async run(values) {
      const { data } = await post("createConsumer", values);
      return [`Created the consumer ${data.consumer.name}.`, ...data.warnings].join(" ");
    },
  });
}

const shown = (consumer) => ({ ...consumer, auth: consumer.auth && known(consumer.auth) });

// `focus` is the field to begin with.
export function editConsumer(consumer, focus) {
  return askFor("createConsumer", { // its fields have their defaults; those of updateConsumer do not
    title: `Edit ${consumer.name}`,
    about: [el("p", {}, "An empty field has its default. Saving resumes a suspended consumer.")],
    first: FIRST,
    omit: ["queueName", "name", "exchange", "routingKey"],
    values: shown(consumer),
    current: async () => shown((await get("getConsumer", { name: consumer.name })).data),
    focus,
    submit: "Save",
    async run(values, changed, now) {
      const { headers } = values;
      // The API merges headers into the existing ones, so removed headers are sent as null.
      if (headers || changed.has("headers")) values.headers = { ...Object.fromEntries(Object.keys(now.headers).map((name) => [name, null])), ...headers };
      await patch("updateConsumer", { name: now.name, ifRevision: now.revision, ...Object.fromEntries([...changed].map((name) => [name, values[name] ?? null])) });
      return `Changed ${consumer.name}.`;
    },
  });
}

// The fields of an authorization that are set; the API returns the others as null or empty.
function known(auth) {
  return Object.fromEntries(Object.entries(auth).filter(([, value]) => value !== null && value !== ""));
}
