// Tables: sortable columns, rows that are updated in place, bars. On a narrow screen each row becomes a card.

import { h } from "./dom.js";

const ARROWS = { asc: "▲", desc: "▼" };

export class Table {
  /**
   * label: names the table; columns: [{label, n: whether it has numbers, sort: its name in the address, first: the order
   * of the first click}]; key: gives a row's key; cells: makes the cells of a row, the first one names the row;
   * facts: gives what the cells of a row show, as a text; sorted: called with a column's name and an order.
   */
  constructor({ label, columns, key, cells, facts, sorted }) {
    Object.assign(this, { columns, key, cells, facts, sorted });
    this.heads = columns.map((column) => this.headCell(column));
    this.body = h("tbody", { role: "rowgroup" });
    const head = h("thead", { role: "rowgroup", class: sorted ? null : "plain" }, h("tr", { role: "row" }, this.heads));
    this.element = h("table", { class: "table", role: "table", "aria-label": label }, head, this.body);
  }

  headCell(column) {
    const attributes = { scope: "col", role: "columnheader", class: column.n ? "n" : null };
    if (!this.sorted || !column.sort) return h("th", { ...attributes, class: `${column.n ? "n " : ""}plain` }, column.label);
    const button = h("button", { type: "button", class: "sort", "data-sort": column.sort, click: () => this.sorted(column.sort, this.nextOrder(column)) });
    button.append(column.label, h("span", { class: "arrow", "aria-hidden": "true" }));
    return h("th", { ...attributes, "aria-sort": "none" }, button);
  }

  nextOrder(column) {
    if (column.sort !== this.sort) return column.first ?? "desc";
    return this.order === "asc" ? "desc" : "asc";
  }

  /** Marks the column that the rows are sorted by. */
  mark(sort, order) {
    Object.assign(this, { sort, order });
    this.columns.forEach((column, i) => {
      if (!this.sorted || !column.sort) return;
      const on = column.sort === sort;
      this.heads[i].setAttribute("aria-sort", on ? { asc: "ascending", desc: "descending" }[order] : "none");
      this.heads[i].querySelector(".arrow").textContent = on ? ARROWS[order] : "";
    });
  }

  /** Shows rows. Elements of rows that stay are reused, and the focus stays where it is. */
  show(rows) {
    const old = new Map([...this.body.children].map((row) => [row.dataset.key, row]));
    const focused = document.activeElement?.closest("tr")?.dataset.key;
    const inside = this.body.contains(document.activeElement);
    const made = rows.map((data) => this.row(data, old.get(String(this.key(data)))));
    const same = made.length === this.body.children.length && made.every((row, i) => row === this.body.children[i]);
    if (!same) this.body.replaceChildren(...made);
    if (inside && !this.body.contains(document.activeElement)) {
      made.find((row) => row.dataset.key === focused)?.querySelector("a, button")?.focus({ preventScroll: true });
    }
  }

  row(data, old) {
    const facts = this.facts(data);
    if (old?.facts === facts) return old;
    const cells = this.cells(data).map((content, i) => {
      const { n, label } = this.columns[i];
      if (!i) return h("th", { scope: "row", role: "rowheader" }, content);
      return h("td", { role: "cell", class: n ? "n" : null, "data-label": label }, content);
    });
    const row = old ?? h("tr", { role: "row", "data-key": this.key(data) });
    row.replaceChildren(...cells);
    row.facts = facts;
    return row;
  }
}

/** Creates a bar of which a part is filled. */
export function bar(filled) {
  const inner = h("i", {});
  inner.style.width = `${share(filled)}%`;
  return h("span", { class: "meter", "aria-hidden": "true" }, inner);
}

/** Creates a bar to compare with those of the other rows: `length` and `filled` are fractions of the longest one. */
export function comparedBar(filled, length) {
  const outer = h("span", { class: "compared", "aria-hidden": "true" }, bar(length ? filled / length : 0));
  outer.firstChild.style.width = `${share(length)}%`;
  return outer;
}

const share = (fraction) => Math.min(100, Math.max(0, 100 * (Number.isFinite(fraction) ? fraction : 0)));
