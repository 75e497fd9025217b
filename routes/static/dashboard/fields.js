// Makes the fields of a form from the API's description (/openapi.json), so that a form has every field of its operation,
// as the CLI has options. An empty field has its default.

import { Refused, all, get, may, post } from "./api.js";
import { ask } from "./dialog.js";

const LONG = 4096; // characters; texts that may be longer get several lines
const ACRONYMS = { url: "URL", tls: "TLS", ca: "CA", id: "id", ttl: "TTL", ms: "ms" };
const LABELS = { queueName: "queue", auth: "authorization" };
const UNNAMED = ["properties"]; // objects that the labels of their fields do not name
const OFFERED = {
  queueName: (name) => names("getQueues", "queueName", name), toQueue: (name) => names("getQueues", "queueName", name),
  exchange: (name) => names("getExchanges", "exchange", name), destinationExchange: (name) => names("getExchanges", "exchange", name),
};

let description = null;

async function api() {
  description ??= (await get("openapi.json")).data;
  return description;
}

export async function names(path, field, name) {
  const { data } = await get(path, { name, pageSize: 20, fields: field });
  return data.map((one) => one[field]).filter(Boolean);
}

// The names of all consumers, for a field that names one.
export async function consumerNames() {
  return (await all("getConsumers", { fields: "name" })).map((one) => one.name);
}

// Returns the fields of an operation's body: those in `first` in this order, then the others, which the form folds, but not
// those in `omit`. `values` are their present values, `own` replaces parts of single fields.
export async function fieldsOf(operation, { first = [], omit = [], values = {}, own = {} } = {}) {
  const { paths, components } = await api();
  const [{ requestBody }] = Object.values(paths[`/${operation}`]);
  const whole = resolved(requestBody.content["application/json"].schema, components.schemas);
  const fields = inside(whole, [], values, components.schemas).filter(({ name }) => !omit.includes(name)).map((one) => ({ ...one, ...own[one.name] }));
  const rank = ({ name }) => (first.includes(name) ? first.indexOf(name) : first.length);
  return fields.map((one) => ({ ...one, more: first.length > 0 && !first.includes(one.name) })).sort((one, other) => rank(one) - rank(other));
}

// Opens a dialog with the form of an operation; see `ask` and `fieldsOf`. Without `run`, it sends the values to the
// operation, and shows what `said(values)` returns. A form that changes an object has `current()`, which returns the object
// as it is now, like `values`, or nothing if it is gone; `run(values, changed, now)` gets it. If another user has changed a
// field that this user has changed too, the form shows that first, and keeps the input.
export async function askFor(operation, { first, omit, values, own, extra = [], current, said, run, ...dialog }) {
  run ||= async (given) => { await post(operation, given); return said(given); };
  let known = values;
  async function save(given, changed) {
    const now = await current(), before = known;
    if (!now) throw new Refused(404, { detail: "Another user deleted this while the form was open." });
    const both = [...changed].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
    known = now;
    if (both.length) throw await conflict(before, now, both);
    try {
      return await run(given, changed, now);
    } catch (error) {
      if (error.status !== 412) throw error;
      return save(given, changed); // it has changed since
    }
  }
  return ask({ ...dialog, run: current ? save : run, fields: [...await fieldsOf(operation, { first, omit, values, own }), ...extra] });
}

async function conflict(before, now, both) {
  const by = await author(now.name || now.username, both);
  return new Refused(412, {
    detail: `${by} changed this while the form was open. Your input is kept. Save again to replace the new values with yours, or cancel.`,
    errors: both.map((field) => ({ field, detail: `${by} changed this from ${JSON.stringify(before[field])} to ${JSON.stringify(now[field])}.` })),
  });
}

// Only admins may read the audit log.
async function author(resource, both) {
  const { data } = may("admin") ? await get("getAuditLog", { resource, pageSize: 20 }) : { data: [] };
  return data.find((entry) => entry.changes.some(({ field }) => both.includes(field)))?.user || "Another user";
}

function inside({ properties, required = [] }, path, values, schemas) {
  return Object.entries(properties).filter(([, schema]) => schema.const === undefined).map(([name, schema]) =>
    field([...path, name], resolved(schema, schemas), required.includes(name), values?.[name], schemas));
}

// Returns the schema without references, and without the alternative null, which `nullable` tells instead.
function resolved(given, schemas) {
  const { $ref, anyOf, oneOf, ...rest } = given;
  if ($ref) return { ...resolved(schemas[$ref.split("/").at(-1)], schemas), ...rest };
  const every = (anyOf || oneOf || []).map((one) => resolved(one, schemas));
  const options = every.filter((one) => one.type !== "null").flatMap((one) => one.options || [one]);
  const nullable = every.some((one) => one.type === "null" || one.nullable);
  if (!options.length) return rest;
  return options.length === 1 ? { ...options[0], ...rest, nullable } : { ...rest, options, nullable };
}

