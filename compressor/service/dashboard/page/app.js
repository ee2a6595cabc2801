// The page: the open view, the time range, the theme, and the polling.

import { Breakdown } from "./breakdown.js";
import { Choices } from "./choices.js";
import { get, h, say, seconds } from "./dom.js";
import { LiveTail } from "./live_tail.js";
import { Overview } from "./overview.js";
import { last as lastAddress, link, listen, route, update } from "./router.js";
import { Session } from "./session.js";
import { SessionsList } from "./sessions_list.js";

const EVERY = 5000; // milliseconds
const SLOW = 60000; // after a refusal
const RANGES = { "1h": "1 h", "24h": "24 h", "30d": "30 d" };
const THEMES = { auto: "◐", light: "☀", dark: "☾" };
const VIEWS = { overview: Overview, sessions: SessionsList, session: Session, calls: LiveTail, tools: Breakdown, models: Breakdown, fallbacks: Breakdown, tenants: Breakdown };
const LINKS = { overview: "Overview", sessions: "Sessions", tools: "Tools", models: "Models", fallbacks: "Fallbacks", calls: "Calls", tenants: "Tenants" };
const AWAY = "The store does not answer, so this page shows only what this worker knows. Nothing is lost: it is stored later.";
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
let view, opened, timer, asking, last, known;

function dress() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = THEMES[theme];
  $("theme").setAttribute("aria-label", `Theme: ${theme}. Change`);
  $("theme").title = `Theme: ${theme}`;
}

const ranges = new Choices("Time range", RANGES, "range", (range) => {
  keep("range", range);
  update({ range });
});

const links = Object.fromEntries(Object.entries(LINKS).map(([name, label]) => [name, h("a", { href: link(name), hidden: name === "tenants" }, label)]));

/** Shows the view that the address names. The same view with other parameters stays as it is, with the focus in it. */
function open() {
  const asked = route();
  state.range = asked.params.range in RANGES ? asked.params.range : kept("range", state.range, RANGES);
  ranges.set(state.range);
  for (const [name, anchor] of Object.entries(links)) {
    anchor.href = name === "sessions" && asked.name === "session" ? lastAddress(name) : link(name);
    if (name === asked.name || (name === "sessions" && asked.name === "session")) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (view && opened.name === asked.name && opened.id === asked.id) {
    opened = asked;
    view.navigate?.(asked.params);
  } else {
    const first = !view;
    view?.close?.();
    view = new VIEWS[asked.name]({ ...asked, state, poll: ask });
    opened = asked;
    $("ranges").hidden = !view.hasRange;
    document.title = asked.name === "overview" ? "Agentic compressor" : `${view.title} · compressor`;
    $("main").replaceChildren(view.element);
    scrollTo(0, 0);
    if (!first) view.element.querySelector("h1").focus({ preventScroll: true }); // so that its name is read out
  }
  ask();
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  if (document.hidden) return;
  const mine = (asking = new AbortController());
  let wait = view.every ?? EVERY;
  try {
    const data = await view.refresh(mine.signal);
    if (data?.tenant) introduce(data);
    else if (!known) introduce(await get("v1/sessions?limit=1", mine.signal));
    if (mine.signal.aborted) return;
    last = Date.now();
    alarm(data?.store === "unreachable" ? AWAY : "");
  } catch (error) {
    if (mine.signal.aborted) return;
    wait = Math.max(wait, refused(error));
  }
  tick();
  timer = setTimeout(ask, wait);
}

/** Says what went wrong, and returns how many milliseconds to wait for the next try. */
function refused(error) {
  if (error.status === 404 && view.missing) {
    view.refuse(view.missing);
    return SLOW;
  }
  if (error.status === 401) alarm("The API key is not valid any more: reload the page.");
  else if (error.status === 429) {
    const wait = Math.max(SLOW, 1000 * error.wait);
    alarm(`Not up to date: there are too many requests of this key. The page tries again in ${seconds(wait / 1000)}.`);
    return wait;
  } else alarm(`Not up to date: ${error.status ? error.message : "the service does not answer"}.`);
  return EVERY;
}

/** Shows whose data this is. Only an admin key sees other tenants. */
function introduce({ tenant, admin }) {
  known = true;
  say($("tenant"), tenant);
  links.tenants.hidden = !admin;
}

function alarm(text) {
  $("alert").hidden = !text;
  say($("alert"), text);
}

function tick() {
  const passed = last ? Math.round((Date.now() - last) / 1000) : null;
  const paused = document.hidden || view.isPaused;
  $("state").classList.toggle("late", !paused && passed !== null && passed > 15);
  say($("state"), paused ? "paused" : passed === null ? "" : passed > 15 ? `${passed} s old` : "live");
}

$("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  keep("theme", theme);
  dress();
});
// The address belongs to the views, so the link may not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
document.addEventListener("visibilitychange", () => (document.hidden ? (clearTimeout(timer), asking?.abort(), tick()) : ask()));
setInterval(tick, 5000);
$("ranges").append(ranges.element);
$("nav").append(...Object.values(links));
dress();
listen(open);
open();
