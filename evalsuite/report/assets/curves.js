// The rate-quality curves, and what every plot of the page has in common.
// Names from data reach the page as text nodes, and plotly as escaped text: never as markup.
"use strict";

const COLOURS = 8;
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "triangle-down", "cross", "star"];
const STATISTICS = {
  mean: "mean", p5: "95 % of frames reach", worst: "worst frame", harmonic_mean: "harmonic mean", root_mean: "root mean",
};
const NARROW_SPACE = "\u202f";

const colourIndex = (codec) => codec.index % COLOURS;
const shapeIndex = (codec) => (codec.index + Math.floor(codec.index / COLOURS)) % SYMBOLS.length;

// plotly reads a small markup of its own in every text it is given.
const escapeText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const withUnit = (text, unit) => (unit ? `${text}${NARROW_SPACE}${unit}` : text);

const nameAndNote = (codec) => (codec.note ? `${codec.name} (${codec.note})` : codec.name);

function curves(data, state) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const all = data.points
    .map((point, index) => ({ ...point, score: data.scores[state.metric][index] }))
    .filter((point) => point.sequence === state.sequence && point.score);
  return data.codecs
    .map((codec) => {
      const own = all.filter((point) => point.codec === codec.name).sort((a, b) => a.bpp - b.bpp);
      const hasPlace = (point) => point.score.mean !== null && point[state.x] !== null;
      return { codec, metric, drawn: own.filter(hasPlace), undrawn: own.filter((point) => !hasPlace(point)) };
    })
    .filter((curve) => curve.drawn.length || curve.undrawn.length);
}

