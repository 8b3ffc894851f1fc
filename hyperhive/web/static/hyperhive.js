// All the script of the dashboard: clocks that count, what a page says of its connection, what keeps a reader's place, and what
// is asked before something is done. Everything else is htmx's, and is said in the pages.
"use strict";

// ---- clocks ----------------------------------------------------------------------------------------------------------
// <time datetime="…" data-age> says how long ago, data-left how long until then, data-clock the reader's own time of day, and
// data-exact the same with its seconds.

// How far the reader's clock is behind the server's, in milliseconds; each message says what time it is there.
let behind = 0;

function age(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60]]) {
    if (seconds >= size) return Math.floor(seconds / size) + unit;
  }
  return Math.max(0, Math.floor(seconds)) + "s";
}

function left(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole >= 86400) return Math.floor(whole / 86400) + "d " + two(Math.floor((whole % 86400) / 3600)) + "h";
  const minutes = two(Math.floor((whole % 3600) / 60)) + ":" + two(whole % 60);
  return whole >= 3600 ? Math.floor(whole / 3600) + ":" + minutes : minutes;
}

function clock(then, exact) {
  const second = exact ? { second: "2-digit" } : {};
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false, ...second });
  return then.toDateString() === new Date().toDateString() ? time : then.toLocaleDateString("sv") + " " + time;
}

function tick(root) {
  const now = Date.now() + behind;
  for (const one of root.querySelectorAll("time[datetime]")) {
    const then = new Date(one.dateTime);
    const away = (then - now) / 1000;
    const data = one.dataset;
    const text = "left" in data ? left(away) : "age" in data ? age(-away) : clock(then, "exact" in data);
    if (one.textContent !== text) one.textContent = text;
    if (!one.title) one.title = then.toLocaleString();
    if ("left" in data) one.classList.toggle("soon", away < 60);
  }
}

// ---- the connection --------------------------------------------------------------------------------------------------
// One WebSocket a page. It says what it has, by the marks of its rows, and is sent what it lacks: so nothing that happened
// while the connection was lost is missing, and nothing comes twice.

// The server says something every 15 seconds; a connection that says nothing for so long is none. Milliseconds.
const SILENT = 40000;
let heard = 0;
let socket = null;

function have() {
  const marks = {};
  for (const one of document.querySelectorAll("[data-mark]")) marks[one.id.replace(/-live$/, "")] = one.dataset.mark;
  return marks;
}

function lost(text) {
  const banner = document.getElementById("live");
  banner.hidden = !text;
  banner.textContent = text || "";
  document.documentElement.dataset.live = text ? "lost" : "yes";
}

// How far it has what is written on and on, by the store that it came from.
function after() {
  const numbers = {};
  for (const one of document.querySelectorAll("[data-number]")) {
    numbers[one.dataset.store] = Math.max(numbers[one.dataset.store] || 0, Number(one.dataset.number));
  }
  return numbers;
}

document.addEventListener("htmx:ws:after:connection", async (event) => {
  const connection = event.detail.connection;
  const opened = connection.socket;
  socket = opened;
  heard = Date.now();
  // What an earlier connection brought may be being put in still.
  await connection.receiving;
  if (opened.readyState === WebSocket.OPEN) opened.send(JSON.stringify({ have: have(), after: after() }));
});

document.addEventListener("htmx:ws:before:message:incoming", (event) => {
  heard = Date.now();
  lost("");
  try {
    behind = JSON.parse(event.detail.message.data).now - Date.now();
  } catch {
    behind = 0;
  }
});

document.addEventListener("htmx:ws:close", async (event) => {
  if (event.detail.reason === "removed") return;
  lost("The connection is lost; what stands here may be old. It is being tried again.");
  // A browser is not told why a WebSocket was refused; a page is.
  const answer = await fetch("/session").catch(() => null);
  if (answer && answer.status === 401) lost("You are logged out: hyperhive web login");
});

window.addEventListener("offline", () => socket && socket.close());

// ---- what is put in --------------------------------------------------------------------------------------------------

