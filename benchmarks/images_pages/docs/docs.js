"use strict";
/* Documentation of an invented message broker: long pages with headings, code, tables and a side bar. */

const PAGES = [
  ["start", "Getting started"], ["install", "Installation"], ["settings", "Settings"], ["delivery", "Delivery guarantees"],
  ["clusters", "Clusters"], ["security", "Security"], ["errors", "Error codes"], ["upgrade", "Upgrading"],
];
const SENTENCES = [
  "A queue keeps its messages in the order in which the broker accepted them.",
  "Consumers that share a group receive each message once, as long as they confirm it in time.",
  "If a consumer is lost, its unconfirmed messages return to the head of the queue.",
  "The broker writes to a log before it answers, so a confirmed message survives a restart.",
  "Slow consumers never block a publisher; they fall behind and are reported.",
  "Large bodies are kept in a file of their own and are read only when a consumer asks for them.",
  "Every client opens one connection and multiplexes its channels over it.",
  "A lease that is not renewed ends, and another node takes the partition over.",
  "Headers are matched before the body is read, which keeps filters cheap.",
  "Metrics are collected once per second and kept for a day.",
];
const NAMES = ["max_retries", "lease_ms", "flush_interval_ms", "segment_bytes", "prefetch", "idle_timeout_s", "max_body_bytes",
  "replicas", "listen_port", "admin_port", "compression_level", "dead_letter_after"];
const theme = query.get("theme") || stored("theme", "light");
store("theme", theme);
document.body.classList.toggle("dark", theme === "dark");
const name = path.slice(1) || "start";
const [, title] = PAGES.find(([key]) => key === name) || PAGES[0];
const seed = [...name].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7);

function text(r, count) {
  return `<p>${Array.from({ length: count }, () => r.pick(SENTENCES)).join(" ")}</p>`;
}

function section(r, i) {
  const heads = ["How it works", "Defaults", "An example", "Limits", "What can go wrong", "Further reading", "In detail"];
  let html = `<h2 id="s${i}">${i + 1}. ${heads[i % heads.length]}</h2>` + text(r, 4);
  if (i % 3 === 0) {
    html += `<pre>broker --data /var/lib/marten \\\n  --listen 0.0.0.0:${r.integer(4000, 9999)} \\\n  --node ${r.letters(3).toLowerCase()}-${r.digits(2)} \\\n  --join ${r.letters(4).toLowerCase()}.example:${r.integer(4000, 9999)}</pre>`;
  } else if (i % 3 === 1) {
    const rows = NAMES.map((n) => `<tr><td><code>${n}</code></td><td class="n">${number(r.integer(3, 90000))}</td><td>${
      r.pick(["per queue", "per node", "per cluster", "per connection"])}</td><td>${r.pick(["restart", "live", "live", "reload"])}</td></tr>`);
    html += `<table><tr><th>Setting</th><th class="n">Default</th><th>Scope</th><th>Applies</th></tr>${rows.join("")}</table>`;
  } else {
    html += `<pre>from marten import Client\n\nclient = Client("${r.letters(5).toLowerCase()}.example", token="…")\nwith client.queue("orders.${r.digits(3)}") as queue:\n    for message in queue.consume(prefetch=${r.integer(8, 256)}):\n        message.confirm()</pre>`;
  }
  if (name === "errors") {
    html += `<table>${Array.from({ length: 6 }, () => `<tr><td><code>MQ-${r.digits(4)}</code></td><td>${
      r.pick(["Lease lost", "Body too large", "Not the leader", "Quota exceeded", "Unknown channel", "Clock skew"])}</td><td>retry after ${
      r.integer(50, 9000)} ms</td></tr>`).join("")}</table>`;
  }
  return html + text(r, 5);
}

const r = seeded(seed);
const side = PAGES.map(([key, label]) => `<a href="/${key}" class="${key === name ? "here" : ""}">${label}</a>`).join("");
show(`${title} – Marten 3.${r.integer(2, 9)} documentation`, `<header><span class="brand">Marten</span><span class="small">message broker</span>
  <span class="space"></span><input aria-label="Search the docs" placeholder="Search the docs"><button id="theme">Theme</button></header>
  <div class="row"><aside class="side">${side}<p class="small">Version 3.${r.integer(2, 9)}.${r.integer(0, 20)}, built
  ${r.integer(1, 28)} May</p></aside><main><h1>${title}</h1>${text(r, 3)}${Array.from({ length: 7 }, (_, i) => section(r, i)).join("")}
  <p class="small">Page ${seed % 9973} · <a href="/start">Back to the start</a></p></main></div>`);
on("#theme", "click", () => {
  store("theme", theme === "dark" ? "light" : "dark");
  location.href = `${path}?theme=${theme === "dark" ? "light" : "dark"}`;
});
