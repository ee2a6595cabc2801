// Elements, numbers and requests, for all views. Text is only ever inserted as text nodes.

const SVG = "http://www.w3.org/2000/svg";
const TRIES = 24;

/** Creates an element. Attributes that are functions become event listeners; children are nodes or texts. */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Creates an SVG element. */
export function s(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Requests JSON from the service that has served this page. */
export async function get(path, signal) {
  const url = new URL(path, new URL(".", location.href.split("#")[0]));
  for (let tries = 1; ; tries++) {
    const response = await fetch(url, { headers: { accept: "application/json" }, cache: "no-store", signal });
    if (response.ok) return response.json();
    let problem = {};
    try {
      problem = (await response.json()).error;
    } catch {
      // not a response of this service
    }
    // Another worker behind the same port may know it, and the next connection may reach that one.
    if (problem.type === "other_worker" && tries < TRIES) continue;
    const error = new Error(problem.message || response.statusText || `status ${response.status}`);
    error.status = response.status;
    error.wait = Number(response.headers.get("retry-after")) || 0;
    throw error;
  }
}

/** Returns parameters as the end of a path. Those that are empty or undefined are left out. */
export function query(params) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => whole.format(n);
export const brief = (n) => (Math.abs(n) < 10000 ? whole.format(n) : short.format(n));
export const percent = (fraction) => {
  const value = 100 * fraction;
  return `${value !== 0 && Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value)} %`;
};

export function dollars(value) {
  const size = Math.abs(value);
  const digits = size === 0 || size >= 100 ? 2 : size >= 1 ? 2 : size >= 0.001 ? 4 : 6;
  return `${value < 0 ? "−" : ""}$${size.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: digits })}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return `${value.toFixed(value < 10 ? 1 : 0)} s`;
}

export function ago(time, now) {
  const passed = Math.max(0, now - time);
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86400) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86400)} d ago`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Creates a button that copies a text. */
export function copier(text, label) {
  const button = h("button", { type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${label ?? text}` }, label ?? text);
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = false; // without a clipboard, the text is selected instead
      getSelection().selectAllChildren(button);
    }
    button.dataset.done = done ? "copied" : "selected";
    setTimeout(() => delete button.dataset.done, 1500);
  });
  return button;
}

/** Sets a text only if it differs, so that nothing moves while somebody reads. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
