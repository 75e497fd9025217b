// Policies: settings for all queues and exchanges whose names match.

import { all, may, post, remove } from "./api.js";
import { confirmByName } from "./dialog.js";
import { button, el, of } from "./dom.js";
import { askFor } from "./fields.js";
import { filters, listView } from "./list.js";
import { search } from "./table.js";

export function show(place) {
  return listView(place, {
    title: "Policies",
    path: "getPolicies",
    query: () => filters(place, ["name"]),
    about: "A policy applies settings, with RabbitMQ's names, to all queues and exchanges whose names match. Of several that match, the one with the highest priority applies.",
    tools: [search(place, "Search"), may("operator") && button("Create policy", () => edit())],
    empty: "No policies match.",
    key: (one) => one.name,
    columns: [
      { title: "Policy", sort: "name", kind: "wide" },
      { title: "Pattern", sort: "pattern", kind: "wide" },
      { title: "Applies to", sort: "applyTo" },
      { title: "Settings", field: "definition", cell: (one) => Object.entries(one.definition).map(([name, value]) => el("div", {}, `${name}: ${JSON.stringify(value)}`)), kind: "wide" },
      { title: "Priority", sort: "priority", kind: "number" },
      { title: "Actions", value: (one) => one, cell: (one) => (may("operator") ? actions(one) : ""), kind: "actions" },
    ],
  });
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
    run: () => remove("deletePolicy", { name }),
    said: `Deleted the policy ${name}.`,
  });
}
