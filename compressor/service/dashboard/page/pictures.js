// The images of a message, before and after: thumbnails that are loaded when the message is opened, and whole on click.

import { ACTIONS } from "./actions.js";
import { copier, count, get, h, plural, query } from "./dom.js";

const pixels = ({ width, height }) => (width && height ? `${width} × ${height}` : "size unknown");

export class ImageBlock {
  constructor(message, data) {
    Object.assign(this, { message, data });
    const { image, action, sent } = data;
    const changed = action !== "kept";
    const words = image.alt || "an image";
    this.number = data.block;
    this.problem = h("p", { class: "note warn", hidden: true });
    this.full = h("div", { class: "full", id: `f${message.data.number}-${data.block}`, hidden: true });
    const before = `${changed ? "Before: " : ""}${words}, ${pixels(image)}`;
    this.before = this.figure(before, changed ? "before" : "as it is", pixels(image), data.tokens_before);
    if (changed && image.shown) this.after = this.figure(`As sent: ${words}, ${pixels(image.shown)}`, "as sent", pixels(image.shown), data.tokens_after, sent);
    const textOnly = changed && !image.shown ? h("figure", { class: "picture" }, line(sent), caption("as sent", sent ? "text" : "nothing", data.tokens_after)) : null;
    const name = data.name ? `${data.kind} · ${data.name}` : data.kind;
    this.element = h(
      "section",
      { class: `block ${action}` },
      h(
        "div",
        { class: "about" },
        h("span", { class: "kind" }, name),
        changed ? h("span", { class: `badge ${action}` }, ACTIONS[action]) : null,
        h("span", { class: "quiet" }, changed ? `${count(data.tokens_before)} → ${count(data.tokens_after)} tokens` : plural(data.tokens_before, "token")),
        h("span", { class: "refs" }, data.refs.map((ref) => h("span", { class: "ref" }, "ref ", copier(ref)))),
      ),
      data.reason ? h("p", { class: "why" }, data.reason) : null,
      h("div", { class: "pictures" }, this.before.element, changed ? h("span", { class: "arrow", "aria-hidden": "true" }, "→") : null, this.after?.element, textOnly),
      this.problem,
      this.full,
    );
  }

  /** One picture: a button with its thumbnail that shows it whole, what it is, and the note in front of it. */
  figure(alt, label, size, tokens, note) {
    const button = h("button", { type: "button", class: "thumb", title: "Show it in full size", "aria-label": `${alt}. Show it in full size`, "aria-expanded": "false", "aria-controls": this.full.id }, "Show it in full size");
    button.addEventListener("click", () => this.toggle(button, alt, label === "as sent"));
    return { alt, button, element: h("figure", { class: "picture" }, button, caption(label, size, tokens), line(note)) };
  }

  /** Shows the thumbnails that the service has made. */
  show({ before, after, problem }) {
    for (const [figure, url] of [[this.before, before], [this.after, after]]) {
      if (!figure || !url) continue;
      figure.button.removeAttribute("aria-label"); // the picture's alternative text is its name now
      figure.button.replaceChildren(h("img", { src: url, alt: figure.alt }));
    }
    if (problem) this.say(`No thumbnail: ${problem}`);
  }

  /** Takes the buttons away, because the service shows no pictures. */
  hide(why) {
    for (const figure of [this.before, this.after]) figure?.button.remove();
    this.say(why);
  }

  say(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
  }

  async toggle(button, alt, sent) {
    const open = button.getAttribute("aria-expanded") !== "true";
    for (const figure of [this.before, this.after]) figure?.button.setAttribute("aria-expanded", String(open && figure.button === button));
    this.full.hidden = !open;
    this.full.replaceChildren();
    if (!open) return;
    this.full.append(h("p", { class: "quiet" }, "Loading…"));
    try {
      const { url } = await get(`${this.message.path}/images/${this.number}${query({ sent: sent || undefined })}`);
      if (button.getAttribute("aria-expanded") === "true") this.full.replaceChildren(h("img", { src: url, alt: `${alt}, in full size` }));
    } catch (error) {
      if (button.getAttribute("aria-expanded") === "true") this.full.replaceChildren(h("p", { class: "note warn" }, error.message));
    }
  }
}

/** Loads the thumbnails of a message, some images at a time, and offers the next ones. */
export async function loadThumbnails(message, blocks, after = -1) {
  const waiting = blocks.filter((block) => block.number > after);
  if (!waiting.length) return;
  try {
    const { images, more, hidden } = await get(`${message.path}/images${query({ after })}`);
    if (hidden) for (const block of waiting) block.hide(hidden);
    for (const image of images) waiting.find((block) => block.number === image.block)?.show(image);
    if (!more) return;
    const last = images.at(-1).block;
    const button = h("button", { type: "button", class: "more" }, `Show the next thumbnails of ${plural(waiting.length - images.length, "more image")}`);
    button.addEventListener("click", () => {
      button.remove();
      waiting.find((block) => block.number > last)?.before.button.focus();
      loadThumbnails(message, blocks, last);
    });
    message.body.append(button);
  } catch (error) {
    waiting[0].say(error.message);
  }
}

function caption(label, what, tokens) {
  return h("figcaption", {}, `${label}: ${what}, ${plural(tokens, "token")}`);
}

function line(text) {
  return text ? h("p", { class: "line" }, text) : null;
}
