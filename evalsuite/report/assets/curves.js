// The rate-quality curves of one sequence, or of the means over sequences.
"use strict";

const sequenceText = (state) => (state.sequence === MEAN ? "the mean over sequences" : state.sequence);

function curves(data, state, { points, scores }) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const place = (index, point) => (state.x === "tokens" ? scores[state.tokens][index]?.mean : point[state.x]) ?? null;
  const all = points
    .map((point, index) => ({ ...point, x: place(index, point), score: scores[state.metric][index] }))
    .filter((point) => point.score);
  return data.codecs
    .map((codec) => {
      const own = all.filter((point) => point.codec === codec.name).sort((a, b) => a.bpp - b.bpp);
      const hasPlace = (point) => point.score.mean !== null && point.x !== null;
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

// What bars reach to: the score that 95 % of the frames reach; of means the interval over sequences.
function bars(curve, state) {
  if (state.bars === "none") return {};
  const reach = (pick) => curve.drawn.map(({ score }) => Math.abs((pick(score) ?? score.mean) - score.mean));
  const low = (score) => score.low ?? score.p5;
  const below = reach((score) => (low(score) < score.mean ? low(score) : null));
  const above = reach((score) => score.high ?? (low(score) > score.mean ? low(score) : null));
  return { error_y: { type: "data", symmetric: false, array: above, arrayminus: below, thickness: 1, width: 3 } };
}

function trace(curve, state, colour) {
  return {
    name: escapeText(nameAndNote(curve.codec)),
    mode: "lines+markers",
    x: curve.drawn.map((point) => point.x),
    y: curve.drawn.map((point) => point.score.mean),
    // What others were matched to has no target: its own rate is nearest to theirs.
    customdata: curve.drawn.map((point) => ({ codec: curve.codec.name, rate: point.targetBpp ?? point.bpp })),
    hoverinfo: "text",
    hovertext: curve.drawn.map((point) => hoverText(curve, point)),
    ...strokes(curve.codec, colour),
    ...bars(curve, state),
    visible: !state.hide.includes(curve.codec.name),
  };
}

function targetLines(shown, state, colour) {
  const rates = new Set();
  if (state.x === "tokens") return [];
  for (const point of shown.flatMap((curve) => curve.drawn)) {
    if (point.targetBpp) rates.add((point.targetBpp * point[state.x]) / point.bpp);
  }
  return [...rates].map((x) => ({
    type: "line", layer: "below", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
    line: { color: colour("--rule-strong"), width: 1, dash: "dot" },
  }));
}

function layout(shown, data, state, colour) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const figure = data.figures.find((candidate) => candidate.name === state.tokens);
  const tokenAxis = figure && { ...axisStyle(colour), type: state.scale, title: { text: escapeText(nameAndUnit(figure)) } };
  return {
    ...baseLayout(colour, narrowScreen.matches),
    dragmode: "zoom",
    shapes: targetLines(shown, state, colour),
    xaxis: state.x === "tokens" ? tokenAxis : rateAxis(state, colour),
    yaxis: { ...axisStyle(colour), title: { text: `${escapeText(nameAndUnit(metric))}   ${metric.direction}` } },
  };
}

function describe(all, shown, state, data, { words }) {
  const metric = data.metrics.find((candidate) => candidate.name === state.metric);
  const points = shown.reduce((sum, curve) => sum + curve.drawn.length, 0);
  const undrawn = all.flatMap((curve) =>
    curve.undrawn.map((point) => `${curve.codec.name} at ${point.lines[0]}, ${point.score.gap || `nothing in ${state.x}`}`),
  );
  const hidden = all.length - shown.length ? ` ${all.length - shown.length} hidden.` : "";
  const missing = undrawn.length ? ` Not drawn: ${undrawn.join("; ")}.` : "";
  const targets = shown.some((curve) => curve.drawn.some((point) => point.targetBpp)) && state.x !== "tokens";
  return (
    `${metric.title} against ${state.x === "tokens" ? "tokens" : "rate"} on ${sequenceText(state)}, mean over frames: ` +
    `${points} points, ${shown.length} of ${all.length} codecs.${hidden}${missing}` +
    (targets ? " Dotted lines are target rates." : "") +
    (data.pages.includes("frames.html") && state.sequence !== MEAN ? " Press a point to see its frames." : "") +
    (words ? ` ${words}` : "")
  );
}

class Chart {
  constructor(data, state, change) {
    Object.assign(this, { data, state, box: byId("chart") });
    const form = byId("controls");
    fillMetrics(form.metric, data.metrics);
    fillNames(form.sequence, data.sequences);
    if (data.sequences.length > 1) form.sequence.append(new Option("mean over sequences", MEAN));
    if (form.anchor) fillNames(form.anchor, data.relativeAnchors);
    bindForm(form, change);
    this.change = change;
    this.relative = byId("relative") ? new Relative(data, state) : null;
    byId("reset").addEventListener("click", () =>
      Plotly.relayout(this.box, { "xaxis.autorange": true, "yaxis.autorange": true }),
    );
    byId("save-svg").addEventListener("click", () => this.save("svg"));
    byId("save-png").addEventListener("click", () => this.save("png"));
    onMedium(() => this.draw());
  }

  figure() {
    const colour = theme();
    const all = curves(this.data, this.state, this.loaded);
    const shown = all.filter((curve) => !this.state.hide.includes(curve.codec.name));
    return {
      all,
      shown,
      colour,
      traces: all.map((curve) => trace(curve, this.state, colour)),
      layout: layout(shown, this.data, this.state, colour),
    };
  }

  async draw() {
    const { sequence } = this.state;
    const loaded = await loadPoints(this.data, sequence);
    // While it was loading, another may have been chosen.
    if (sequence !== this.state.sequence) return;
    this.loaded = loaded;
    const form = byId("controls");
    for (const name of ["metric", "sequence", "x", "scale", "bars"]) form.elements[name].value = this.state[name];
    byId("bars-text").textContent = sequence === MEAN ? "interval over sequences" : "95 % of frames";
    const { all, shown, traces, layout, colour } = this.figure();
    drawLegend(all.map((curve) => curve.codec), this.state, this.change, "curves");
    byId("chart-text").textContent = describe(all, shown, this.state, this.data, loaded);
    await drawPlot(this.box, traces, layout, PLOT);
    this.listen();
    this.relative?.draw(colour);
  }

  // A point opens the viewer where its frames are.
  listen() {
    if (this.box.dataset.linked || !this.data.pages.includes("frames.html")) return;
    this.box.dataset.linked = "yes";
    this.box.on("plotly_click", ({ points: [{ customdata }] }) => {
      if (this.state.sequence === MEAN) return;
      location.assign(`frames.html${address(this.state, { at: "", left: customdata.codec, rate: String(customdata.rate) })}`);
    });
  }

  save(format) {
    const { traces, layout } = this.figure();
    saveFigure(traces, layout, sequenceText(this.state), `${this.state.metric}-${sequenceText(this.state)}`, format);
  }
}

onReport((data, state, change) => {
  if (data.points && data.metrics.length) {
    const chart = new Chart(data, state, change);
    return () => chart.draw();
  }
  for (const text of document.querySelectorAll(".chart-text")) text.textContent = "There is no point to draw.";
  return () => {};
});
