// The address of a view: #/NAME/ID?PARAMETERS. All of a view's state is in it, so that reload, back and links work.

const VIEWS = ["overview", "sessions", "session", "tools", "models", "fallbacks", "tenants", "calls"];
const latest = {}; // the last address of each view

let changed = () => {};

/** Calls a function whenever the address changes, by whomever. */
export function listen(callback) {
  changed = callback;
  addEventListener("hashchange", callback);
}

/** Returns the view that the address names: its name, the id behind it, and its parameters. Unknown: the overview. */
export function route() {
  const [, name = "", rest = "", query = ""] = /^#\/([a-z]*)(?:\/([^?]+))?(?:\?(.*))?$/s.exec(location.hash) ?? [];
  const params = Object.fromEntries(new URLSearchParams(query));
  let id = "";
  try {
    id = decodeURIComponent(rest);
  } catch {
    // not percent-encoded text, so not a link of this page
  }
  const known = VIEWS.includes(name) && (name !== "session" || id);
  const found = known ? { name, id, params } : { name: "overview", id: "", params: name ? {} : params };
  latest[found.name] = location.hash || "#/";
  return found;
}

/** Returns the address of a view. Empty parameters are left out. */
export function link(name, params = {}, id = "") {
  const given = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const path = name === "overview" ? "#/" : `#/${name}${id ? `/${encodeURIComponent(id.toWellFormed?.() ?? id)}` : ""}`;
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Returns the address that a view had last. */
export const last = (name) => latest[name] ?? link(name);

/** Changes parameters of the open view. With `replace`, the back button skips the present ones. */
export function update(params, replace = false) {
  const { name, id, params: old } = route();
  const address = link(name, { ...old, ...params }, id);
  if (address === location.hash) return;
  if (!replace) {
    location.hash = address;
    return;
  }
  history.replaceState(null, "", address);
  changed();
}
