// Finds a message by its id, and consumers and queues by a part of their names. Goes to the one that matches exactly.

import { get } from "./api.js";
import { address, el, fill, link } from "./dom.js";

const MOST = 20;

export function show(place) {
  const wanted = place.path[1] || "";
  const found = el("div", { role: "status" }, "Searching …");
  document.getElementById("find").elements.text.value = wanted;

  async function refresh(signal) {
    const part = (field) => ({ name: wanted, pageSize: 500, fields: field }); // 500: the API's limit
    const [consumers, queues, life] = await Promise.all([
      get("getConsumers", part("name"), signal), get("getQueues", part("queueName"), signal),
      wanted.length > 255 ? { data: { events: [] } } : get("getMessage", { messageId: wanted }, signal),
    ]);
    const kinds = [
      ["Message", life.data.events.length ? [wanted] : [], "message"],
      ["Consumers", consumers.data.map((one) => one.name), "consumer"],
      ["Queues", queues.data.map((one) => one.queueName), "queue"],
    ];
    const exact = kinds.flatMap(([, names, view]) => names.filter((name) => name === wanted).map((name) => [view, name]));
    if (exact.length === 1) location.replace(address(exact[0]));
    const lists = kinds.filter(([, names]) => names.length).flatMap(([title, names, view]) => [
      el("h2", {}, title), el("ul", {}, ...names.sort((a, b) => (b === wanted) - (a === wanted)).slice(0, MOST).map((name) => el("li", {}, link(name, [view, name])))),
    ]);
    const none = lists.length ? "" : el("p", {}, "No queue or consumer has a name with this text, and no message with this id is known.");
    fill(found, ...lists, none, life.data.events.length ? "" : el("p", {}, link("Look for a message with this id in a queue", ["message", wanted])));
  }

  return { title: wanted, content: [el("h1", {}, "Matches for ", el("span", { class: "name" }, wanted)), found], refresh };
}
