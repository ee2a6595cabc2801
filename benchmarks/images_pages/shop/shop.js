"use strict";
/* A shop: a list with pages and a search, products, a cart with a badge, a checkout and an order. */

const KINDS = ["Desk lamp", "Kettle", "Backpack", "Wall clock", "Headphones", "Tea set", "Office chair", "Rain jacket"];
const MAKERS = ["Norrland", "Pikko", "Vela", "Osterby", "Tamarin", "Kestrel"];
const random = seeded(1701);
const products = Array.from({ length: 48 }, (_, i) => ({
  id: i + 1,
  name: `${random.pick(MAKERS)} ${random.pick(KINDS)} ${random.letters(1)}${random.integer(10, 99)}`,
  cents: random.integer(899, 24999),
  sku: `${random.letters(3)}-${random.digits(5)}`,
  stars: (random.integer(31, 49) / 10).toFixed(1),
  reviews: random.integer(12, 2400),
  stock: random.integer(0, 60),
  weight: random.integer(180, 9400),
  days: random.integer(2, 9),
  warranty: random.integer(12, 60),
}));
const cart = () => stored("cart", []);
const count = () => cart().reduce((sum, line) => sum + line.count, 0);

function page(title, html) {
  show(title, `<header><a class="brand" href="/list">Fjordhaus</a><input id="search" aria-label="Search products"
    placeholder="Search products" size="34" value="${query.get("q") || ""}"><span class="space"></span>
    <a href="/list">Products</a><a href="/help">Delivery</a><a href="/cart" id="cart">Cart
    <span class="badge" id="count">${count()}</span></a></header><main>${html}</main>`);
  on("#search", "keydown", (event) => {
    if (event.key === "Enter") location.href = `/list?q=${encodeURIComponent(event.target.value)}`;
  });
}

function list() {
  const words = (query.get("q") || "").toLowerCase();
  const found = products.filter((p) => p.name.toLowerCase().includes(words));
  const first = (Number(query.get("page") || 1) - 1) * 12;
  const cards = found.slice(first, first + 12).map((p) => `<a class="card" href="/product?id=${p.id}">
    ${drawing(p.id, 270, 110)}<div class="name">${p.name}</div><span class="price">${money(p.cents)}</span>
    <div class="small">★ ${p.stars} (${number(p.reviews)}) · ${p.stock ? `${p.stock} in stock` : "Sold out"}</div></a>`);
  const pages = Math.ceil(found.length / 12);
  const links = Array.from({ length: pages }, (_, i) =>
    `<a class="button" href="/list?page=${i + 1}${words ? `&q=${encodeURIComponent(words)}` : ""}">${i + 1}</a>`);
  page(`Products ${words ? `for “${words}”` : ""} – Fjordhaus`, `<h1>${words ? `Results for “${words}”` : "All products"}</h1>
    <p class="small">${found.length} products, page ${first / 12 + 1} of ${pages}</p>
    <div class="grid">${cards.join("")}</div><p class="center">${links.join(" ")}</p>`);
}

function product() {
  const p = products[Number(query.get("id")) - 1];
  const rows = [["Article number", p.sku], ["Weight", `${number(p.weight)} g`], ["Warranty", `${p.warranty} months`],
    ["Delivery", `${p.days} to ${p.days + 2} working days`], ["In stock", p.stock], ["Returns", "30 days, free of charge"]];
  page(`${p.name} – Fjordhaus`, `<div class="row">${drawing(p.id, 460, 340)}<div class="box" style="flex:1">
    <h1>${p.name}</h1><p class="small">★ ${p.stars} from ${number(p.reviews)} reviews</p>
    <p class="price" style="font-size:16px">${money(p.cents)}</p>
    <button class="main" id="add">Add to cart</button> <button id="save">Save for later</button>
    <h2>Details</h2><table>${rows.map(([k, v]) => `<tr><td>${k}</td><td>${v}</td></tr>`).join("")}</table></div></div>
    <h2>What others say</h2>${reviews(p)}`);
  on("#add", "click", () => {
    const lines = cart();
    const line = lines.find((l) => l.id === p.id);
    if (line) line.count += 1; else lines.push({ id: p.id, count: 1 });
    store("cart", lines);
    $("#count").textContent = count();
  });
  on("#save", "click", () => { $("#save").textContent = "Saved"; });
}

function reviews(p) {
  const r = seeded(p.id * 31);
  const said = ["Arrived well packed and a day early.", "Looks better than on the photo.", "The colour is a little darker.",
    "Works as described; I would buy it again.", "The manual could be clearer.", "Good value, but the box was damaged."];
  return Array.from({ length: 7 }, () => `<div class="box" style="margin-bottom:8px"><b>${r.pick(["Ida", "Jonas", "Mei",
    "Pavel", "Sofia", "Tom"])} ${r.letters(1)}.</b> <small>★ ${r.integer(3, 5)} · order ${r.digits(6)}</small><br>
    ${r.pick(said)} ${r.pick(said)}</div>`).join("");
}