function hoverText(curve, point) {
  const scores = Object.entries(point.score.statistics).map(
    ([name, value]) => `${STATISTICS[name] ?? name} ${withUnit(value, curve.metric.unit)}`,
  );
  const lines = [nameAndNote(curve.codec), `${curve.metric.title}: ${scores[0]}`, ...scores.slice(1), ...point.lines];
  return lines.map(escapeText).join("<br>");
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function strokes(codec, colour) {
  const dash = codec.note ? "dash" : "solid"; // what was not measured on a bitstream is drawn apart
  const color = colour(`--c${colourIndex(codec)}`);
  return { line: { color, width: 2, dash }, marker: { color, size: 9, symbol: SYMBOLS[shapeIndex(codec)] } };
}

function trace(curve, state, colour) {
  return {
    name: escapeText(nameAndNote(curve.codec)),
    mode: "lines+markers",
    x: curve.drawn.map((point) => point[state.x]),
    y: curve.drawn.map((point) => point.score.mean),
    hoverinfo: "text",
    hovertext: curve.drawn.map((point) => hoverText(curve, point)),
    ...strokes(curve.codec, colour),
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

const axisStyle = (colour) => ({
  color: colour("--quiet"), gridcolor: colour("--rule"), linecolor: colour("--rule-strong"), zeroline: false,
  ticks: "outside", tickcolor: colour("--rule-strong"), automargin: true,
});

const rateAxis = (state, colour) => ({
  ...axisStyle(colour), type: state.scale, title: { text: state.x === "bpp" ? "rate, bpp" : "rate, kbps" },
  ...(state.scale === "log" ? { dtick: "D2", tickformat: "~g" } : { rangemode: "tozero" }),
});

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

const nameAndUnit = (metric) => (metric.unit ? `${metric.title}, ${metric.unit}` : metric.title);

function layout(shown, data, state, colour, narrow) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  return {
    ...baseLayout(colour, narrow),
    dragmode: "zoom",
    shapes: targetLines(shown, state, colour),
    xaxis: rateAxis(state, colour),
    yaxis: { ...axisStyle(colour), title: { text: `${escapeText(nameAndUnit(metric))}   ${metric.direction}` } },
  };
}

function describe(all, shown, state, data) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const points = shown.reduce((sum, curve) => sum + curve.drawn.length, 0);
  const undrawn = all.flatMap((curve) =>
    curve.undrawn.map((point) => `${curve.codec.name} at ${point.lines[0]}, ${point.score.gap || `no rate in ${state.x}`}`),
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

// A saved figure leaves the page: it carries its own legend and title.
function saveFigure(traces, layout, title, name, format) {
  const heading = { text: escapeText(title), x: 0.02, xanchor: "left" };
  const margin = { l: 24, r: 16, t: 56, b: 24 };
  const figure = { data: traces, layout: { ...layout, title: heading, showlegend: true, margin } };
  const filename = name.replace(/[^\w.-]+/g, "_");
  Plotly.downloadImage(figure, { format, filename, width: 900, height: 560, scale: format === "png" ? 2 : 1 });
}

class Chart {
  constructor(data, state) {
    this.data = data;
    this.state = state;
    this.box = byId("chart");
    this.narrow = matchMedia("(max-width: 40rem)");
    this.fillControls();
    // One state: all other plots are drawn again whenever the curves are.
    this.triangle = data.figures.length ? new Triangle(data, state, (part) => this.change(part)) : null;
    this.relative = data.anchors.length ? new Relative(data, state) : null;
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
    const families = [...new Set(this.data.metrics.map((metric) => metric.family))];
    form.metric.replaceChildren(...families.map((family) => this.familyGroup(family)));
    const options = (names) => names.map((name) => new Option(name, name));
    form.sequence.replaceChildren(...options(this.data.sequences));
    form.anchor?.replaceChildren(...options(this.data.anchors));
  }

  familyGroup(family) {
    const group = document.createElement("optgroup");
    group.label = family;
    for (const metric of this.data.metrics.filter((candidate) => candidate.family === family)) {
      group.append(new Option(`${metric.title} ${metric.direction[0]}`, metric.name));
    }
    return group;
  }

  drawLegends(all) {
    const focused = document.activeElement;
    for (const list of document.querySelectorAll(".legend")) {
      const held = list.contains(focused) ? focused.dataset.codec : null;
      list.replaceChildren(...all.map((curve) => this.legendItem(curve.codec)));
      if (held) [...list.querySelectorAll("button")].find((button) => button.dataset.codec === held)?.focus();
    }
  }

  legendItem(codec) {
    const svg = "http://www.w3.org/2000/svg";
    const use = document.createElementNS(svg, "use");
    use.setAttribute("href", `#mark${shapeIndex(codec)}`);
    const mark = document.createElementNS(svg, "svg");
    const box = { viewBox: "-6 -6 12 12", width: "12", height: "12", "aria-hidden": "true" };
    for (const [name, value] of Object.entries(box)) mark.setAttribute(name, value);
    mark.classList.add("mark", `k${colourIndex(codec)}`);
    mark.append(use);
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(!this.state.hide.includes(codec.name)));
    button.dataset.codec = codec.name;
    button.append(mark, document.createTextNode(nameAndNote(codec)));
    button.addEventListener("click", () => this.toggle(codec.name));
    const item = document.createElement("li");
    item.append(button);
    return item;
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
      colour,
      traces: all.map((curve) => trace(curve, this.state, colour)),
      layout: layout(shown, this.data, this.state, colour, this.narrow.matches),
    };
  }

  draw() {
    const form = byId("controls");
    for (const name of ["metric", "sequence", "x", "scale"]) form.elements[name].value = this.state[name];
    if (form.anchor) form.anchor.value = this.state.anchor;
    const { all, shown, traces, layout, colour } = this.figure();
    this.drawLegends(all);
    byId("chart-text").textContent = describe(all, shown, this.state, this.data);
    Plotly.react(this.box, traces, layout, { responsive: true, displayModeBar: false, doubleClick: "reset" });
    this.relative?.draw(colour, this.narrow.matches);
    this.triangle?.draw(colour);
  }

  save(format) {
    const { traces, layout } = this.figure();
    saveFigure(traces, layout, this.state.sequence, `${this.state.metric}-${this.state.sequence}`, format);
  }
}
