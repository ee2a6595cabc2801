// What the overview shows before the first call: how to make one.

import { copier, h } from "./dom.js";

/** Returns the two ways to begin, with the address of this service. */
export function emptyState() {
  const here = new URL(".", location.href.split("#")[0]).href.replace(/\/$/, "");
  const line = `curl ${here}/v1/compress -H 'content-type: application/json' \\\n  -d '{"model": "gpt-4o", "budget": 4000, "messages": [{"role": "user", "content": "…"}]}'`;
  return h(
    "section",
    { class: "card blank" },
    h("h2", {}, "No calls yet"),
    h("p", {}, "Set a client's base URL to this service, and its requests are compressed on the way:"),
    h("pre", { class: "text" }, `client = OpenAI(base_url="${here}/v1")`),
    h("p", {}, "or compress a context yourself:"),
    h("pre", { class: "text", id: "try" }, line),
    copier(line, "Copy the command"),
    h("p", { class: "quiet" }, "This page refreshes every few seconds."),
  );
}
