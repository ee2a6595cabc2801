"use strict";
/* A mailbox with a list, an open message, an answer that is written, and a chat. */

const random = seeded(33);
const PEOPLE = ["Nadia Rahimi", "Otto Lindqvist", "Petra Novák", "Quentin Roy", "Rosa Delgado", "Sven Aalto"];
const SUBJECTS = ["Invoice", "Meeting on", "Delivery note", "Question about order", "Contract draft", "Travel plan", "Access code for"];
const BODIES = [
  "Please find the numbers below. Let me know if anything looks wrong to you.",
  "We moved the appointment, because the room is taken. The new one holds.",
  "The goods left our warehouse this morning. The driver calls before he comes.",
  "Could you check the amount against your own list before Friday?",
  "I read the draft twice. There are two open points, both small.",
];
const mails = Array.from({ length: 14 }, (_, i) => ({
  from: random.pick(PEOPLE),
  subject: `${random.pick(SUBJECTS)} ${random.digits(4)}`,
  body: [random.pick(BODIES), random.pick(BODIES), random.pick(BODIES)],
  facts: [["Amount", money(random.integer(4000, 990000))], ["Reference", `${random.letters(2)}/${random.digits(5)}`],
    ["Due", `${random.integer(1, 28)} ${random.pick(["May", "June", "July"])}`], ["Room", `${random.letters(1)}.${random.digits(3)}`]],
  time: `${String(8 + (i % 10)).padStart(2, "0")}:${random.digits(1)}${random.digits(1) % 10}`,
  unread: i % 3 !== 1,
}));
let open = -1;

function mailbox() {
  const items = mails.map((m, i) => `<div class="item ${m.unread ? "unread" : ""} ${i === open ? "open" : ""}" data-i="${i}" role="button"
    aria-label="${m.subject}"><div class="row" style="justify-content:space-between"><span>${m.from}</span><small>${m.time}</small></div><div class="subject">${m.subject}</div>
    <div class="small">${m.body[0].slice(0, 46)}…</div></div>`).join("");
  const m = mails[open];
  const message = m ? `<h1>${m.subject}</h1><p class="small">From ${m.from}, today at ${m.time}</p>${m.body.map((b) => `<p>${b}</p>`).join("")}
    <table style="width:380px">${m.facts.map(([k, v]) => `<tr><td>${k}</td><td>${v}</td></tr>`).join("")}</table>
    <label for="answer">Answer</label><textarea id="answer" rows="4" cols="62"></textarea><p><button class="main" id="send">Send</button> <span class="small" id="sent"></span></p>`
    : '<p class="small">Choose a message</p>';
  const unread = mails.filter((x) => x.unread).length;
  show(`Inbox (${unread}) – Postbote`, `<header><span class="brand">Postbote</span><a href="/">Inbox <span class="badge">${unread}</span></a>
    <a href="/chat">Chat</a><span class="space"></span><span class="small">team@postbote.example</span></header>
    <div class="row" style="gap:0"><div class="list">${items}</div><main style="flex:1">${message}</main></div>`);
  on(".item", "click", (event) => {
    open = Number(event.currentTarget.dataset.i);
    mails[open].unread = false;
    const top = window.scrollY;
    mailbox();
    window.scrollTo(0, top);
  });
  on("#send", "click", () => { $("#sent").textContent = `Sent as message ${seeded(open + 90).digits(6)}`; });
}

function chat() {
  const r = seeded(78);
  const said = ["Did the parcel arrive?", "Yes, at the front desk.", "The lock code for the bike shed is", "Which tram do we take?",
    "Line", "The printer is out of toner again.", "I ordered some, it comes with delivery", "Who has the key to the archive?"];
  let lines = Array.from({ length: 16 }, (_, i) => [i % 3 === 2, `${said[i % said.length]} ${i % 2 ? "" : r.digits(4)}`]);
  const draw = () => {
    show("Team chat – Postbote", `<header><span class="brand">Postbote</span><a href="/">Inbox</a><a href="/chat">Chat</a></header><main style="max-width:720px;margin:auto">
      ${lines.map(([mine, line]) => `<div class="bubble ${mine ? "mine" : ""}">${line}</div>`).join("")}<div class="row"><input id="say" size="60" aria-label="Message">
      <button class="main" id="send">Send</button></div></main>`);
    on("#send", "click", () => { lines = [...lines, [true, $("#say").value], [false, `Noted as ticket ${r.digits(5)}.`]]; draw(); window.scrollTo(0, 99999); });
  };
  draw();
}

(path === "/chat" ? chat : mailbox)();
