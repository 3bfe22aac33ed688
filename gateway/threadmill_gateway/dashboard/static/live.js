// Pages work without this script. It shows parts that have changed, and times in the reader's time zone.
"use strict";

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

const follow = () => {
  const connection = document.getElementById("connection");
  const source = new EventSource(location.href);
  source.addEventListener("block", (event) => {
    const { id, html } = JSON.parse(event.data);
    const region = document.getElementById(id);
    if (region && !isBusy(region)) replace(region, html);
    connection.textContent = "";
  });
  source.addEventListener("reload", () => { source.close(); location.reload(); });
  source.addEventListener("away", () => { connection.textContent = "⚠ Redis"; });
  source.onerror = () => { connection.textContent = "⚠"; };
  source.onopen = () => { connection.textContent = ""; };
  addEventListener("pagehide", () => source.close());
};

showTimes(document);
if ("live" in document.body.dataset) follow();
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
