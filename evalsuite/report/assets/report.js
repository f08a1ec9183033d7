// The page without scripts has every table. This one adds folding, and state in the URL for the plots:
//   #at=SECTION&metric=NAME&sequence=NAME&anchor=CODEC&x=bpp|kbps&scale=log|linear&tokens=FIGURE&hide=CODEC&hide=CODEC
"use strict";

document.documentElement.classList.add("js");

const CHOICES = { x: ["bpp", "kbps"], scale: ["log", "linear"] };
const byId = (id) => document.getElementById(id);

// ---------------------------------------------------------------- state and URL

function readState(data) {
  const hash = new URLSearchParams(location.hash.slice(1));
  const one = (key, allowed, fallback) => (allowed.includes(hash.get(key)) ? hash.get(key) : fallback);
  const codecs = data.codecs.map((codec) => codec.name);
  return {
    at: hash.get("at") ?? "",
    metric: one("metric", data.metrics.map((metric) => metric.name), data.start),
    sequence: one("sequence", data.sequences, data.sequences[0]),
    anchor: data.anchors.length > 1 ? one("anchor", data.anchors, data.anchors[0]) : "",
    x: one("x", CHOICES.x, "bpp"),
    scale: one("scale", CHOICES.scale, "log"),
    tokens: one("tokens", data.figures.map((figure) => figure.name), data.startFigure),
    hide: hash.getAll("hide").filter((name) => codecs.includes(name)),
  };
}

function writeState(state) {
  const hash = new URLSearchParams();
  for (const key of ["at", "metric", "sequence", "anchor", "x", "scale", "tokens"]) {
    if (state[key]) hash.set(key, state[key]);
  }
  for (const name of state.hide) hash.append("hide", name);
  // replace() leaves no trail of chart settings in the browser's history.
  location.replace(`#${hash}`);
}

// ---------------------------------------------------------------- tables

function fold(button, bodies, open) {
  button.setAttribute("aria-expanded", String(open));
  for (const body of bodies) {
    body.classList.toggle("folded", !open);
    body.querySelector(".fold")?.setAttribute("aria-expanded", String(open));
  }
}

function setUpFolding() {
  for (const body of document.querySelectorAll(".bd tbody")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fold";
    button.setAttribute("aria-controls", body.id);
    button.setAttribute("aria-expanded", "false");
    const name = body.querySelector(".name");
    button.append(...name.childNodes);
    name.append(button);
    button.addEventListener("click", () => fold(button, [body], body.classList.contains("folded")));
  }
  for (const button of document.querySelectorAll(".fold-all")) {
    const bodies = byId(button.dataset.table).querySelectorAll("tbody");
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      fold(button, bodies, open);
      button.textContent = open ? "Hide the sequences" : "Show every sequence";
    });
  }
}

// A link to a section keeps the chart's state in the URL, so that the address can be passed on as it stands.
function setUpLinks(state) {
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      state.at = link.getAttribute("href").slice(1);
      writeState(state);
      goTo(state.at);
    });
  }
}

function goTo(id) {
  const target = id && byId(id);
  if (!target) return;
  target.scrollIntoView();
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

document.addEventListener("DOMContentLoaded", () => {
  setUpFolding();
  const data = window.evalsuiteReport;
  const state = readState(data);
  setUpLinks(state);
  if (data.points.length && data.metrics.length) new Chart(data, state);
  else for (const text of document.querySelectorAll(".chart-text")) text.textContent = "There is no point to draw.";
  goTo(state.at);
});