// A row that goes while somebody writes in it stays, and says so: what was typed is not lost.
function isBeingWrittenIn(row) {
  return [...row.querySelectorAll("textarea")].some((one) => one.value.trim());
}

document.addEventListener("htmx:before:swap", (event) => {
  for (const task of event.detail.tasks) {
    if (task.swapSpec.style !== "delete" || !task.target || !isBeingWrittenIn(task.target)) continue;
    const row = task.target;
    task.swapSpec.style = "none";
    row.id = "gone-" + row.id;
    row.classList.add("gone");
    for (const one of row.querySelectorAll("[data-mark]")) one.removeAttribute("data-mark");
    for (const one of row.querySelectorAll("button")) one.disabled = true;
    const note = document.createElement("p");
    note.className = "trouble";
    note.textContent = "This is over; what you typed was not sent. ";
    const away = document.createElement("button");
    away.textContent = "put away";
    away.addEventListener("click", () => row.remove());
    note.append(away);
    row.append(note);
  }
});

document.addEventListener("htmx:after:settle", (event) => {
  tick(event.target.parentElement || document);
  for (const one of event.target.querySelectorAll("[data-end]")) one.scrollTop = one.scrollHeight;
});

// data-follows asks again and again for what comes next, and is replaced by it: only while somebody can see it. The box that
// it stands in stays at its end, unless its reader scrolled up.
function follower(event) {
  const element = event.detail.ctx && event.detail.ctx.sourceElement;
  return element && "follows" in element.dataset ? element : null;
}

document.addEventListener("htmx:before:request", (event) => {
  const element = follower(event);
  if (element && (document.hidden || !element.closest("details")?.open)) event.preventDefault();
});

document.addEventListener("htmx:before:swap", (event) => {
  const element = follower(event);
  const box = element && element.closest("pre");
  if (box && box.scrollTop + box.clientHeight >= box.scrollHeight - 4) setTimeout(() => { box.scrollTop = box.scrollHeight; });
});

// ---- an agent's stream -----------------------------------------------------------------------------------------------
// It stays at its end until the reader scrolls up; what comes then is told by a button. Scrolled to its top it shows what was
// before. Only so much of it is held: the rest can be had again.

const stream = document.getElementById("stream");
const below = document.getElementById("below");
const HELD_MOST = 2000;
let atEnd = true;
let fetching = false;

function lookWhere() {
  atEnd = stream.scrollHeight - stream.scrollTop - stream.clientHeight < 30;
  if (atEnd) below.hidden = true;
  if (stream.scrollTop < 300) earlier();
}

function toEnd() {
  stream.scrollTop = stream.scrollHeight;
  lookWhere();
}

// What was before the first event. The reader goes on seeing what was seen.
async function earlier() {
  const mark = stream.querySelector(".earlier");
  if (!mark || fetching) return;
  fetching = true;
  const [store, number] = mark.dataset.earlier.split("/");
  const under = stream.scrollHeight - stream.scrollTop;
  try {
    await htmx.ajax("GET", stream.dataset.address + store + "/before/" + number, { source: mark, target: mark, swap: "outerHTML" });
    stream.scrollTop = stream.scrollHeight - under;
  } finally {
    fetching = false;
  }
}

// What is far above can be loaded again.
function letGo() {
  const events = stream.querySelectorAll(".event");
  if (!atEnd || events.length <= HELD_MOST + 500) return;
  const first = events[events.length - HELD_MOST];
  const mark = stream.querySelector(".earlier") || document.createElement("li");
  mark.className = "earlier";
  mark.dataset.earlier = first.dataset.store + "/" + first.dataset.number;
  for (const one of [...events].slice(0, -HELD_MOST)) one.remove();
  stream.prepend(mark);
}

