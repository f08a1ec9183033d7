// The triangle of tokenized codecs: rate, quality and tokens, each against each. A point that is pointed at or focused
// is marked in every plot that has it.
"use strict";

const PLOTS = [
  { id: "rate-quality", x: "rate", y: "quality" },
  { id: "tokens-quality", x: "tokens", y: "quality" },
  { id: "rate-tokens", x: "rate", y: "tokens" },
];
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const listing = (names) => new Intl.ListFormat("en-GB").format(names);

class Triangle {
  constructor(data, state, change) {
    this.data = data;
    this.state = state;
    this.turn = 0;
    this.select = byId("token-controls").elements.tokens;
    this.select.replaceChildren(...data.figures.map((figure) => new Option(nameAndUnit(figure), figure.name)));
    this.select.addEventListener("change", () => change({ tokens: this.select.value }));
    for (const { id } of PLOTS) this.listen(byId(id));
  }

  // The codecs that are not hidden, with their points on the chosen sequence from the lowest rate up.
  lines() {
    const { data, state } = this;
    const points = data.points.map((point, index) => {
      const [score, figure] = [data.scores[state.metric][index], data.scores[state.tokens][index]];
      const drawn = { rate: point[state.x], quality: score?.mean ?? null, tokens: figure?.mean ?? null };
      return { ...point, ...drawn, index, score, figure };
    });
    return data.codecs
      .filter((codec) => !state.hide.includes(codec.name))
      .map((codec) => {
        const own = points.filter((point) => point.codec === codec.name && point.sequence === state.sequence);
        return { codec, points: own.sort((a, b) => a.bpp - b.bpp) };
      })
      .filter((line) => line.points.length);
  }

  async draw(colour) {
    const turn = ++this.turn;
    this.select.value = this.state.tokens;
    this.metric = this.data.metrics.find((metric) => metric.name === this.state.metric);
    this.figure = this.data.figures.find((figure) => figure.name === this.state.tokens);
    const lines = this.lines();
    byId("tokens-text").textContent = this.describe(lines);
    // The first plot has every codec: its axes serve the others too, so that one can read across.
    const ranges = {};
    for (const plot of PLOTS) {
      const box = byId(plot.id);
      const traces = lines.map((line) => this.trace(line, plot, colour)).filter((trace) => trace.x.length);
      const layout = { ...baseLayout(colour, true), dragmode: false, ...this.axes(plot, ranges, colour) };
      await Plotly.react(box, traces, layout, { responsive: true, displayModeBar: false, doubleClick: false });
      if (turn !== this.turn) return;
      this.equip(box);
      if (plot === PLOTS[0] && traces.length) {
        ranges.rate = box.layout.xaxis.range;
        ranges.quality = box.layout.yaxis.range;
      }
    }
    this.mark(document.activeElement?.dataset.point);
  }

  trace(line, plot, colour) {
    const held = line.points.filter((point) => point[plot.x] !== null && point[plot.y] !== null);
    return {
      name: escapeText(nameAndNote(line.codec)),
      mode: "lines+markers",
      x: held.map((point) => point[plot.x]),
      y: held.map((point) => point[plot.y]),
      customdata: held.map((point) => ({ index: point.index, name: this.words(point).join(", ") })),
      hoverinfo: "text",
      hovertext: held.map((point) => this.words(point).map(escapeText).join("<br>")),
      cliponaxis: false,
      ...strokes(line.codec, colour),
    };
  }

  words(point) {
    const values = [[this.metric, point.score], [this.figure, point.figure]]
      .filter(([, score]) => score?.statistics.mean)
      .map(([{ title, unit }, score]) => `${title}: ${withUnit(score.statistics.mean, unit)}`);
    const codec = this.data.codecs.find((known) => known.name === point.codec);
    return [nameAndNote(codec), ...values, point.rates[this.state.x], point.lines[0]];
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

  describe(lines) {
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
      `${this.metric.title}, rate and ${this.figure.title} on ${this.state.sequence}: ` +
      `${count} points of ${tokenized || "no codec"}.` +
      (others ? ` ${others} ${place} in the first plot only.` : "") +
      (gaps.length ? ` Not drawn: ${gaps.join("; ")}.` : "")
    );
  }

  // ---------------------------------------------------------------- linked points

  // plotly draws a point as a bare path: here each gets a name, and one of each plot is reached with Tab.
  equip(box) {
    const paths = [];
    box.querySelectorAll(".scatterlayer .trace").forEach((group, curveNumber) =>
      group.querySelectorAll("path.point").forEach((path, pointNumber) => {
        const { index, name } = box.data[curveNumber].customdata[pointNumber];
        path.setAttribute("role", "img");
        path.setAttribute("aria-label", name);
        Object.assign(path.dataset, { point: index, curveNumber, pointNumber });
        paths.push(path);
      }),
    );
    const focused = paths.find((path) => path === document.activeElement);
    for (const path of paths) path.setAttribute("tabindex", path === (focused ?? paths[0]) ? "0" : "-1");
    if (box.dataset.linked) return;
    box.dataset.linked = "yes";
    box.on("plotly_hover", (event) => this.mark(event.points[0].customdata.index));
    box.on("plotly_unhover", () => this.mark(undefined));
  }

  mark(index) {
    for (const path of document.querySelectorAll(".triangle path.point")) {
      path.classList.toggle("marked", index !== undefined && path.dataset.point === String(index));
    }
  }

  listen(box) {
    box.addEventListener("focusin", ({ target }) => {
      if (!target.matches("path.point")) return;
      const { point, curveNumber, pointNumber } = target.dataset;
      // Called like this, plotly shows its label and tells nobody.
      Plotly.Fx.hover(box, [{ curveNumber: Number(curveNumber), pointNumber: Number(pointNumber) }]);
      this.mark(point);
    });
    box.addEventListener("focusout", () => {
      Plotly.Fx.unhover(box);
      this.mark(undefined);
    });
    box.addEventListener("keydown", (event) => {
      const paths = [...box.querySelectorAll("path.point")];
      const at = paths.indexOf(event.target);
      if (at < 0 || !(event.key in STEPS)) return;
      event.preventDefault();
      const next = paths[Math.min(Math.max(at + STEPS[event.key], 0), paths.length - 1)];
      paths[at].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }
}
