// Keeps pages up to date. Every page works without it.
//
// An element with data-live="URL" is replaced by what that URL gives when an event comes that concerns it:
//   data-machine="ID"   events of that machine
//   data-kinds="A B"    events of these kinds only; "*" for all
//   data-poll="MS"      also every so many milliseconds (work in progress has no events)
// A page of its own as URL gives the element of the same id in it.
"use strict";

const pending = new Map();
let loginLost = false;
// A form was sent: what is fetched now would be for a page that nobody sees any more, or without a session.
let leaving = false;
let calls = new AbortController();

// ---- Replacing parts ------------------------------------------------------------------------------------------

// Somebody is typing here, or has marked text: not now.
function inUse(element) {
  const active = document.activeElement;
  if (active && active !== document.body && element.contains(active) && active.matches("input:not([type=checkbox]), textarea, select")) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.anchorNode && element.contains(selection.anchorNode));
}

async function fetchPart(element) {
  const response = await fetch(element.dataset.live, { headers: { "x-rackwright-live": "1" }, signal: calls.signal });
  if (response.status === 401 && !loginLost) {
    loginLost = true;
    location.reload();
  }
  if (response.status === 404 && element.matches("tr")) return "gone";
  if (!response.ok || response.status === 204) return null;
  const text = await response.text();
  // A lone <tr> is only kept inside a table.
  const holder = document.createElement("template");
  holder.innerHTML = text;
  return holder.content.getElementById(element.id);
}

function keepState(old, fresh) {
  for (const box of old.querySelectorAll("input[name=machine]:checked")) {
    const same = fresh.querySelector(`input[name=machine][value="${CSS.escape(box.value)}"]`);
    if (same) same.checked = true;
  }
  const log = old.querySelector("[data-log]");
  const next = fresh.querySelector("[data-log]");
  if (log && next && log.id === next.id && Number(log.dataset.after) >= Number(next.dataset.after)) {
    log.toggleAttribute("data-running", next.hasAttribute("data-running"));
    next.replaceWith(log);
  }
}

// What had the focus has it again afterwards.
function focusPath(element) {
  const active = document.activeElement;
  if (!active || !element.contains(active)) return null;
  if (active.id) return `#${CSS.escape(active.id)}`;
  const href = active.getAttribute("href");
  if (href) return `a[href="${CSS.escape(href)}"]`;
  if (active.matches("input[name=machine]")) return `input[name=machine][value="${CSS.escape(active.value)}"]`;
  const target = active.getAttribute("popovertarget");
  return target ? `[popovertarget="${CSS.escape(target)}"]` : null;
}

async function refresh(element) {
  const key = element.id;
  if (leaving) return;
  if (pending.get(key) === "busy") return void pending.set(key, "again");
  pending.set(key, "busy");
  try {
    const fresh = await fetchPart(element);
    const old = document.getElementById(key);
    if (fresh === "gone") old?.remove();
    else if (fresh && old && !inUse(old)) {
      const focus = focusPath(old);
      // Whoever reads the end of a log goes on reading its end.
      const scrolled = [...old.querySelectorAll(".scroll, pre")].map((e) => [e.scrollLeft, e.matches("[data-log]") && atEnd(e) ? 1e9 : e.scrollTop]);
      keepState(old, fresh);
      if (old.innerHTML !== fresh.innerHTML || old.dataset.poll !== fresh.dataset.poll) {
        old.replaceWith(fresh);
        [...fresh.querySelectorAll(".scroll, pre")].forEach((e, i) => scrolled[i] && e.scrollTo(...scrolled[i]));
        if (focus) fresh.querySelector(focus)?.focus({ preventScroll: true });
        if (fresh.matches("tr")) fresh.classList.add("changed");
      }
    }
  } catch { /* The region is away for a moment; the next event or poll tries again. */ }
  const again = pending.get(key) === "again";
  pending.delete(key);
  const now = document.getElementById(key);
  if (again && now) soon(now);
}

const timers = new Map();
function soon(element, wait = 200) {
  if (timers.has(element.id)) return;
  timers.set(element.id, setTimeout(() => {
    timers.delete(element.id);
    const now = document.getElementById(element.id);
    if (now) refresh(now);
  }, wait));
}

function concerns(element, event) {
  const { machine, kinds } = element.dataset;
  if (machine && machine !== event.machine) return false;
  if (!machine && !kinds) return false;
  return !kinds || kinds === "*" || kinds.split(" ").includes(event.kind);
}

// ---- Events ---------------------------------------------------------------------------------------------------

const light = document.getElementById("live");

