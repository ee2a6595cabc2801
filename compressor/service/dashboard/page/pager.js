// The pages of a list.

import { count, h, say } from "./dom.js";

export class Pager {
  /** label: names it; turned: called with the offset of the page to open. */
  constructor(label, turned) {
    this.turned = turned;
    this.place = h("span", { class: "quiet" });
    this.buttons = [
      ["first", "⇤", "First page", () => 0],
      ["previous", "←", "Previous page", () => Math.max(0, this.offset - this.limit)],
      ["next", "→", "Next page", () => this.offset + this.limit],
      ["last", "⇥", "Last page", () => this.end],
    ].map(([name, sign, title, offset]) => h("button", { type: "button", class: "turn", "data-page": name, title, "aria-label": title, click: () => this.turn(offset()) }, sign));
    this.element = h("nav", { class: "pager", "aria-label": label, hidden: true }, this.buttons.slice(0, 2), this.place, this.buttons.slice(2));
  }

  turn(offset) {
    if (offset !== this.offset && offset < this.total) this.turned(offset);
  }

  show({ total, offset, limit, sessions }) {
    Object.assign(this, { total, offset, limit, end: Math.floor(Math.max(0, total - 1) / limit) * limit });
    this.element.hidden = total <= limit;
    say(this.place, `${count(offset + 1)}–${count(offset + sessions.length)} of ${count(total)}`);
    this.buttons.forEach((button, i) => button.setAttribute("aria-disabled", String(i < 2 ? offset === 0 : offset + limit >= total)));
  }
}
