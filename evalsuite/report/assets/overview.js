// The ranking against whatever codec is chosen, and all codecs against all. Every number and sentence was made in Python.
"use strict";

const STRIP = { width: 220, height: 18, margin: 8 };
const SIGNS = { unclear: "?", fewer: "", more: "", refused: "" };

const marksOf = (pair) => [pair.unlike ? "≠" : "", pair.noise ? "≈" : SIGNS[pair.verdict]].filter(Boolean).join(" ");

class Ranking {
  constructor(data, state, change) {
    Object.assign(this, { data, state, change, table: byId("ranking-table"), matrix: byId("against-all") });
    const form = byId("ranking-controls");
    fillMetrics(form.metric, data.metrics);
    fillNames(form.anchor, data.codecs.filter((codec) => codec.compared).map((codec) => codec.name));
    form.addEventListener("change", ({ target }) => change({ [target.name]: target.value }));
  }

  get metric() {
    return this.data.metrics.find((metric) => metric.name === this.state.metric);
  }

  async draw() {
    const { data, state } = this;
    const form = byId("ranking-controls");
    for (const name of ["metric", "anchor"]) form.elements[name].value = state[name];
    const wanted = state.metric;
    const { pairs } = await loadData(`pairs-${data.metrics.indexOf(this.metric)}`);
    if (wanted !== state.metric) return;
    const anchor = data.codecs.findIndex((codec) => codec.name === state.anchor);
    const own = pairs.filter((pair) => pair.anchor === anchor);
    // A mean over fewer sequences than there are is of other content: it has no place, and stands below.
    const order = (pair) => (pair.percent === null ? 2 : Number(pair.held < pair.of));
    own.sort((a, b) => order(a) - order(b) || a.percent - b.percent);
    byId("ranking-caption").textContent =
      `Codecs by their mean BD-rate against ${state.anchor} for the same ${this.metric.title} (${this.metric.direction}): ` +
      "the fewest bits first. A mean that does not hold every sequence has no place. Win rate is the share of sequences on which bits are saved.";
    byId("ranking-words").replaceChildren(element("ul", {}, ...own.map((pair) => this.words(pair))));
    const held = own.filter((pair) => pair.percent !== null);
    const ends = [0, ...held.flatMap((pair) => [pair.percent, pair.low ?? 0, pair.high ?? 0])];
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const inner = STRIP.width - 2 * STRIP.margin;
    const place = (percent) => STRIP.margin + (inner * (percent - low)) / (high - low || 1);
    this.table.tBodies[0].replaceChildren(...own.map((pair, index) => this.row(pair, index, place)));
    this.drawMatrix(pairs);
  }

  words(pair) {
    const unlike = pair.unlike ? ` ≠ Not like with like: ${pair.unlike}.` : "";
    return element("li", {}, element("strong", {}, pair.sentence), ` ${pair.evidence}${unlike}`);
  }

  row(pair, index, place) {
    const codec = this.data.codecs[pair.test];
    const number = (...children) => element("td", { class: "n" }, ...children);
    const value = element("td", { class: `n ${pair.verdict}` }, `${marksOf(pair)} ${pair.shown}`.trim());
    return element(
      "tr", {},
      number(pair.percent === null || pair.held < pair.of ? "–" : String(index + 1)),
      element("th", { scope: "row" }, markOf(codec), nameAndNote(codec)),
      value,
      number(pair.interval),
      element("td", {}, ...(pair.percent === null ? [] : [this.strip(pair, place)])),
      number(pair.won),
      number(`${pair.held} of ${pair.of}`),
    );
  }

  strip(pair, place) {
    const { width, height } = STRIP;
    const middle = height / 2;
    const x = place(pair.percent);
    const lines = [svgElement("line", { class: "zero", x1: place(0), x2: place(0), y1: 0, y2: height })];
    if (pair.low !== null) {
      lines.push(svgElement("line", { class: "interval", x1: place(pair.low), x2: place(pair.high), y1: middle, y2: middle }));
    }
    const mean = svgElement("path", { class: "mean", d: `M${x} 3.5l4.5 5.5-4.5 5.5-4.5-5.5z` });
    const label = `${pair.shown}, interval ${pair.interval}`;
    return svgElement("svg", { class: "strip", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...lines, mean);
  }

  drawMatrix(pairs) {
    const codecs = this.data.codecs.filter((codec) => codec.compared);
    const byPlace = new Map(pairs.map((pair) => [`${pair.test} ${pair.anchor}`, pair]));
    const head = codecs.map((codec) => {
      const button = element("button", { type: "button", class: "plain-button", "aria-pressed": String(codec.name === this.state.anchor) }, markOf(codec), codec.name);
      button.addEventListener("click", () => {
        this.change({ anchor: codec.name });
        this.matrix.querySelectorAll("thead button")[codecs.indexOf(codec)].focus();
      });
      return element("th", { scope: "col", class: "n" }, button);
    });
    const focus = [...this.matrix.querySelectorAll("thead button")].indexOf(document.activeElement);
    this.matrix.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col" }, "Codec"), ...head));
    if (focus >= 0) this.matrix.querySelectorAll("thead button")[focus].focus();
    this.matrix.tBodies[0].replaceChildren(
      ...codecs.map((codec) =>
        element(
          "tr", {},
          element("th", { scope: "row" }, markOf(codec), nameAndNote(codec)),
          ...codecs.map((anchor) => this.cell(byPlace.get(`${codec.index} ${anchor.index}`), codec === anchor)),
        ),
      ),
    );
  }

  cell(pair, same) {
    if (same) return element("td", { class: "n quiet" }, "same");
    if (!pair) return element("td", { class: "n quiet" }, "–");
    return element("td", { class: `n ${pair.verdict}`, title: pair.sentence }, `${marksOf(pair)} ${pair.shown}`.trim(), element("small", {}, `${pair.held}/${pair.of}`));
  }
}

onReport((data, state, change) => {
  if (!byId("ranking")) return () => {};
  const ranking = new Ranking(data, state, change);
  return () => ranking.draw();
});
