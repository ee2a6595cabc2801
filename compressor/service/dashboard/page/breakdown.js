// Where tokens and dollars go: by tool, by model, by tenant, and why requests were sent uncompressed.

import { get, h, say } from "./dom.js";
import { KINDS } from "./breakdown_kinds.js";
import { update } from "./router.js";
import { Table } from "./table.js";

const SHOWN = 50; // rows that are shown at first

export class Breakdown {
  constructor({ name, params, state }) {
    Object.assign(this, { name, state, kind: KINDS[name] });
    this.title = this.kind.title;
    this.hasRange = true;
    this.missing = "This service does not know /v1/stats/breakdown (404): it is older than this page.";
    this.said = h("p", { class: "found", role: "status" }, "Loading…");
    this.table = new Table({
      label: this.kind.title,
      columns: this.kind.columns,
      key: (row) => row[this.kind.id],
      facts: (row) => JSON.stringify([row, this.largest, this.kind.facts?.(row)]),
      cells: (row) => this.kind.cells(row, this.largest, state.range),
      sorted: (sort, order) => update({ sort, order }),
    });
    this.table.element.hidden = true;
    this.all = h("button", { type: "button", class: "more", hidden: true, click: () => this.showAll() });
    this.loading = h("p", { class: "nothing quiet", hidden: true });
    this.element = h(
      "div",
      { class: "view" },
      h("h1", { class: "title", tabindex: -1 }, this.kind.title),
      h("p", { class: "lead quiet" }, this.kind.about),
      h("section", { class: "card" }, h("div", { class: "bar" }, this.said), this.table.element, this.loading, this.all),
    );
    this.navigate(params);
  }

  /** Takes the parameters of the address. */
  navigate({ sort, order }) {
    const column = this.kind.columns.find((one) => one.sort === sort) ?? this.kind.columns.find((one) => one.sort === this.kind.sort);
    this.sort = column.sort;
    this.order = ["asc", "desc"].includes(order) ? order : (column.first ?? "desc");
    this.table.mark(this.sort, this.order);
    if (this.rows) this.show();
  }

  async refresh(signal) {
    const data = await get(`v1/stats/breakdown?range=${this.state.range}`, signal);
    this.rows = data[this.kind.rows]?.map((row) => ({ ...row, [this.kind.id]: row[this.kind.id] ?? row.name ?? "" })) ?? null;
    if (this.rows) this.show();
    else this.refuse(this.kind.refused ?? "This service does not count this.");
    return data;
  }

  refuse(text) {
    say(this.said, text);
    this.table.element.hidden = true;
    this.loading.hidden = true;
  }

  show() {
    const { rows, sort, kind } = this;
    const sign = this.order === "asc" ? 1 : -1;
    const ordered = [...rows].sort((a, b) => compare(a[sort], b[sort], sign) || compare(a[kind.id], b[kind.id], 1));
    this.largest = Math.max(1, ...rows.map((row) => row[kind.size] ?? 0));
    this.table.element.hidden = !rows.length;
    this.loading.hidden = rows.length > 0;
    say(this.loading, kind.none);
    say(this.said, rows.length ? kind.summary(rows) : "");
    this.table.show(this.isOpen ? ordered : ordered.slice(0, SHOWN));
    this.all.hidden = this.isOpen || rows.length <= SHOWN;
    say(this.all, `Show all ${rows.length}`);
  }

  showAll() {
    this.isOpen = true;
    this.show();
  }
}

/** Compares two values. A value that is missing comes last in either order. */
function compare(a, b, sign) {
  const missing = [a, b].map((value) => value === null || value === undefined);
  if (missing[0] || missing[1]) return missing[0] - missing[1];
  const order = typeof a === "string" ? a.localeCompare(String(b)) : a - b;
  return sign * order;
}