if (stream) {
  stream.addEventListener("scroll", lookWhere, { passive: true });
  stream.addEventListener("toggle", lookWhere, true);
  below.addEventListener("click", toEnd);
  new ResizeObserver(() => atEnd && toEnd()).observe(stream);
  new MutationObserver((changes) => {
    // What was put in above is no news.
    const isNews = changes.some((one) => one.target === stream && one.addedNodes.length && stream.contains(one.addedNodes[0]) && !one.nextSibling);
    if (!isNews) return;
    if (atEnd) {
      letGo();
      toEnd();
    } else below.hidden = false;
  }).observe(stream, { childList: true });
  stream.addEventListener("click", (event) => event.target.closest(".earlier") && earlier());
  toEnd();
}

// ---- an agent's prompt -----------------------------------------------------------------------------------------------
// Enter sends, Shift-Enter begins a line. Behind a slash what can be typed is offered: arrows choose, Tab and Enter complete.

const prompt = document.querySelector("#prompt textarea");
const words = document.getElementById("words");

function offer() {
  const typed = prompt.value;
  const fitting = [...words.children].filter((one) => {
    one.hidden = !(typed.startsWith("/") && one.dataset.text.startsWith(typed) && one.dataset.text !== typed);
    return !one.hidden;
  });
  words.hidden = !fitting.length;
  choose(fitting[0]);
}

function choose(word) {
  for (const one of words.children) one.setAttribute("aria-selected", String(one === word));
  if (word) prompt.setAttribute("aria-activedescendant", word.id);
  else prompt.removeAttribute("aria-activedescendant");
}

function complete(word) {
  prompt.value = word.dataset.text;
  prompt.focus();
  offer();
}

if (prompt) {
  prompt.addEventListener("input", offer);
  prompt.form.addEventListener("reset", () => setTimeout(offer));
  words.addEventListener("mousedown", (event) => {
    event.preventDefault();
    complete(event.target.closest("li"));
  });
  prompt.addEventListener("blur", () => { words.hidden = true; });
  prompt.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const shown = words.hidden ? [] : [...words.children].filter((one) => !one.hidden);
    const at = shown.findIndex((one) => one.ariaSelected === "true");
    if (shown.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      choose(shown[(at + (event.key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length]);
    } else if (shown.length && event.key === "Escape") {
      words.hidden = true;
    } else if (shown.length && (event.key === "Tab" || event.key === "Enter") && !event.shiftKey) {
      complete(shown[at]);
    } else if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey) {
      if (prompt.value.trim()) prompt.form.requestSubmit();
    } else {
      return;
    }
    event.preventDefault();
  });
}

// A link to a section opens it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-opens]");
  const section = link && document.getElementById(link.dataset.opens);
  if (section) section.open = true;
});

// ---- forms and sections ----------------------------------------------------------------------------------------------

function place(element) {
  return (element && (element.querySelector(".outcome, .loaded") || element.closest(".inside")?.querySelector(".loaded"))) ||
    document.getElementById("said");
}

// A server that is not reached has no words of its own.
document.addEventListener("htmx:error", (event) => {
  const context = event.detail.ctx;
  if (!context || follower(event)) return;
  const error = document.createElement("div");
  error.className = "error";
  error.textContent = "The dashboard was not reached; nothing was changed that it had not got already.";
  place(context.sourceElement).replaceChildren(error);
});

// What was done is told even where the row that it was done in is gone.
document.addEventListener("htmx:after:request", (event) => {
  const context = event.detail.ctx;
  if (context.target && !context.target.isConnected) context.target = document.getElementById("said");
});

// A text that was sent is not typed any more.
document.addEventListener("htmx:finally:request", (event) => {
  const { response, sourceElement } = event.detail.ctx;
  if (response && response.status < 400 && sourceElement.matches("form.box")) sourceElement.reset();
});

// Ctrl-Enter sends what is being typed.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("form.box textarea")) {
    event.target.form.requestSubmit();
  }
});

// Sections that are open stay so when the page is loaded again. Their keys are kept for this tab.
const OPEN = "open sections";

function opened() {
  try {
    return new Set(JSON.parse(sessionStorage.getItem(OPEN) || "[]"));
  } catch {
    return new Set();
  }
}

