// The last calls that belong to no session, with the originals behind their refs.

import { ago, copier, count, get, h, percent, say, seconds } from "./dom.js";
import { bar } from "./table.js";

const SHOWN = 8; // calls that are shown at first
const REFS = 3; // refs of a call that are shown at first

export class SingleCalls {
  constructor() {
    this.list = h("div", { class: "rows", role: "list" });
    this.all = h("button", { type: "button", class: "more", click: () => this.showAll() });
    this.element = h("section", { class: "card", hidden: true }, h("h2", {}, "Single calls"), this.list, this.all);
  }

  show(stats) {
    const { calls, now } = (this.stats = stats);
    this.element.hidden = !calls.length;
    keyed(this.list, this.isOpen ? calls : calls.slice(0, SHOWN), (call, row) => callRow(call, now, row));
    this.all.hidden = this.isOpen || calls.length <= SHOWN;
    say(this.all, `Show all ${count(calls.length)}`);
  }

  showAll() {
    this.isOpen = true;
    this.show(this.stats);
    this.list.children[SHOWN]?.querySelector("button")?.focus();
  }
}

/** Updates rows by the time of their calls. Elements that stay are reused, so that they keep focus and open parts. */
function keyed(parent, calls, make) {
  const old = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  const seen = new Map();
  const rows = calls.map((call) => {
    const same = (seen.get(call.time) ?? 0) + 1; // calls may end at the same time
    seen.set(call.time, same);
    const key = `${call.time} ${same}`;
    const row = make(call, old.get(key));
    row.dataset.key = key;
    return row;
  });
  const same = rows.length === parent.children.length && rows.every((row, i) => row === parent.children[i]);
  if (same) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  parent.replaceChildren(...rows);
  focused?.focus({ preventScroll: true });
}

function callRow(call, now, old) {
  if (old) {
    say(old.querySelector(".since"), ago(call.time, now));
    return old;
  }
  const kinds = { call: "context", documents: "documents", examples: "examples" };
  const caches = { hit: "cache hit", coalesced: "coalesced", miss: "computed", "": "" };
  const fraction = call.before ? call.after / call.before : 1;
  const below = h("div", { class: "below" });
  const refs = call.refs.map((ref, i) =>
    h("span", { class: "ref", hidden: i >= REFS }, copier(ref), h("button", { type: "button", class: "link", click: () => original(below, ref) }, "original")),
  );
  if (refs.length > REFS) {
    const more = h("button", { type: "button", class: "link" }, `+${refs.length - REFS} more`);
    more.addEventListener("click", () => {
      for (const ref of refs) ref.hidden = false;
      more.remove();
    });
    refs.push(more);
  }
  return h(
    "div",
    { role: "listitem" },
    h(
      "div",
      { class: "row call" },
      h("span", { class: "name" }, h("span", { class: "badge" }, kinds[call.kind] ?? call.kind), h("small", { class: "since" }, ago(call.time, now))),
      h("span", { class: "n wide" }, `${count(call.before)} → ${count(call.after)}`, bar(fraction)),
      h("span", { class: "n" }, call.before ? percent(1 - fraction) : "–", h("small", {}, "saved")),
      h("span", { class: "n" }, seconds(call.seconds), h("small", {}, caches[call.cache] || call.tier)),
      h("span", { class: "refs" }, refs),
    ),
    call.warnings.length ? h("p", { class: "note warn" }, call.warnings.join(" · ")) : null,
    below,
  );
}

async function original(place, ref) {
  if (place.dataset.ref === ref) {
    delete place.dataset.ref;
    place.replaceChildren();
    return;
  }
  place.dataset.ref = ref;
  try {
    const { original_content } = await get(`v1/retrieve/${encodeURIComponent(ref)}`);
    if (place.dataset.ref === ref) place.replaceChildren(h("pre", { class: "text", tabindex: 0, role: "group", "aria-label": "The original" }, original_content));
  } catch (error) {
    place.replaceChildren(h("p", { class: "note warn" }, error.message));
  }
}
