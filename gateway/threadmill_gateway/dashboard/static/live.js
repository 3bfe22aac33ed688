// Pages work without this script. It shows parts that have changed, and times in the reader's time zone.
"use strict";

const RETRY_MS = 5000;

const showTimes = (root) => {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const isToday = at.toDateString() === new Date().toDateString();
    const options = isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
    element.textContent = new Intl.DateTimeFormat(document.documentElement.lang, options).format(at);
    element.title = at.toString();
  }
};

// Keeps what the reader has opened, focused or scrolled.
const replace = (region, html) => {
  const open = [...region.querySelectorAll("details[open][id]")].map((each) => each.id);
  const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...region.querySelectorAll(".scrolls")].map((each) => each.scrollLeft);
  region.innerHTML = html;
  for (const id of open) region.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  region.querySelectorAll(".scrolls").forEach((each, index) => { each.scrollLeft = scrolled[index] ?? 0; });
  if (focused) document.getElementById(focused)?.focus();
  showTimes(region);
};

// A reader who is about to confirm something or to type would lose it.
const isBusy = (region) => region.querySelector("details.confirm[open]") ||
  (region.contains(document.activeElement) && document.activeElement.matches("input, textarea, select"));

let source = null;
const stop = () => { source?.close(); source = null; };

const follow = () => {
  stop();
  const connection = document.getElementById("connection");
  const waiting = new Map(); // blocks that came while their reader was busy
  const say = (text) => { if (connection.textContent !== text) connection.textContent = text; };
  const show = (id, html) => {
    const region = document.getElementById(id);
    if (!region) return;
    if (isBusy(region)) waiting.set(id, html);
    else { waiting.delete(id); replace(region, html); }
  };
  source = new EventSource(location.href);
  source.addEventListener("block", (event) => { const { id, html } = JSON.parse(event.data); show(id, html); });
  source.addEventListener("alive", () => { say(""); waiting.forEach((html, id) => show(id, html)); });
  source.addEventListener("reload", () => { source.close(); location.reload(); });
  source.addEventListener("away", () => say(connection.dataset.redis));
  source.onerror = () => {
    say(connection.dataset.gateway);
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) follow(); }, RETRY_MS);
  };
};

showTimes(document);
if ("live" in document.body.dataset) {
  if (!document.hidden) follow();
  // Nobody reads a page in a hidden tab.
  document.addEventListener("visibilitychange", () => { stop(); if (!document.hidden) follow(); });
  addEventListener("pagehide", stop);
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
