// The triangle of tokenized codecs: rate, quality and tokens, each against each. A point that is pointed at or focused
// is marked in every plot that has it.
"use strict";

const TRIANGLE = [
  { id: "rate-quality", x: "rate", y: "quality" },
  { id: "tokens-quality", x: "tokens", y: "quality" },
  { id: "rate-tokens", x: "rate", y: "tokens" },
];

class Triangle {
  constructor(data, state, change) {
    Object.assign(this, { data, state, change, turn: 0 });
    const form = byId("token-controls");
    form.tokens.replaceChildren(...data.figures.map((figure) => new Option(nameAndUnit(figure), figure.name)));
    fillMetrics(form.metric, data.metrics);
    fillNames(form.sequence, data.sequences);
    bindForm(form, change);
    this.plots = new LinkedPlots(byId("triangle"), TRIANGLE.map(({ id }) => id));
    onMedium(() => this.draw());
  }

  // The codecs that are not hidden, with their points on the chosen sequence from the lowest rate up.
  lines({ points, scores }) {
    const { data, state } = this;
    const unit = state.x === "kbps" ? "kbps" : "bpp";
    const all = points.map((point, index) => {
      const [score, figure] = [scores[state.metric][index], scores[state.tokens][index]];
      return { ...point, rate: point[unit], quality: score?.mean ?? null, tokens: figure?.mean ?? null, index, score, figure };
    });
    return data.codecs
      .map((codec) => ({ codec, points: all.filter((point) => point.codec === codec.name).sort((a, b) => a.bpp - b.bpp) }))
      .filter((line) => line.points.length);
  }

  async draw() {
    const turn = ++this.turn;
    const colour = theme();
    // Of means there are no token plots: the first sequence stands in.
    const sequence = this.state.sequence === MEAN ? this.data.sequences[0] : this.state.sequence;
    const loaded = await loadPoints(this.data, sequence);
    if (turn !== this.turn) return;
    const form = byId("token-controls");
    for (const name of ["tokens", "metric"]) form.elements[name].value = this.state[name];
    form.sequence.value = sequence;
    this.metric = this.data.metrics.find((metric) => metric.name === this.state.metric);
    this.figure = this.data.figures.find((figure) => figure.name === this.state.tokens);
    const all = this.lines(loaded);
    drawLegend(all.map((line) => line.codec), this.state, this.change, "tokens");
    const lines = all.filter((line) => !this.state.hide.includes(line.codec.name));
    byId("tokens-text").textContent = this.describe(lines, sequence);
    // The first plot has every codec: its axes serve the others too, so that one can read across.
    const ranges = {};
    for (const plot of TRIANGLE) {
      const box = byId(plot.id);
      const traces = lines.map((line) => this.trace(line, plot, colour));
      await this.plots.draw(box, traces, { ...baseLayout(colour, true), ...this.axes(plot, ranges, colour) });
      if (turn !== this.turn) return;
      if (plot === TRIANGLE[0] && box.data.length) {
        ranges.rate = box.layout.xaxis.range;
        ranges.quality = box.layout.yaxis.range;
      }
    }
    this.plots.mark(document.activeElement?.dataset.point);
  }

  trace(line, plot, colour) {
    const held = line.points.filter((point) => point[plot.x] !== null && point[plot.y] !== null);
    return {
      name: escapeText(nameAndNote(line.codec)),
      mode: "lines+markers",
      x: held.map((point) => point[plot.x]),
      y: held.map((point) => point[plot.y]),
      ...labels(held.map((point) => point.index), held.map((point) => this.words(point))),
      cliponaxis: false,
      ...strokes(line.codec, colour),
    };
  }

  words(point) {
    const values = [[this.metric, point.score], [this.figure, point.figure]]
      .filter(([, score]) => score?.statistics.mean)
      .map(([{ title, unit }, score]) => `${title}: ${withUnit(score.statistics.mean, unit)}`);
    const codec = this.data.codecs.find((known) => known.name === point.codec);
    return [nameAndNote(codec), ...values, point.rates[this.state.x === "kbps" ? "kbps" : "bpp"], point.lines[0]];
  }

  axes(plot, ranges, colour) {
    const scores = (title) => ({ ...axisStyle(colour), title: { text: escapeText(title) } });
    const kinds = {
      rate: rateAxis(this.state, colour),
      quality: scores(`${nameAndUnit(this.metric)} ${this.metric.direction[0]}`),
      tokens: scores(nameAndUnit(this.figure)),
    };
    const axis = (what) => ({ ...kinds[what], ...(ranges[what] ? { range: ranges[what] } : {}) });
    return { xaxis: axis(plot.x), yaxis: axis(plot.y) };
  }

  describe(lines, sequence) {
    const [having, without] = [true, false].map((tokens) => lines.filter((line) => line.codec.tokens === tokens));
    const [tokenized, others] = [having, without].map((some) => listing(some.map((line) => line.codec.name)));
    const points = having.flatMap((line) => line.points);
    const count = points.filter((point) => point.tokens !== null).length;
    const gaps = [[this.metric, "score"], [this.figure, "figure"]].flatMap(([{ title }, key]) =>
      points
        .filter((point) => point[key]?.gap)
        .map((point) => `${title} of ${point.codec} at ${point.lines[0]}, ${point[key].gap}`),
    );
    const place = without.length === 1 ? "has no tokens: it is" : "have no tokens: they are";
    return (
      `${this.metric.title}, rate and ${this.figure.title} on ${sequence}: ` +
      `${count} points of ${tokenized || "no codec"}.` +
      (others ? ` ${others} ${place} in the first plot only.` : "") +
      (gaps.length ? ` Not drawn: ${gaps.join("; ")}.` : "")
    );
  }
}

onReport((data, state, change) => {
  if (!byId("token-controls")) return () => {};
  if (!data.metrics.length) {
    byId("tokens-text").textContent = "There is no score to draw against.";
    return () => {};
  }
  const triangle = new Triangle(data, state, change);
  return () => triangle.draw();
});
