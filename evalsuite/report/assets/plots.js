// What every plot has in common: colours, axes, legends, labels, saving. plotly reads a small markup of its own in every
// text it is given: names from data reach it as escaped text.
"use strict";

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "triangle-down", "cross", "star"];
const STATISTICS = {
  mean: "mean", p5: "95 % of frames reach", worst: "worst frame", harmonic_mean: "harmonic mean", root_mean: "root mean",
  interval: "95 % interval over sequences",
};
const NARROW_SPACE = "\u202f";
const PLOT = { responsive: true, displayModeBar: false, doubleClick: "reset" };

const escapeText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const withUnit = (text, unit) => (unit ? `${text}${NARROW_SPACE}${unit}` : text);
const nameAndUnit = (metric) => (metric.unit ? `${metric.title}, ${metric.unit}` : metric.title);
const narrowScreen = matchMedia("(max-width: 40rem)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function strokes(codec, colour) {
  const dash = codec.note ? "dash" : "solid"; // what was not measured on a bitstream is drawn apart
  const color = colour(`--c${colourIndex(codec)}`);
  return { line: { color, width: 2, dash }, marker: { color, size: 9, symbol: SYMBOLS[shapeIndex(codec)] } };
}

const axisStyle = (colour) => ({
  color: colour("--quiet"), gridcolor: colour("--rule"), linecolor: colour("--rule-strong"), zeroline: false,
  ticks: "outside", tickcolor: colour("--rule-strong"), automargin: true,
});

const rateAxis = (state, colour) => ({
  ...axisStyle(colour), type: state.scale, title: { text: state.x === "kbps" ? "rate, kbps" : "rate, bpp" },
  ...(state.scale === "log" ? { dtick: "D2", tickformat: "~g" } : { rangemode: "tozero" }),
});

// Draws a plot. Where nothing is drawn, numbers on its axes would be plotly's invention.
function drawPlot(box, traces, layout, config) {
  const isEmpty = !traces.some((trace) => trace.y.some((value) => value !== null));
  const axes = Object.keys(layout).filter((key) => /^[xy]axis/.test(key));
  const bare = isEmpty ? Object.fromEntries(axes.map((key) => [key, { ...layout[key], showticklabels: false }])) : {};
  return Plotly.react(box, traces, { ...layout, ...bare }, config);
}

function baseLayout(colour, narrow) {
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
    showlegend: false,
  };
}

// A saved figure leaves the page: it carries its own legend and title.
function saveFigure(traces, layout, title, name, format) {
  const heading = { text: escapeText(title), x: 0.02, xanchor: "left" };
  const margin = { l: 24, r: 16, t: 56, b: 24 };
  const figure = { data: traces, layout: { ...layout, title: heading, showlegend: true, margin } };
  const filename = name.replace(/[^\w.-]+/g, "_");
  Plotly.downloadImage(figure, { format, filename, width: 900, height: 560, scale: format === "png" ? 2 : 1 });
}

// The codecs of a section's plots as buttons that hide and show them, in its list of the class `legend`.
function drawLegend(codecs, state, change, section) {
  const list = byId(section).querySelector(".legend");
  const focused = document.activeElement;
  const held = list.contains(focused) ? focused.dataset.codec : null;
  list.replaceChildren(...codecs.map((codec) => legendItem(codec, state, change)));
  if (held) [...list.querySelectorAll("button")].find((button) => button.dataset.codec === held)?.focus();
}

function legendItem(codec, state, change) {
  const { hide } = state;
  const hidden = hide.includes(codec.name);
  const button = element("button", { type: "button", "aria-pressed": String(!hidden) }, markOf(codec), nameAndNote(codec));
  button.dataset.codec = codec.name;
  button.addEventListener("click", () =>
    change({ hide: hidden ? hide.filter((other) => other !== codec.name) : [...hide, codec.name] }),
  );
  return element("li", {}, button);
}

// Colours and sizes are those of the medium: all is drawn again where it changes.
function onMedium(draw) {
  for (const query of [matchMedia("print"), matchMedia("(prefers-color-scheme: dark)"), narrowScreen]) {
    query.addEventListener("change", draw);
  }
}

// A sequence's points, with the index of each in the scores; the mean over sequences is shaped like one.
const loadPoints = (data, sequence) =>
  loadData(sequence === MEAN ? "means" : `sequence-${data.sequences.indexOf(sequence)}`);

// The key of the address that chooses a rate: its target, or its name where it had none.
const rateKey = (rate) => String(rate.target ?? rate.title);

// Radio buttons and selects of a form, each named after the key of the state that it sets.
function bindForm(form, change) {
  form.addEventListener("change", ({ target }) => change({ [target.name]: target.value }));
}