document.addEventListener("toggle", (event) => {
  const key = event.target.dataset && event.target.dataset.key;
  if (!key) return;
  const keys = opened();
  if (event.target.open) keys.add(key);
  else keys.delete(key);
  sessionStorage.setItem(OPEN, JSON.stringify([...keys]));
}, true);

// ---- what is asked before --------------------------------------------------------------------------------------------
// hx-confirm="Sure?" asks; data-verb is the word on the button that goes on; data-text="note" with data-text-label asks for a
// text, which is sent as that field; data-exactly="ada" lets nobody go on who did not type just that.

document.addEventListener("htmx:confirm", (event) => {
  event.preventDefault();
  const { ctx, issueRequest, dropRequest } = event.detail;
  const data = ctx.sourceElement.dataset;
  const [ask, what, label, text, yes] = ["ask", "ask-what", "ask-label", "ask-text", "ask-yes"].map((id) => document.getElementById(id));
  what.textContent = ctx.confirm;
  yes.textContent = data.verb || "yes";
  yes.className = "exactly" in data || ctx.sourceElement.querySelector("button.bad") ? "bad" : "main";
  label.textContent = data.textLabel || ("exactly" in data ? "Type " + data.exactly + " to go on" : "");
  label.hidden = text.hidden = !label.textContent;
  text.value = "";
  const check = () => { yes.disabled = "exactly" in data && text.value.trim() !== data.exactly; };
  text.oninput = check;
  check();
  ask.returnValue = "no";
  ask.onclose = () => {
    if (ask.returnValue !== "yes") return dropRequest();
    if (data.text) ctx.request.body.set(data.text, text.value);
    issueRequest();
  };
  ask.showModal();
});

// ---- notifications of the desktop ------------------------------------------------------------------------------------
// What waits stands in #news, which nobody sees. What is put in there after the page was opened is told, each once, also when
// it came while the connection was lost. What becomes of each is told to the console.

const news = document.getElementById("news");
const MUTED = "notifications muted";
const told = new Set();

function isMuted() {
  try {
    return localStorage.getItem(MUTED) !== null;
  } catch {
    return false;
  }
}

function showNotices() {
  const permission = Notification.permission;
  const muted = isMuted();
  const text = {
    default: "Notifications are off.",
    denied: "Notifications are blocked: this browser was told not to show those of this page. Its settings for this page allow them.",
    granted: muted ? "Notifications are muted in this browser." : "Notifications are on.",
  };
  document.getElementById("notices-state").textContent = text[permission];
  document.getElementById("notices-enable").hidden = permission !== "default";
  document.getElementById("notices-mute").hidden = permission !== "granted" || muted;
  document.getElementById("notices-unmute").hidden = permission !== "granted" || !muted;
  document.getElementById("notices").hidden = false;
}

function mute(on) {
  try {
    if (on) localStorage.setItem(MUTED, "yes");
    else localStorage.removeItem(MUTED);
  } catch (error) {
    console.debug("what is muted cannot be kept: " + error.message);
  }
  showNotices();
  document.getElementById(on ? "notices-unmute" : "notices-mute").focus();
}

function tell(one) {
  // The key of the row that it is about: two open pages show it once.
  const tag = one.id.replace(/^news-/, "");
  const held = (why) => console.debug("notification of " + tag + " held back: " + why);
  if (told.has(one.id)) return held("it was told before");
  told.add(one.id);
  if (Notification.permission === "default") return held("nobody has enabled them");
  if (Notification.permission !== "granted") return held("the browser blocks them");
  if (isMuted()) return held("they are muted");
  try {
    const shown = new Notification(one.querySelector("b").textContent, {
      tag, body: one.querySelector("p").textContent, icon: "/static/icon.svg",
    });
    shown.onclick = () => {
      window.focus();
      shown.close();
      document.getElementById(tag)?.scrollIntoView({ block: "center" });
    };
    console.debug("notification of " + tag + " shown: it is new");
  } catch (error) {
    // Browsers of phones have the name, and refuse its use to a page.
    held(error.message);
  }
}