function showLive(state, title) {
  if (!light) return;
  light.dataset.state = state;
  light.title = title;
  light.querySelector("span").textContent = state === "on" ? "live" : "not live";
}

// A browser keeps few connections to one host: a tab that nobody looks at gives its stream back after a while.
let stream = null;
let wasDown = false;
let resting = 0;

addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => {
      stream?.close();
      stream = null;
      wasDown = true;
    }, 30_000);
  } else if (!stream) listen();
});

function listen() {
  const address = document.body.dataset.stream;
  if (!address || stream || !document.querySelector("[data-live]")) return;
  stream = new EventSource(address);
  stream.onopen = () => {
    showLive("on", "Live: this page follows what happens");
    // Whatever happened meanwhile comes too, but the page may be older than the stream.
    if (wasDown) document.querySelectorAll("[data-live]").forEach((element) => soon(element));
    wasDown = false;
  };
  stream.onerror = () => {
    wasDown = true;
    showLive("off", "Not live: the region does not answer; trying again");
    if (stream?.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(listen, 3000);
    }
  };
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    document.querySelectorAll("[data-live]").forEach((element) => concerns(element, event) && soon(element));
  };
}
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => event.persisted && location.reload());

const lastPoll = new Map();
setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("[data-live][data-poll]")) {
    const due = (lastPoll.get(element.id) ?? performance.now()) + Number(element.dataset.poll);
    if (!lastPoll.has(element.id)) lastPoll.set(element.id, performance.now());
    else if (performance.now() >= due) {
      lastPoll.set(element.id, performance.now());
      soon(element, 0);
    }
  }
}, 250);

// ---- Logs -----------------------------------------------------------------------------------------------------

const LOG_LIMIT = 400_000;

