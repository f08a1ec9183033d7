// The page without this script has every table. This adds folding, and the curves with their state in the URL:
//   #at=SECTION&metric=NAME&sequence=NAME&x=bpp|kbps&scale=log|linear&hide=CODEC&hide=CODEC
// Names from data reach the page as text nodes, and plotly as escaped text: never as markup.
"use strict";

document.documentElement.classList.add("js");

const COLOURS = 8;
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "triangle-down", "cross", "star"];
const STATISTICS = { mean: "mean", p5: "95 % of frames reach", worst: "worst frame", harmonic_mean: "harmonic mean" };
const CHOICES = { x: ["bpp", "kbps"], scale: ["log", "linear"] };
const NARROW_SPACE = "\u202f";

const colourIndex = (codec) => codec.index % COLOURS;
const shapeIndex = (codec) => (codec.index + Math.floor(codec.index / COLOURS)) % SYMBOLS.length;
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
    x: one("x", CHOICES.x, "bpp"),
    scale: one("scale", CHOICES.scale, "log"),
    hide: hash.getAll("hide").filter((name) => codecs.includes(name)),
  };
}

function writeState(state) {
  const hash = new URLSearchParams();
  for (const key of ["at", "metric", "sequence", "x", "scale"]) {
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

// ---------------------------------------------------------------- curves

// plotly reads a small markup of its own in every text it is given.
const escapeText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const withUnit = (text, unit) => (unit ? `${text}${NARROW_SPACE}${unit}` : text);

function curves(data, state) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const all = data.points
    .map((point, index) => ({ ...point, score: data.scores[state.metric][index] }))
    .filter((point) => point.sequence === state.sequence && point.score);
  return data.codecs
    .map((codec) => {
      const own = all.filter((point) => point.codec === codec.name).sort((a, b) => a.bpp - b.bpp);
      const drawn = own.filter((point) => point.score.mean !== null);
      return { codec, metric, drawn, undrawn: own.filter((point) => point.score.mean === null) };
    })
    .filter((curve) => curve.drawn.length || curve.undrawn.length);
}

function hoverText(curve, point) {
  const scores = Object.entries(point.score.statistics).map(
    ([name, value]) => `${STATISTICS[name] ?? name} ${withUnit(value, curve.metric.unit)}`,
  );
  const lines = [curve.codec.name, `${curve.metric.title}: ${scores[0]}`, ...scores.slice(1), ...point.lines];
  return lines.map(escapeText).join("<br>");
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function trace(curve, state, colour) {
  const line = colour(`--c${colourIndex(curve.codec)}`);
  return {
    name: escapeText(curve.codec.name),
    mode: "lines+markers",
    x: curve.drawn.map((point) => point[state.x]),
    y: curve.drawn.map((point) => point.score.mean),
    hoverinfo: "text",
    hovertext: curve.drawn.map((point) => hoverText(curve, point)),
    line: { color: line, width: 2 },
    marker: { color: line, size: 9, symbol: SYMBOLS[shapeIndex(curve.codec)] },
    visible: !state.hide.includes(curve.codec.name),
  };
}

function targetLines(shown, state, colour) {
  const rates = new Set();
  for (const point of shown.flatMap((curve) => curve.drawn)) {
    if (point.targetBpp) rates.add((point.targetBpp * point[state.x]) / point.bpp);
  }
  return [...rates].map((x) => ({
    type: "line", layer: "below", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
    line: { color: colour("--rule-strong"), width: 1, dash: "dot" },
  }));
}

function layout(shown, data, state, colour, narrow) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const axis = {
    color: colour("--quiet"), gridcolor: colour("--rule"), linecolor: colour("--rule-strong"), zeroline: false,
    ticks: "outside", tickcolor: colour("--rule-strong"), automargin: true,
  };
  const unit = metric.unit ? `, ${metric.unit}` : "";
  return {
    autosize: true,
    margin: { l: 12, r: 16, t: 12, b: 24 },
    paper_bgcolor: colour("--paper"),
    plot_bgcolor: colour("--paper"),
    font: { family: "system-ui, sans-serif", size: narrow ? 12 : 13, color: colour("--ink") },
    hovermode: "closest",
    hoverlabel: {
      align: "left", bgcolor: colour("--raised"), bordercolor: colour("--rule-strong"),
      font: { color: colour("--ink"), size: 13 },
    },
    dragmode: "zoom",
    showlegend: false,
    shapes: targetLines(shown, state, colour),
    xaxis: {
      ...axis, type: state.scale, title: { text: state.x === "bpp" ? "rate, bpp" : "rate, kbps" },
      ...(state.scale === "log" ? { dtick: "D2", tickformat: "~g" } : { rangemode: "tozero" }),
    },
    yaxis: { ...axis, title: { text: `${escapeText(metric.title + unit)}   ${metric.direction}` } },
  };
}

function describe(all, shown, state, data) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const points = shown.reduce((sum, curve) => sum + curve.drawn.length, 0);
  const undrawn = all.flatMap((curve) =>
    curve.undrawn.map((point) => `${curve.codec.name} at ${point.lines[0]}, ${point.score.gap}`),
  );
  const hidden = all.length - shown.length ? ` ${all.length - shown.length} hidden.` : "";
  const missing = undrawn.length ? ` Not drawn: ${undrawn.join("; ")}.` : "";
  const targets = shown.some((curve) => curve.drawn.some((point) => point.targetBpp));
  return (
    `${metric.title} against rate on ${state.sequence}, mean over frames: ${points} points, ` +
    `${shown.length} of ${all.length} codecs.${hidden}${missing}` +
    (targets ? " Dotted lines are target rates." : "")
  );
}

