// All sessions: search, filters, sortable columns, pages. Their state is in the address.

import { Choices } from "./choices.js";
import { count, get, h, plural, query, say } from "./dom.js";
import { Pager } from "./pager.js";
import { update } from "./router.js";
import { sessionTable } from "./session_rows.js";

const DELAY = 250; // milliseconds after a key, before the search begins
const LIMIT = 25;
const STATES = { "": "All", true: "Live", false: "Idle" };
const NAMES = { "": "All names", true: "Named", false: "Unnamed" };
const FIRST_ORDERS = { id: "asc" };

export class SessionsList {
  constructor({ params }) {
    this.title = "Sessions";
    this.search = h("input", { type: "search", id: "q", maxlength: 200, autocomplete: "off", spellcheck: "false", placeholder: "id, model, first words", input: () => this.type() });
    this.model = h("select", { id: "model", change: () => this.filter({ model: this.model.value }) }, h("option", { value: "" }, "All models"));
    this.named = h("select", { id: "named", change: () => this.filter({ named: this.named.value }) }, Object.entries(NAMES).map(([value, label]) => h("option", { value }, label)));
    this.live = new Choices("Activity", STATES, "live", (value) => this.filter({ live: value }));
    this.warnings = h("input", { type: "checkbox", id: "warnings", change: () => this.filter({ warnings: this.warnings.checked ? "true" : "" }) });
    this.found = h("p", { class: "found", role: "status" }, "Loading…");
    this.table = sessionTable((sort, order) => this.filter({ sort, order }));
    this.pagers = [new Pager("Pages", (offset) => update({ offset: offset || "" })), new Pager("Pages, below the list", (offset) => (update({ offset: offset || "" }), scrollTo(0, 0)))];
    this.clear = h("button", { type: "button", class: "mode", click: () => this.reset() }, "Clear the filters");
    this.none = h("p", { class: "nothing quiet", hidden: true }, "No session matches. ", this.clear);
    this.element = h(
      "div",
      { class: "view" },
      h("h1", { class: "title", tabindex: -1 }, "Sessions"),
      h(
        "form",
        { class: "filters", role: "search", "aria-label": "Sessions", submit: (event) => event.preventDefault() },
        h("label", { class: "search" }, h("span", { class: "hidden" }, "Search sessions"), this.search),
        h("label", {}, h("span", { class: "hidden" }, "Model"), this.model),
        h("label", {}, h("span", { class: "hidden" }, "Names"), this.named),
        this.live.element,
        h("label", { class: "check" }, this.warnings, "With warnings"),
      ),
      h("section", { class: "card" }, h("div", { class: "bar" }, this.found, h("span", { class: "grow" }), this.pagers[0].element), this.table.element, this.none, this.pagers[1].element),
    );
    this.navigate(params);
  }

  /** Takes the parameters of the address. */
  navigate(params) {
    this.params = params;
    if (document.activeElement !== this.search) this.search.value = params.q ?? "";
    this.addModels([]);
    this.named.value = params.named in NAMES ? params.named : "";
    this.live.set(params.live in STATES ? params.live : "");
    this.warnings.checked = params.warnings === "true";
    const sort = params.sort ?? "last";
    this.table.mark(sort, params.order ?? FIRST_ORDERS[sort] ?? "desc");
  }

  type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.filter({}, true), DELAY);
  }

  /** Changes filters. What was typed just before counts, too. */
  filter(params, replace = false) {
    clearTimeout(this.timer);
    update({ q: this.search.value.trim(), ...params, offset: "" }, replace);
  }

  reset() {
    this.search.value = "";
    this.search.focus();
    this.filter({ model: "", named: "", live: "", warnings: "" });
  }

  close() {
    clearTimeout(this.timer);
  }

  async refresh(signal) {
    const { q, model, named, live, warnings, sort, order, offset } = this.params;
    const limit = this.params.limit ?? LIMIT;
    const list = await get(`v1/sessions${query({ q, model, named, live, warnings, sort, order, offset, limit })}`, signal);
    if (!list.sessions.length && list.total && list.offset) {
      update({ offset: Math.floor((list.total - 1) / list.limit) * list.limit || "" }, true); // the last page that there is
      return list;
    }
    this.addModels(list.models);
    this.table.show(list);
    const all = plural(list.known, "session");
    say(this.found, list.total === list.known ? all : `${count(list.total)} of ${all}`);
    this.table.element.hidden = !list.total;
    this.none.hidden = list.total > 0;
    this.none.firstChild.data = list.known ? "No session matches. " : "No sessions yet. Clients that name a session, or use the proxy, appear here. ";
    this.clear.hidden = !list.known;
    for (const pager of this.pagers) pager.show(list);
    return list;
  }

  /** Adds models to the choice, and chooses that of the address. */
  addModels(models) {
    const chosen = this.params.model ?? "";
    const known = new Set([...this.model.options].map((option) => option.value));
    for (const model of [...models, chosen]) if (!known.has(model)) this.model.append(h("option", { value: model }, model));
    if (this.model.value !== chosen) this.model.value = chosen;
  }
}