function atEnd(log) {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

async function followLog(log) {
  const response = await fetch(`${log.dataset.log}?after=${log.dataset.after}`, { headers: { "x-rackwright-live": "1" }, signal: calls.signal });
  if (!response.ok) return false;
  const text = await response.text();
  const position = response.headers.get("x-position") ?? log.dataset.after;
  if (position === log.dataset.after) return false;
  log.dataset.after = position;
  const follows = atEnd(log);
  log.append(text);
  if (log.textContent.length > LOG_LIMIT) log.textContent = `…\n${log.textContent.slice(-LOG_LIMIT / 2)}`;
  log.parentElement.querySelector("p.muted")?.remove();
  if (follows) log.scrollTop = log.scrollHeight;
  return true;
}

async function followLogs() {
  try {
    for (const log of leaving ? [] : document.querySelectorAll("[data-log]")) {
      // A log that has ended is read to its end once.
      if (!log.hasAttribute("data-running") && log.dataset.whole) continue;
      const more = await followLog(log);
      if (!more && !log.hasAttribute("data-running")) log.dataset.whole = "1";
    }
  } catch { /* As above. */ }
  setTimeout(followLogs, 1000);
}

// ---- Moments --------------------------------------------------------------------------------------------------

function ago(seconds) {
  const size = Math.abs(seconds);
  if (size < 2) return "just now";
  const [step, unit] = [[1, "s"], [60, "min"], [3600, "h"], [86400, "d"]].filter(([step]) => size >= step).pop();
  const text = `${Math.floor(size / step)} ${unit}`;
  return seconds > 0 ? `in ${text}` : `${text} ago`;
}

setInterval(() => {
  for (const moment of document.querySelectorAll("time[data-ago]")) {
    const text = ago(Math.trunc((Date.parse(moment.dateTime) - Date.now()) / 1000));
    if (moment.textContent !== text) moment.textContent = text;
  }
}, 5000);

// ---- Theme, keyboard, forms -----------------------------------------------------------------------------------

addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-theme-toggle]");
  if (!toggle) return;
  event.preventDefault();
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `rackwright_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
});

addEventListener("change", (event) => event.target.matches("[data-submit]") && event.target.form.requestSubmit());

// ---- Show as command ------------------------------------------------------------------------------------------

// As command.rs does it: see there what a pattern means.
function shellWord(value) {
  if (!value) return "…";
  return /^[A-Za-z0-9._\-:/@,+%]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

function commandLine(pattern, now, was) {
  const fill = (text, word) => {
    let empty = false;
    const out = text.replace(/( ?)\{([^}]*)\}/g, (_, space, place, at) => {
      const [name, wanted] = place.split("=");
      if (place.startsWith("?")) empty ||= now(place.slice(1)) !== "on";
      else if (place.startsWith("!")) empty ||= !now(place.slice(1)).trim();
      else if (wanted !== undefined) empty ||= now(name) !== wanted;
      else {
        const value = (word ?? now(place)).trim();
        empty ||= !value;
        // A value that looks like an option is one word with its own.
        const glued = space && value.startsWith("-") && / --[a-z0-9-]+$/.test(text.slice(0, at));
        return (glued ? "=" : space) + shellWord(value);
      }
      return space;
    });
    return [out, empty];
  };
  const fields = (text) => [...text.matchAll(/\{[?!]?([^}=]*)[^}]*\}/g)].map((match) => match[1]);
  const whole = pattern.replace(/\[([~*+]?)([^\]]*)\]/g, (_, mark, group) => {
    if (mark === "*" || mark === "+") {
      const words = now(fields(group)[0]).split(mark === "*" ? /[ ,\n\t]/ : "\n").map((word) => word.trim()).filter(Boolean);
      return words.map((word) => fill(group, word)[0]).join("");
    }
    const [text, empty] = fill(group);
    const same = mark === "~" && fields(group).every((field) => now(field) === was(field));
    // What was filled in has no places any more: braces of values are safe from the second round.
    return empty || same ? "" : text.replaceAll("{", "\0");
  });
  return fill(whole)[0].replaceAll("\0", "{");
}

function showCommand(shown) {
  const form = shown.closest("form");
  const known = JSON.parse(shown.dataset.known || "{}");
  const now = (name) => {
    const field = form.elements[name];
    if (!field || name in known) return known[name] ?? "";
    if (field instanceof RadioNodeList) {
      const all = [...field];
      if (all.every((f) => f.type === "checkbox")) return all.filter((f) => f.checked).map((f) => f.value).join(" ");
      return field.value;
    }
    if (field.type === "checkbox") return field.value === "on" ? (field.checked ? "on" : "") : field.checked ? field.value : "";
    // A secret is in no line; that there is one may be.
    return field.type === "password" ? field.value && "…" : field.value;
  };
  const was = (name) => form.elements[`was-${name}`]?.value ?? "";
  shown.textContent = commandLine(shown.dataset.command, now, was);
}

for (const kind of ["input", "change", "toggle"]) {
  addEventListener(kind, (event) => {
    const form = event.target.closest?.("form");
    form?.querySelectorAll("[data-command]").forEach(showCommand);
  }, true);
}

// ---- Choosing machines ----------------------------------------------------------------------------------------

function showPicked() {
  const shown = document.querySelector("[data-picked]");
  if (!shown) return;
  const boxes = [...document.querySelectorAll("input[name=machine]")];
  const count = boxes.filter((box) => box.checked).length;
  shown.textContent = count ? `${count} chosen:` : "Tick machines and";
  const all = document.querySelector("[data-pick-all]");
  if (all) [all.checked, all.indeterminate] = [count > 0 && count === boxes.length, count > 0 && count < boxes.length];
}

addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) {
    document.querySelectorAll("input[name=machine]").forEach((box) => { box.checked = event.target.checked; });
  }
  if (event.target.matches("[data-pick-all], input[name=machine]")) showPicked();
});

// A list of completions is for one word; here it is for the last one.
addEventListener("input", (event) => {
  const box = event.target;
  if (!box.matches("[data-completed]") || !box.list) return;
  const before = box.value.slice(0, box.value.lastIndexOf(" ") + 1);
  for (const option of box.list.options) option.value = before + (option.dataset.word ??= option.value);
});

// "/" looks for something; j and k go down and up in a list, x chooses a machine.
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), textarea, select")) return;
  if (document.querySelector(":popover-open")) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("main table.list th[scope=row] > a")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0);
    links[next].focus();
  } else if (event.key === "x") {
    document.activeElement.closest("tr")?.querySelector("input[name=machine]")?.click();
  }
});

// A form is sent once, however often the button is pressed.
addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) return void event.preventDefault();
  event.target.dataset.sent = "1";
  leaving = true;
  calls.abort();
  calls = new AbortController();
  // Whoever is still here after that was refused on the way.
  setTimeout(() => { leaving = false; }, 10_000);
});

// On a phone the navigation is a strip that scrolls.
document.querySelector(".side nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
// Where something was refused.
document.getElementById(document.querySelector("[data-focus]")?.dataset.focus ?? "")?.focus();
document.querySelector("[popover][data-open]")?.showPopover();
// A link can lead to an action of a machine.
if (location.hash.startsWith("#do-")) document.getElementById(location.hash.slice(1))?.showPopover?.();
showPicked();
document.querySelectorAll("[data-log]").forEach((log) => { log.scrollTop = log.scrollHeight; });
listen();
followLogs();