class Chart {
  constructor(data, state) {
    this.data = data;
    this.state = state;
    this.box = byId("chart");
    this.narrow = matchMedia("(max-width: 40rem)");
    this.fillControls();
    this.draw();
    addEventListener("hashchange", () => this.follow());
    for (const query of [matchMedia("print"), matchMedia("(prefers-color-scheme: dark)"), this.narrow]) {
      query.addEventListener("change", () => this.draw());
    }
    byId("controls").addEventListener("change", (event) => this.change({ [event.target.name]: event.target.value }));
    byId("reset").addEventListener("click", () =>
      Plotly.relayout(this.box, { "xaxis.autorange": true, "yaxis.autorange": true }),
    );
    byId("save-svg").addEventListener("click", () => this.save("svg"));
    byId("save-png").addEventListener("click", () => this.save("png"));
  }

  change(part) {
    Object.assign(this.state, part);
    writeState(this.state);
    this.draw();
  }

  follow() {
    Object.assign(this.state, readState(this.data));
    this.draw();
  }

  fillControls() {
    const form = byId("controls");
    const option = (value, text) => new Option(text, value);
    form.metric.replaceChildren(...this.data.metrics.map((metric) => option(metric.name, `${metric.title} ${metric.direction[0]}`)));
    form.sequence.replaceChildren(...this.data.sequences.map((name) => option(name, name)));
  }

  drawLegend(all) {
    const svg = "http://www.w3.org/2000/svg";
    const buttons = all.map((curve) => {
      const on = !this.state.hide.includes(curve.codec.name);
      const use = document.createElementNS(svg, "use");
      use.setAttribute("href", `#mark${shapeIndex(curve.codec)}`);
      const mark = document.createElementNS(svg, "svg");
      for (const [name, value] of [["viewBox", "-6 -6 12 12"], ["width", "12"], ["height", "12"], ["aria-hidden", "true"]]) {
        mark.setAttribute(name, value);
      }
      mark.classList.add("mark", `k${colourIndex(curve.codec)}`);
      mark.append(use);
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(on));
      button.dataset.codec = curve.codec.name;
      button.append(mark, document.createTextNode(curve.codec.name));
      button.addEventListener("click", () => this.toggle(curve.codec.name));
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    const focused = document.activeElement?.dataset?.codec;
    byId("legend").replaceChildren(...buttons);
    if (focused) [...byId("legend").querySelectorAll("button")].find((b) => b.dataset.codec === focused)?.focus();
  }

  toggle(name) {
    const hide = this.state.hide;
    this.change({ hide: hide.includes(name) ? hide.filter((other) => other !== name) : [...hide, name] });
  }

  figure() {
    const colour = theme();
    const all = curves(this.data, this.state);
    const shown = all.filter((curve) => !this.state.hide.includes(curve.codec.name));
    return {
      all,
      shown,
      traces: all.map((curve) => trace(curve, this.state, colour)),
      layout: layout(shown, this.data, this.state, colour, this.narrow.matches),
    };
  }

  draw() {
    const form = byId("controls");
    for (const name of ["metric", "sequence", "x", "scale"]) form.elements[name].value = this.state[name];
    const { all, shown, traces, layout } = this.figure();
    this.drawLegend(all);
    byId("chart-text").textContent = describe(all, shown, this.state, this.data);
    Plotly.react(this.box, traces, layout, { responsive: true, displayModeBar: false, doubleClick: "reset" });
  }

  // A saved figure leaves the page: it carries its own legend and title.
  save(format) {
    const { traces, layout } = this.figure();
    const title = { text: escapeText(this.state.sequence), x: 0.02, xanchor: "left" };
    const figure = { data: traces, layout: { ...layout, title, showlegend: true, margin: { l: 24, r: 16, t: 56, b: 24 } } };
    const filename = `${this.state.metric}-${this.state.sequence}`.replace(/[^\w.-]+/g, "_");
    Plotly.downloadImage(figure, { format, filename, width: 900, height: 560, scale: format === "png" ? 2 : 1 });
  }
}

document.addEventListener("DOMContentLoaded", () => {
  setUpFolding();
  const data = window.evalsuiteReport;
  const state = readState(data);
  setUpLinks(state);
  if (data.points.length && data.metrics.length) new Chart(data, state);
  else byId("chart-text").textContent = "There is no point to draw.";
  goTo(state.at);
});
