// Configuration as code, for admins: exports the installation as YAML, and applies a file after it has shown the plan.

import { Refused, get, post } from "./api.js";
import { confirm, look } from "./dialog.js";
import { button, el, fill } from "./dom.js";
import { form } from "./form.js";
import { badge, changes, plural } from "./format.js";
import { copy, save } from "./notice.js";
import { table } from "./table.js";

const yaml = () => import("./vendor/js-yaml.min.js");

export function show() {
  const content = [el("h1", {}, "Configuration"), exported(), applied()];
  return { title: "Configuration", content, refresh: async () => {} };
}

function exported() {
  const left = el("div", { role: "status" });
  const asked = form({
    fields: [{ name: "label", label: "Label", hint: "only the objects with this label; empty: all" }],
    submit: "Download",
    run: async ({ label }) => save(await text(label), "workerrmq.yaml", "application/yaml"),
    extra: [button("Copy", async () => copy(await text(asked.value("label").read())), { class: "quiet" })],
  });

  async function text(label) {
    const { data } = await get("exportConfiguration", { label });
    const out = data.notExported.map(({ kind, name, reason }) => el("li", {}, `${kind} ${name}: ${reason}`));
    fill(left, out.length ? el("p", {}, "Not exported:") : null, out.length ? el("ul", {}, ...out) : null);
    return (await yaml()).dump(data.configuration, { noRefs: true, lineWidth: 120 });
  }

  const about = el("p", {}, "Exchanges, queues, bindings, policies, consumers, API keys and users, as YAML. Secrets are masked or left out.");
  return el("section", { "aria-labelledby": "export" }, el("h2", { id: "export" }, "Export"), about, asked.node, left);
}

function applied() {
  const verdict = el("p", { class: "verdict", role: "status" });
  let planned = null, seen = null;
  const steps = stepTable();
  const go = button("Apply", () => askToApply(), { hidden: true });
  const asked = form({
    fields: [
      { name: "file", label: "File", kind: "file" },
      { name: "text", label: "Configuration", kind: "area", rows: 10, hint: "YAML or JSON, as exported. Write secrets themselves: only flask rmq apply reads ${env:NAME}." },
      { name: "prune", label: "Also delete objects that have the label of this configuration and are not in it", kind: "check" },
    ],
    submit: "Plan",
    run: async ({ prune }) => {
      planned = { configuration: await parsed(box.value), prune };
      await plan();
    },
  });
  const [file, box] = ["file", "text"].map((name) => asked.value(name).control);
  file.addEventListener("change", async () => { box.value = await file.files[0].text(); forget(); });
  asked.node.addEventListener("input", forget);

  // Shows the plan. Returns whether it differs from the one that was shown.
  async function plan() {
    const before = seen;
    const { data } = await post("applyConfiguration", { ...planned, dryRun: true });
    seen = JSON.stringify(data.steps);
    show(data, "planned");
    return before !== seen;
  }

  // A plan is for the text from which it was made.
  function forget() {
    planned = null;
    go.hidden = true;
    fill(verdict);
    steps.clear();
  }

  function show({ message, steps: found }, state) {
    const possible = found.filter((one) => one.state === "planned").length;
    fill(verdict, state === "planned" && found.length ? `The plan has ${plural(found.length, "step")}; ${plural(possible, "step")} can be made. ${message}` : message);
    steps.show(found);
    go.hidden = !possible;
    go.textContent = `Apply ${plural(possible, "step")}`;
  }

  function askToApply() {
    confirm({
      title: `${go.textContent}?`,
      text: "The service carries out the steps one after another. If one fails, it carries out the others. To complete them, apply the file again.",
      verb: "Apply",
      async run() {
        if (await plan()) throw new Refused(412, { detail: "The installation has changed since the plan. Cancel, and check the new plan." });
        const { data } = await post("applyConfiguration", planned);
        show(data, "done");
        const keys = data.steps.filter((one) => one.key);
        if (keys.length) setTimeout(() => look("New API keys", el("p", {}, "Copy the keys now. They are never shown again."), el("pre", { class: "body", tabindex: "0" }, keys.map((one) => `${one.name}: ${one.key}`).join("\n"))));
        return data.message;
      },
    });
  }

  const about = el("p", {}, "Creates and changes what differs from a configuration, after you have seen the plan. Objects that it does not list stay. A queue with messages is never deleted.");
  return el("section", { "aria-labelledby": "apply" }, el("h2", { id: "apply" }, "Apply"), about, asked.node, verdict, ...steps.content, el("div", { class: "tools" }, go));
}

async function parsed(text) {
  const { load, CORE_SCHEMA } = await yaml();
  try {
    return load(text, { schema: CORE_SCHEMA }) ?? {};
  } catch (error) {
    throw new SyntaxError(`The configuration is not YAML: ${error.message}`);
  }
}

function stepTable() {
  const steps = table({
    caption: "Steps",
    empty: "",
    key: (one) => `${one.kind} ${one.name}`,
    columns: [
      { title: "Object", value: (one) => `${one.kind} ${one.name}`, kind: "wide" },
      { title: "Action", field: "action" },
      { title: "State", field: "state", format: badge },
      { title: "Changes", field: "changes", format: changes, kind: "wide first" },
      { title: "Detail", value: (one) => one.detail || "", kind: "wide" },
    ],
  });
  const clear = () => steps.content.forEach((one) => { one.hidden = true; });
  clear();
  return { ...steps, clear };
}
