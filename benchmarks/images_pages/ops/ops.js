"use strict";
/* A report of 120 rows, sortable and paged, and an administration list with states. Both load behind a spinner. */

const random = seeded(907);
const SITES = ["Aarhus", "Bergen", "Cádiz", "Dresden", "Espoo", "Faro", "Gdańsk", "Haarlem"];
const rows = Array.from({ length: 120 }, (_, i) => ({
  device: `${random.letters(2)}-${String(1000 + i * 7 + random.integer(0, 6))}`,
  site: random.pick(SITES),
  requests: random.integer(1200, 998000),
  failures: random.integer(0, 4200),
  latency: random.integer(8, 940),
  energy: random.integer(1000, 99999) / 10,
  uptime: (9000 + random.integer(0, 999)) / 100,
  cost: random.integer(1500, 880000),
}));
const COLUMNS = [["device", "Device"], ["site", "Site"], ["requests", "Requests"], ["failures", "Failures"],
  ["latency", "Latency ms"], ["energy", "Energy kWh"], ["uptime", "Uptime %"], ["cost", "Cost"]];
const users = Array.from({ length: 26 }, (_, i) => ({
  id: `U-${random.digits(5)}`,
  name: `${random.pick(["Alva", "Bruno", "Celia", "Dario", "Edda", "Fritz", "Greta", "Hugo", "Ines", "Jarl"])} ${
    random.pick(["Berg", "Costa", "Dahl", "Ekman", "Falk", "Grau", "Holm", "Ivers"])}`,
  role: random.pick(["Viewer", "Editor", "Owner", "Auditor"]),
  state: ["active", "active", "locked", "invited"][(i * 7) % 4],
  seen: `${random.integer(1, 28)} Apr, ${String(random.integer(0, 23)).padStart(2, "0")}:${random.digits(1)}5`,
}));
const dark = query.get("theme") === "dark";
document.body.classList.toggle("dark", dark);
let sorted = "device";
let down = false;
let first = 0;

function frame(title, html) {
  show(title, `<header style="height:40px"><span class="brand">Gridwatch</span><a href="/report">Report</a>
    <a href="/admin">People</a><span class="space"></span><span class="small">Tenant 4471 · Q1</span></header>${html}`);
}

function format(key, value) {
  if (key === "cost") return money(value);
  if (key === "energy" || key === "uptime") return value.toFixed(key === "energy" ? 1 : 2);
  return typeof value === "number" ? number(value) : value;
}

function report() {
  const ordered = [...rows].sort((a, b) => (a[sorted] < b[sorted] ? -1 : a[sorted] > b[sorted] ? 1 : 0) * (down ? -1 : 1));
  const head = COLUMNS.map(([key, label]) => `<th data-key="${key}" class="${typeof rows[0][key] === "number" ? "n" : ""}">${label}${
    key === sorted ? (down ? " ▼" : " ▲") : ""}</th>`).join("");
  const body = ordered.slice(first, first + 40).map((row) => `<tr>${COLUMNS.map(([key]) =>
    `<td class="${typeof row[key] === "number" ? "n" : ""}">${format(key, row[key])}</td>`).join("")}</tr>`).join("");
  frame("Devices Q1 – Gridwatch", `<div style="padding:6px 16px" class="row"><h1 style="margin:4px 0">Devices, first quarter</h1>
    <span class="small" style="padding-top:8px">Rows ${first + 1} to ${first + 40} of 120</span><button id="previous" ${first ? "" : "disabled"}>Previous</button>
    <button id="next" ${first < 80 ? "" : "disabled"}>Next</button><button id="export">Export</button></div>
    <table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table><p class="small" style="padding:4px 16px">Checksum
    ${seeded(first + sorted.length * 100 + (down ? 1 : 0)).digits(8)}</p>`);
  on("th", "click", (event) => {
    const key = event.target.dataset.key;
    down = key === sorted ? !down : typeof rows[0][key] === "number";
    sorted = key;
    loading(report);
  });
  on("#next", "click", () => { first += 40; loading(report); });
  on("#previous", "click", () => { first -= 40; loading(report); });
  on("#export", "click", () => { $("#export").textContent = "Exported"; });
}

function admin() {
  const body = users.map((u) => `<tr><td>${u.id}</td><td>${u.name}</td><td>${u.role}</td><td><span class="state ${u.state}">${u.state}</span></td>
    <td>${u.seen}</td><td><button data-id="${u.id}" style="padding:0 8px;font-size:11px">${u.state === "locked" ? "Unlock" : "Lock"}</button></td></tr>`).join("");
  frame("People – Gridwatch", `<main><h1>People <small>${users.filter((u) => u.state === "active").length} active,
    ${users.filter((u) => u.state === "locked").length} locked</small></h1><table style="max-width:900px"><tr><th>Id</th><th>Name</th><th>Role</th>
    <th>State</th><th>Last seen</th><th></th></tr>${body}</table></main>`);
  on("button[data-id]", "click", (event) => {
    const user = users.find((u) => u.id === event.target.dataset.id);
    user.state = user.state === "locked" ? "active" : "locked";
    admin();
  });
}

/* Shows a spinner until somebody calls `window.finish()`. */
function loading(then) {
  window.finish = then;
  frame("Loading – Gridwatch", `<div class="spinner" role="progressbar" aria-label="Loading"></div><p class="center small">Loading rows …</p>`);
}

loading(path === "/admin" ? admin : report);