function field(path, schema, required, value, schemas) {
  const name = path.at(-1);
  const fallback = schema.default ?? undefined;
  const common = { name, label: label(path), required, fallback, suggest: OFFERED[name] };
  const present = JSON.stringify(value) === JSON.stringify(fallback) ? undefined : value ?? undefined;
  const about = { ...common, hint: hint(schema, fallback) };
  const objects = (schema.options || [schema]).filter((one) => one.properties);
  if (objects.length && (schema.options || schema.nullable)) return { ...about, kind: "choice", ...choices(path, schema, value, schemas) };
  if (objects.length) return { ...common, hint: plain(schema.description), kind: "group", fields: inside(schema, path, value, schemas) };
  if (schema.enum) return { ...about, kind: "select", value: present, options: [...(required ? [] : [["", fallback ? `${fallback} (default)` : "–"]]), ...schema.enum.filter((one) => one !== fallback).map((one) => [one, one])] };
  if (schema.type === "boolean") return { ...about, hint: plain(schema.description), kind: "check", value: value ?? fallback ?? false, read: (typed) => ((typed === "true") === Boolean(fallback) ? undefined : typed === "true") };
  if (schema.type === "array" && /string|number|integer/.test(schema.items.type)) return { ...about, value: present && (present.join(", ") || "none"), hint: listHint(schema, fallback), read: listOf(schema.items.type) };
  if (schema.type === "object" && schema.additionalProperties?.type === "string") return { ...about, kind: "area", rows: 3, value: present && lines(present), hint: [about.hint, "one per line, such as X-Env: prod"].filter(Boolean).join("; "), read: mapOf };
  if (["integer", "number"].includes(schema.type)) return { ...about, kind: "number", value: present };
  if (schema.format === "date-time") return { ...about, kind: "datetime-local", read: moment, hint: [about.hint, "in your time zone"].filter(Boolean).join("; ") };
  if (schema.type === "string" || schema.options) return { ...about, kind: textKind(schema), value: present, autocomplete: schema.format === "password" ? "new-password" : "off" };
  return { ...about, kind: "area", rows: 3, value: present && JSON.stringify(present, null, 2), hint: [about.hint, "JSON"].filter(Boolean).join("; "), read: json };
}

function textKind({ format, contentMediaType, maxLength }) {
  return contentMediaType || maxLength > 2 * LONG ? "area" : format === "password" ? "password" : "text";
}

// The options of a field that accepts null, a word, or an object with further fields.
function choices(path, { options, nullable, default: fallback, ...schema }, value, schemas) {
  const each = options || [schema];
  const named = (one) => Object.values(one.properties).find((inner) => inner.const !== undefined)?.const ?? (options ? words(one.title).join(" ") : "set");
  const fits = (one) => value && typeof value === "object" && (value.type ? named(one) === value.type : Object.keys(value).every((name) => name in one.properties));
  const made = each.flatMap((one) => (one.properties ? [{
    key: named(one), text: named(one), hint: options && plain(one.description), fields: inside(one, path, fits(one) ? value : undefined, schemas),
    constant: Object.fromEntries(Object.entries(one.properties).filter(([, inner]) => inner.const !== undefined).map(([name, inner]) => [name, inner.const])),
  }] : (one.enum || []).map((word) => ({ key: word, text: word === fallback ? `${word} (default)` : word, value: word === fallback ? undefined : word }))));
  const current = each.find((one) => one.properties && fits(one));
  return { options: [...(nullable ? [{ key: "", text: "none" }] : []), ...made], value: current ? named(current) : typeof value === "string" ? value : nullable ? "" : fallback };
}

// ["retry", "giveUpAfter"] becomes “Retry: give up after”.
function label(path) {
  const parts = path.filter((part, at) => !UNNAMED.includes(part) || at === path.length - 1).map((part) => LABELS[part] || words(part).join(" "));
  const text = parts.join(": ");
  return text[0].toUpperCase() + text.slice(1);
}

function words(name) {
  return name.split(/(?<=[a-z0-9])(?=[A-Z])|_/).map((word) => ACRONYMS[word.toLowerCase()] || word.toLowerCase());
}

const plain = (text) => (text || "").replaceAll("`", "").replace(/\s+/g, " ");

function hint(schema, fallback) {
  const usual = fallback !== undefined && fallback !== "" && typeof fallback !== "object" && !schema.enum && !schema.options ? `default ${fallback}` : "";
  const example = schema.format !== "password" && typeof schema.examples?.[0] === "string" && !/such as|for example/.test(schema.description) ? `such as ${schema.examples[0]}` : "";
  return [plain(schema.description), usual || example].filter(Boolean).join("; ");
}

function listHint(schema, fallback) {
  const usual = fallback?.length ? `default ${fallback.join(", ")}; “none” for an empty list` : "";
  return [plain(schema.description), "separated by commas", usual].filter(Boolean).join("; ");
}

function listOf(type) {
  return (typed) => {
    if (typed === "") return undefined;
    const items = typed === "none" ? [] : typed.split(/[\s,]+/).filter(Boolean);
    if (type === "string") return items;
    const numbers = items.map(Number);
    if (numbers.some(Number.isNaN)) throw new Error("must be numbers separated by commas, such as 5, 30, 120");
    return numbers;
  };
}

const lines = (map) => Object.entries(map).map(([name, value]) => `${name}: ${value}`).join("\n");

function mapOf(typed) {
  const found = typed.split("\n").filter((line) => line.trim()).map((line) => line.match(/^\s*([^:]+?)\s*:\s*(.*)$/));
  if (found.includes(null)) throw new Error("must have a name, a colon and a value on each line");
  return found.length ? Object.fromEntries(found.map(([, name, value]) => [name, value])) : undefined;
}

export function moment(typed) {
  return typed ? new Date(typed).toISOString() : undefined;
}

function json(typed) {
  if (typed === "") return undefined;
  try {
    return JSON.parse(typed);
  } catch (error) {
    throw new Error(`is not JSON: ${error.message}`);
  }
}

export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
