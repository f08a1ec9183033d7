// The pages without scripts have every table. This one adds folding, data that are loaded as they are needed, and the
// state of all pages in the address:
//   PAGE.html#at=SECTION&metric=NAME&sequence=NAME&anchor=CODEC&x=bpp|kbps|tokens&scale=log|linear&hide=CODEC&hide=CODEC...
// Links between pages carry it along, keys of other pages too, so that an address shows what its sender saw.
"use strict";

document.documentElement.classList.add("js");

const byId = (id) => document.getElementById(id);
const MEAN = "*"; // the sequence that stands for the mean over all of them

// ---------------------------------------------------------------- state and address

const readHash = () => new URLSearchParams(location.hash.slice(1));

// One key of the state: what may stand in the address, and what holds where nothing does.
function oneOf(key, allowed, fallback) {
  const value = readHash().get(key);
  return allowed.includes(value) ? value : fallback;
}

function readState(data) {
  const names = (list) => list.map((one) => one.name);
  return {
    at: readHash().get("at") ?? "",
    metric: oneOf("metric", names(data.metrics), data.start),
    sequence: oneOf("sequence", [...data.sequences, MEAN], data.sequences[0]),
    anchor: oneOf("anchor", names(data.codecs.filter((codec) => codec.compared)), data.anchor),
    x: oneOf("x", ["bpp", "kbps", ...(data.figures.length ? ["tokens"] : [])], "bpp"),
    scale: oneOf("scale", ["log", "linear"], "log"),
    bars: oneOf("bars", ["none", "frames"], "none"),
    tokens: oneOf("tokens", names(data.figures), data.startFigure),
    hide: readHash().getAll("hide").filter((name) => names(data.codecs).includes(name)),
  };
}

// The rate of a sequence that the address asks for, by what it says or by its target in bpp; where there is no such target
// the nearest one: pages name rates in their own words, and not every sequence has every target.
function rateOf(rates, key, target, fallback) {
  const asked = readHash().get("rate") ?? "";
  const exact = rates.find((rate) => key(rate) === asked);
  const wanted = Number.parseFloat(asked);
  const distance = (rate) => Math.abs(Math.log(target(rate) / wanted));
  const near = wanted > 0 ? rates.filter((rate) => target(rate) > 0).sort((a, b) => distance(a) - distance(b)) : [];
  return exact ?? near[0] ?? fallback;
}

// Where a page opens: the lowest rate that as many codecs have as any. At the lowest of all there may be one alone.
function fullest(rates, count) {
  const most = Math.max(...rates.map(count));
  return rates.find((rate) => count(rate) === most);
}

// The state's address on a page; what other pages have put there stays. `part` wins over both.
function address(state, part = {}) {
  const hash = readHash();
  for (const [key, value] of Object.entries({ ...state, ...part })) {
    hash.delete(key);
    for (const one of [value].flat()) if (one) hash.append(key, one);
  }
  return `#${hash}`;
}

function writeState(state) {
  // replace() leaves no trail of chart settings in the browser's history.
  location.replace(address(state));
  updateLinks(state);
}

// ---------------------------------------------------------------- links

const LINK = /^([\w-]+\.html)?(?:#([\w-]*))?$/;
const links = new Map(); // link to [page, section], as they were written

function updateLinks(state) {
  for (const link of document.querySelectorAll("a[href]")) {
    const found = links.has(link) ? null : LINK.exec(link.getAttribute("href"));
    if (!found) continue;
    const [page, at] = [found[1] ?? "", found[2] ?? ""];
    links.set(link, [page, at]);
    // The address may be this one already: then nothing else would happen.
    if (!page) link.addEventListener("click", () => goTo(at));
  }
  for (const [link, [page, at]] of links) link.setAttribute("href", `${page}${address(state, { at })}`);
}

function goTo(id) {
  const target = id && byId(id);
  if (!target) return;
  for (let box = target; box; box = box.parentElement?.closest("details")) if (box.matches("details")) box.open = true;
  target.scrollIntoView();
  if (!target.matches("a, button, input, select, [tabindex]")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- data

const documents = new Map(); // name to [promise, resolve]

function expected(name) {
  if (!documents.has(name)) {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    documents.set(name, entry);
  }
  return documents.get(name);
}

// Every file of data/ is one call of this.
window.evalsuiteData = (name, document) => expected(name).resolve(document);

// A file of data/, once. A script, since a page that was opened from disk may fetch nothing.
function loadData(name) {
  const known = documents.has(name);
  const entry = expected(name);
  if (!known) {
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.addEventListener("error", () => entry.reject(new Error(`data/${name}.js cannot be read`)));
    document.head.append(script);
  }
  return entry.promise;
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
  for (const body of document.querySelectorAll(".bd tbody.folded")) {
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

// ---------------------------------------------------------------- parts that pages share

// Text nodes: names are never markup.
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const COLOURS = 8;
const MARKS = 8;
const colourIndex = (codec) => codec.index % COLOURS;
const shapeIndex = (codec) => (codec.index + Math.floor(codec.index / COLOURS)) % MARKS;
const nameAndNote = (codec) => (codec.note ? `${codec.name} (${codec.note})` : codec.name);

const SVG = "http://www.w3.org/2000/svg";

function svgElement(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A codec's marker, the same in every table, legend and plot.
function markOf(codec) {
  const box = { viewBox: "-6 -6 12 12", width: 12, height: 12, "aria-hidden": "true", class: `mark k${colourIndex(codec)}` };
  return svgElement("svg", box, svgElement("use", { href: `#mark${shapeIndex(codec)}` }));
}

function fillMetrics(select, metrics) {
  const families = [...new Set(metrics.map((metric) => metric.family))];
  const groups = families.map((family) => {
    const group = element("optgroup", { label: family });
    for (const metric of metrics.filter((candidate) => candidate.family === family)) {
      group.append(new Option(`${metric.title} ${metric.direction[0]}`, metric.name));
    }
    return group;
  });
  select.replaceChildren(...groups);
}

const fillNames = (select, names) => select.replaceChildren(...names.map((name) => new Option(name, name)));

// A select that sets one key of the state; returns what shows the state in it.
function bindSelect(select, key, state, change) {
  select.addEventListener("change", () => change({ [key]: select.value }));
  return () => {
    select.value = state[key];
  };
}

// ---------------------------------------------------------------- start

const starters = [];
// A page's script gives a function of (data, state) that sets the page up and returns what draws it again.
const onReport = (starter) => starters.push(starter);

document.addEventListener("DOMContentLoaded", async () => {
  setUpFolding();
  // On a narrow screen the list of pages is wider than it.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const data = await expected("report").promise;
  const state = readState(data);
  const drawers = [];
  const draw = () => {
    for (const drawer of drawers) drawer();
  };
  const change = (part) => {
    Object.assign(state, part);
    writeState(state);
    draw();
  };
  for (const starter of starters) drawers.push(starter(data, state, change));
  addEventListener("hashchange", () => {
    const before = state.at;
    Object.assign(state, readState(data));
    updateLinks(state);
    draw();
    if (state.at !== before) goTo(state.at);
  });
  updateLinks(state);
  draw();
  goTo(state.at);
});
