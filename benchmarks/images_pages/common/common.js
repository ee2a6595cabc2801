"use strict";
/* Shared by all pages: a seeded random generator, so that every load shows the same content, and a few helpers. */

function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const integer = (low, high) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    integer,
    pick: (items) => items[integer(0, items.length - 1)],
    digits: (n) => Array.from({ length: n }, () => integer(0, 9)).join(""),
    letters: (n) => Array.from({ length: n }, () => "ABCDEFGHKLMNPRSTUVWX"[integer(0, 19)]).join(""),
  };
}

const query = new URLSearchParams(location.search);
const path = location.pathname;
const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => [...document.querySelectorAll(selector)];

function show(title, html) {
  document.title = title;
  $("#page").innerHTML = html;
}

function on(selector, event, handler) {
  for (const element of $$(selector)) element.addEventListener(event, handler);
}

const number = (value) => value.toLocaleString("en-US");
const money = (cents) => "€ " + (cents / 100).toFixed(2).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const stored = (key, otherwise) => JSON.parse(localStorage.getItem(key) || "null") ?? otherwise;
const store = (key, value) => localStorage.setItem(key, JSON.stringify(value));

/* A drawing of a thing: a few shapes from a seed. */
function drawing(seed, width, height) {
  const random = seeded(seed);
  const hue = random.integer(0, 359);
  let shapes = "";
  for (let i = 0; i < 5; i++) {
    const [x, y, r] = [random.integer(10, width - 10), random.integer(10, height - 10), random.integer(12, height / 3)];
    const fill = `hsl(${(hue + i * 23) % 360} 45% ${40 + i * 8}%)`;
    shapes += i % 2
      ? `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}"/>`
      : `<rect x="${x - r}" y="${y - r / 2}" width="${2 * r}" height="${r}" rx="6" fill="${fill}"/>`;
  }
  return `<svg width="${width}" height="${height}" role="img" aria-label="Product photo">` +
    `<rect width="${width}" height="${height}" fill="hsl(${hue} 30% 92%)"/>${shapes}</svg>`;
}
