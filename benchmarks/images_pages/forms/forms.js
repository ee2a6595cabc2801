"use strict";
/* An application in three steps, with errors beside the fields, check boxes and a dialog before it is sent. */

const FIELDS = {
  1: [["company", "Company", /.{3}/, "Enter the company's registered name"], ["vat", "VAT number", /^[A-Z]{2}\d{9}$/, "VAT number: two letters and nine digits"],
    ["email", "E-mail", /^\S+@\S+\.\S+$/, "E-mail address lacks a domain"]],
  2: [["iban", "IBAN", /^[A-Z]{2}\d{18}$/, "IBAN has 20 characters, got fewer"], ["limit", "Credit limit in €", /^\d{3,5}$/, "Limit must be between 500 and 25000"]],
};
const TITLES = ["Company", "Payment", "Review"];
const values = {};
let step = 1;

function render() {
  const steps = TITLES.map((t, i) => (i + 1 === step ? `<b>${i + 1}. ${t}</b>` : `<span>${i + 1}. ${t}</span>`)).join("");
  const fields = (FIELDS[step] || []).map(([id, label]) => `<label for="${id}">${label}</label><input id="${id}" size="44"
    value="${values[id] || ""}"><div class="error" id="e-${id}"></div>`).join("");
  const boxes = step === 2 ? ["Pay by direct debit", "Send invoices on paper", "Copy invoices to the accountant"].map((t, i) =>
    `<label><input type="checkbox" data-box="${i}" ${values[`box${i}`] ? "checked" : ""}> ${t}</label>`).join("") : "";
  const review = step === 3 ? `<table>${Object.values(FIELDS).flat().map(([id, label]) => `<tr><td>${label}</td><td>${values[id] || ""}</td></tr>`).join("")}
    <tr><td>Case worker</td><td>Desk ${seeded(41).digits(3)}, ${seeded(42).pick(["R. Holm", "S. Varga", "T. Okoye"])}</td></tr>
    <tr><td>Handling fee</td><td>${money(seeded(43).integer(1500, 9900))}</td></tr></table>` : "";
  show(`Step ${step} of 3 – Trade account`, `<header><span class="brand">Registry of Trade</span><span class="space"></span>
    <span class="small">Form 27-B, saved as draft ${seeded(44).digits(7)}</span></header><main><div class="box" style="width:620px"><h1>Open a trade account</h1>
    <div class="steps">${steps}</div>${fields}${boxes}${review}<p><button id="back" ${step === 1 ? "disabled" : ""}>Back</button>
    <button class="main" id="forward">${step === 3 ? "Submit" : "Continue"}</button></p></div></main>
    <dialog id="ask"><h1>Send the application?</h1><p>It cannot be changed afterwards. A decision takes up to
    ${seeded(45).integer(11, 29)} working days.</p><button id="no">Not yet</button> <button class="main" id="yes">Send now</button></dialog>`);
  on("input[size]", "input", (event) => { values[event.target.id] = event.target.value; });
  on("input[type=checkbox]", "change", (event) => { values[`box${event.target.dataset.box}`] = event.target.checked; });
  on("#back", "click", () => { step -= 1; render(); });
  on("#no", "click", () => $("#ask").close());
  on("#yes", "click", done);
  on("#forward", "click", () => {
    let good = true;
    for (const [id, , pattern, problem] of FIELDS[step] || []) {
      const right = pattern.test(values[id] || "");
      good = good && right;
      $(`#e-${id}`).textContent = right ? "" : problem;
      $(`#${id}`).classList.toggle("bad", !right);
    }
    if (!good) return;
    if (step === 3) return void $("#ask").showModal();
    step += 1;
    render();
  });
}

function done() {
  show("Application sent – Trade account", `<header><span class="brand">Registry of Trade</span></header><main><div class="box" style="width:620px">
    <h1>Application sent</h1><p>Your reference is <b>RT-${seeded(46).digits(4)}-${seeded(47).letters(3)}</b>. Keep it for questions.</p>
    <p class="small">A copy went to ${values.email || ""}.</p></div></main>`);
}

render();
