// The page: the open view, the time range, the theme, and the polling.

import { h, say } from "./dom.js";
import { Overview } from "./overview.js";
import { Session } from "./session.js";

const EVERY = 5000; // milliseconds
const RANGES = { "1h": "1 h", "24h": "24 h", "30d": "30 d" };
const THEMES = { auto: "◐", light: "☀", dark: "☾" };
const $ = (id) => document.getElementById(id);

function kept(name, fallback, allowed) {
  try {
    const value = localStorage.getItem(`compressor.${name}`);
    return value in allowed ? value : fallback;
  } catch {
    return fallback; // the browser has no storage
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`compressor.${name}`, value);
  } catch {
    // without storage, the choice lasts for this visit
  }
}

const state = { range: kept("range", "1h", RANGES) };
let theme = kept("theme", "auto", THEMES);
let view, timer, asking, last;

function dress() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = THEMES[theme];
  $("theme").setAttribute("aria-label", `Theme: ${theme}. Change`);
  $("theme").title = `Theme: ${theme}`;
}

function open() {
  const named = /^#\/session\/(.+)$/.exec(location.hash);
  let id;
  try {
    id = named && decodeURIComponent(named[1]);
  } catch {
    id = null;
  }
  view = id ? new Session(id) : new Overview(state);
  $("ranges").hidden = Boolean(id);
  document.title = id ? `${id} · compressor` : "Agentic compressor";
  $("main").replaceChildren(view.element);
  scrollTo(0, 0);
  ask();
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  if (document.hidden) return;
  const mine = (asking = new AbortController());
  let wait = EVERY;
  try {
    const data = await view.refresh(mine.signal);
    if (mine.signal.aborted) return;
    if (data) say($("tenant"), data.tenant);
    last = Date.now();
    alarm(data?.store === "unreachable" ? "The store does not answer, so this page shows only what this worker knows. Nothing is lost: it is stored later." : "");
  } catch (error) {
    if (mine.signal.aborted) return;
    const loading = $("main").querySelector(".loading");
    if (error.status === 404 && loading) say(loading, "This session does not exist here. A conversation without a name is known only to the worker that serves it.");
    else if (error.status === 401) alarm("The API key is not valid any more: reload the page.");
    else if (error.status === 429) [wait] = [Math.max(60000, 1000 * error.wait)];
    else alarm(`Not up to date: ${error.status ? error.message : "the service does not answer"}.`);
  }
  tick();
  timer = setTimeout(ask, wait);
}

function alarm(text) {
  $("alert").hidden = !text;
  say($("alert"), text);
}

function tick() {
  const passed = last ? Math.round((Date.now() - last) / 1000) : null;
  $("state").classList.toggle("late", passed !== null && passed > 15);
  say($("state"), document.hidden ? "paused" : passed === null ? "" : passed > 15 ? `${passed} s old` : "live");
}

for (const [range, label] of Object.entries(RANGES)) {
  $("ranges").append(
    h("button", { type: "button", role: "radio", "aria-checked": String(range === state.range), "data-range": range, click: () => choose(range) }, label),
  );
}

function choose(range) {
  state.range = range;
  keep("range", range);
  for (const button of $("ranges").children) button.setAttribute("aria-checked", button.dataset.range === range);
  ask();
}

// Arrow keys move within a group of choices, as they do among radio buttons.
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || document.activeElement?.getAttribute("role") !== "radio") return;
  const all = [...document.activeElement.parentElement.children];
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  next.focus();
  next.click();
});

$("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  keep("theme", theme);
  dress();
});
addEventListener("hashchange", open);
document.addEventListener("visibilitychange", () => (document.hidden ? (clearTimeout(timer), tick()) : ask()));
setInterval(tick, 5000);
dress();
open();
