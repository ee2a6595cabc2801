// A row of choices of which one is chosen: a radio group, in which the arrow keys move.

import { h } from "./dom.js";

export class Choices {
  /** options: {value: label}; attribute: the name of the data attribute that has the value; chosen: called with it. */
  constructor(label, options, attribute, chosen) {
    this.chosen = chosen;
    this.buttons = Object.entries(options).map(([value, text]) =>
      h("button", { type: "button", role: "radio", [`data-${attribute}`]: value, value, click: () => this.pick(value) }, text),
    );
    this.element = h("div", { class: "segments", role: "radiogroup", "aria-label": label, keydown: (event) => this.key(event) }, this.buttons);
  }

  pick(value) {
    this.set(value);
    this.chosen(value);
  }

  /** Marks a choice as chosen. Only that one is in the tab order. */
  set(value) {
    for (const button of this.buttons) {
      button.setAttribute("aria-checked", String(button.value === value));
      button.tabIndex = button.value === value ? 0 : -1;
    }
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const at = this.buttons.indexOf(event.target);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = this.buttons[(at + step + this.buttons.length) % this.buttons.length];
    next.focus();
    this.pick(next.value);
  }
}