// A page that came over plain http from another machine has none.
if (news && window.isSecureContext && "Notification" in window) {
  for (const one of news.children) {
    told.add(one.id);
    console.debug("notification of " + one.id.replace(/^news-/, "") + " held back: it was there when the page was opened");
  }
  new MutationObserver((changes) => {
    for (const one of changes.flatMap((change) => [...change.addedNodes])) if (one.matches?.("li")) tell(one);
  }).observe(news, { childList: true });
  document.getElementById("notices-enable").addEventListener("click", () => Notification.requestPermission().then(showNotices));
  document.getElementById("notices-mute").addEventListener("click", () => mute(true));
  document.getElementById("notices-unmute").addEventListener("click", () => mute(false));
  window.addEventListener("storage", showNotices);
  // Where the browser cannot say that it was changed in its settings, it is seen when somebody comes back to the page.
  navigator.permissions?.query({ name: "notifications" }).then((status) => { status.onchange = showNotices; }, () => {});
  document.addEventListener("visibilitychange", showNotices);
  showNotices();
}

// ---- the keyboard ----------------------------------------------------------------------------------------------------
// `/` searches, `j` and `k` go from row to row, `?` says so, Escape goes back. Whoever types in a field types these letters.

const search = document.getElementById("search");
const rowsSeen = () => [...document.querySelectorAll("#main .row")].filter((one) => one.offsetParent !== null);
// Where the last row that the keyboard went to was: it may have gone meanwhile.
let lastRow = null;
let lastAt = -1;

// Each word has to stand somewhere in a row. How many rows do is said, so that nobody takes the rest for gone.
function look() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...document.querySelectorAll("#main .rows > .row")];
  for (const one of all) {
    const text = words.length ? one.textContent.toLowerCase() : "";
    one.classList.toggle("unlike", !words.every((word) => text.includes(word)));
  }
  const found = all.filter((one) => !one.classList.contains("unlike")).length;
  const said = words.length ? found + " of " + all.length : "";
  const place = document.getElementById("found");
  if (place.textContent !== said) place.textContent = said;
}

function step(by) {
  const all = rowsSeen();
  if (!all.length) return;
  const here = document.activeElement.closest?.("#main .row") || lastRow;
  const at = all.indexOf(here);
  // In place of a row that has gone stands the one that came after it.
  const to = at >= 0 ? at + by : lastAt < 0 ? (by > 0 ? 0 : all.length - 1) : by > 0 ? lastAt : lastAt - 1;
  lastAt = Math.min(Math.max(to, 0), all.length - 1);
  lastRow = all[lastAt];
  lastRow.tabIndex = -1;
  lastRow.focus();
  lastRow.scrollIntoView({ block: "nearest" });
}

if (search) {
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      look();
      search.blur();
    } else if (event.key === "Enter") {
      lastRow = null;
      lastAt = -1;
      search.blur();
      step(1);
    }
  });
  // What comes, or changes, while somebody searches is looked at, too.
  new MutationObserver(() => search.value && look()).observe(document.getElementById("main"), { childList: true, subtree: true });
  // A browser may bring back what was typed before the page was loaded again.
  look();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
  if (event.key === "/" && search) {
    search.focus();
    search.select();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  } else if (event.key === "?") {
    document.getElementById("keys").showModal();
  } else if (event.key === "Escape" && document.activeElement.matches(".row")) {
    document.activeElement.blur();
  } else {
    return;
  }
  event.preventDefault();
});

// ---- the beginning ---------------------------------------------------------------------------------------------------

// Behind htmx, which begins at the same event: a section is loaded by what htmx hears of its opening.
document.addEventListener("DOMContentLoaded", () => {
  for (const key of opened()) {
    const section = document.querySelector(`details[data-key="${CSS.escape(key)}"]`);
    if (section) section.open = true;
  }
});
tick(document);
setInterval(() => {
  if (!document.hidden) tick(document);
  if (socket && socket.readyState === WebSocket.OPEN && Date.now() - heard > SILENT) socket.close();
}, 1000);
document.addEventListener("visibilitychange", () => tick(document));
