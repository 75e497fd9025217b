// A view of one list of the API: its table with filters above it and pages below it.

import { get } from "./api.js";
import { el } from "./dom.js";
import { PAGE_SIZE, ordering, pager, table } from "./table.js";

// `path` and `query()` are for the API, `about` and `tools` are above the table; the other properties are those of `table`.
export function listView(place, { title, path, query, about, tools, ...options }) {
  const list = table({ caption: title, place, ...options });
  const pages = pager(place);

  async function refresh(signal) {
    const { data, total } = await get(path, { ...query?.(), ...ordering(place), page: pages.page(), pageSize: PAGE_SIZE }, signal);
    list.show(data);
    pages.show(total);
  }

  const above = [about && el("p", {}, about), tools && el("div", { class: "tools" }, ...tools)];
  return { title, content: [el("h1", {}, title), ...above, ...list.content, pages.node], refresh, list };
}

// The filters of the URL with these names, as parameters of the API.
export function filters(place, names) {
  return Object.fromEntries(names.map((name) => [name, place.query.get(name)]));
}
