// Policies: settings for all queues and exchanges whose names match.

import { all, get, may, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, el, of } from "./dom.js";
import { askFor } from "./fields.js";
import { PAGE_SIZE, ordering, pager, search, table } from "./table.js";

export function show(place) {
  const list = table({
    caption: "Policies",
    place,
    empty: "No policies match.",
    key: (one) => one.name,
    columns: [
      { title: "Policy", sort: "name", value: (one) => one.name, kind: "wide" },
      { title: "Pattern", sort: "pattern", value: (one) => one.pattern, kind: "wide" },
      { title: "Applies to", sort: "applyTo", value: (one) => one.applyTo },
      { title: "Settings", value: (one) => one.definition, cell: (one) => Object.entries(one.definition).map(([name, value]) => el("div", {}, `${name}: ${JSON.stringify(value)}`)), kind: "wide" },
      { title: "Priority", sort: "priority", value: (one) => one.priority, kind: "number" },
      { title: "Actions", value: (one) => one, cell: (one) => (may("operator") ? actions(one) : ""), kind: "actions" },
    ],
  });
  const pages = pager(place);

  async function refresh(signal) {
    const { data, total } = await get("getPolicies", { name: place.query.get("name"), ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const about = el("p", {}, "A policy applies settings, with RabbitMQ's names, to all queues and exchanges whose names match. Of several that match, the one with the highest priority applies.");
  const tools = el("div", { class: "tools" }, search(place, "Search"), may("operator") && button("Create policy", () => edit()));
  return { title: "Policies", content: [el("h1", {}, "Policies"), about, tools, ...list.content, pages.node], refresh };
}

function actions(one) {
  return el("div", { class: "buttons" }, button(of("Edit", one.name), () => edit(one), { class: "quiet" }),
    button(of("Delete", one.name), () => askToDelete(one.name), { class: "quiet" }));
}

// RabbitMQ replaces a policy as a whole, so the form sends the present values of the unchanged fields.
function edit(policy) {
  return askFor("createPolicy", {
    title: policy ? `Edit ${policy.name}` : "Create a policy",
    omit: policy ? ["name"] : [],
    values: policy,
    current: policy && (async () => (await all("getPolicies", { name: policy.name })).find(({ name }) => name === policy.name)),
    own: { definition: { label: "Settings", hint: 'JSON with RabbitMQ\'s names, such as {"message-ttl": 60000}' } },
    submit: policy ? "Save" : "Create policy",
    async run(values, changed, now) {
      await post("createPolicy", { ...now, ...Object.fromEntries([...changed].map((name) => [name, values[name]])) });
      return policy ? `Changed the policy ${policy.name}.` : `Created the policy ${values.name}.`;
    },
  });
}

function askToDelete(name) {
  confirmByName({
    title: `Delete the policy ${name}?`,
    text: "Its settings no longer apply. Then the policy with the next lower priority applies, if one matches.",
    name,
    verb: "Delete policy",
    async run() {
      await remove("deletePolicy", { name });
      return `Deleted the policy ${name}.`;
    },
  });
}