function cartPage() {
  const lines = cart().map((l) => ({ ...l, p: products[l.id - 1] }));
  const goods = lines.reduce((sum, l) => sum + l.count * l.p.cents, 0);
  const postage = goods > 30000 ? 0 : 690;
  const rows = lines.map((l) => `<tr><td>${l.p.name}<br><small>${l.p.sku}</small></td><td class="n">${money(l.p.cents)}</td>
    <td class="n"><button data-id="${l.id}" data-by="-1" aria-label="One less ${l.p.name}">−</button> ${l.count}
    <button data-id="${l.id}" data-by="1" aria-label="One more ${l.p.name}">+</button></td>
    <td class="n">${money(l.count * l.p.cents)}</td></tr>`);
  page("Your cart – Fjordhaus", `<h1>Your cart</h1><div class="row"><div style="flex:1"><table><tr><th>Product</th>
    <th class="n">Price</th><th class="n">Number</th><th class="n">Sum</th></tr>${rows.join("")}</table></div>
    <div class="box" style="width:300px"><h2>Summary</h2><table><tr><td>Goods</td><td class="n">${money(goods)}</td></tr>
    <tr><td>Postage</td><td class="n">${money(postage)}</td></tr><tr><td><b>Total</b></td>
    <td class="n"><b>${money(goods + postage)}</b></td></tr></table><label for="voucher">Voucher code</label>
    <input id="voucher"> <button id="redeem">Redeem</button><p class="error" id="hint"></p>
    <a class="button" href="/checkout" id="checkout">Go to checkout</a></div></div>`);
  on("button[data-id]", "click", (event) => {
    const { id, by } = event.target.dataset;
    const all = cart().map((l) => l.id === Number(id) ? { ...l, count: l.count + Number(by) } : l);
    store("cart", all.filter((l) => l.count > 0));
    cartPage();
  });
  on("#redeem", "click", () => {
    $("#hint").textContent = "Voucher expired on 14 March (code V-7713)";
    $("#voucher").classList.add("bad");
  });
}

const FIELDS = [["name", "Full name"], ["street", "Street and number"], ["postcode", "Postcode"], ["city", "City"],
  ["phone", "Phone"]];

function checkout() {
  page("Checkout – Fjordhaus", `<h1>Checkout</h1><div class="box" style="width:560px">${FIELDS.map(([id, label]) =>
    `<label for="${id}">${label}</label><input id="${id}" size="46"><div class="error" id="e-${id}"></div>`).join("")}
    <label><input type="checkbox" id="terms"> I accept the terms of sale</label><div class="error" id="e-terms"></div>
    <button class="main" id="order">Place order</button></div>`);
  on("#order", "click", () => {
    const problems = {
      name: $("#name").value ? "" : "Enter your name", street: $("#street").value ? "" : "Enter street and number",
      postcode: /^\d{5}$/.test($("#postcode").value) ? "" : "Postcode must have 5 digits",
      city: $("#city").value ? "" : "Enter a city", phone: "", terms: $("#terms").checked ? "" : "Accept the terms first",
    };
    for (const [id, text] of Object.entries(problems)) {
      $(`#e-${id}`).textContent = text;
      $(`#${id}`).classList.toggle("bad", Boolean(text));
    }
    if (!Object.values(problems).some(Boolean)) location.href = "/order";
  });
}

function order() {
  const r = seeded(count() * 977 + 5);
  const sum = cart().reduce((total, l) => total + l.count * products[l.id - 1].cents, 0);
  page("Order placed – Fjordhaus", `<div class="box" style="width:640px"><h1>Thank you, your order is placed</h1>
    <table><tr><td>Order number</td><td>FH-${r.digits(6)}-${r.letters(2)}</td></tr><tr><td>Charged</td>
    <td>${money(sum + (sum > 30000 ? 0 : 690))}</td></tr><tr><td>Expected delivery</td><td>Thursday, 19 March</td></tr>
    <tr><td>Parcel service</td><td>Nordpost, depot ${r.digits(3)}</td></tr></table>
    <p><a class="button" href="/list">Back to products</a> <button id="receipt">Send receipt</button></p></div>`);
}

function help() {
  page("Delivery – Fjordhaus", `<h1>Delivery and returns</h1><table><tr><th>Country</th><th class="n">Postage</th>
    <th class="n">Days</th><th class="n">Free from</th></tr>${["Austria", "Belgium", "Denmark", "Finland", "France",
    "Germany", "Italy", "Latvia", "Norway", "Poland", "Spain", "Sweden"].map((land, i) => `<tr><td>${land}</td>
    <td class="n">${money(590 + i * 137)}</td><td class="n">${2 + (i * 5) % 7}</td><td class="n">${money(20000 + i * 2500)}
    </td></tr>`).join("")}</table><p class="small">Returns are free for 30 days. Large goods come by freight.</p>`);
}

({ "/product": product, "/cart": cartPage, "/checkout": checkout, "/order": order, "/help": help }[path] || list)();
