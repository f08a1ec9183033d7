// Quality against cost: each codec by its mean BD-rate and what it costs, with the codecs that no other beats in both; and
// each rate point of one sequence by its score and what it cost.
"use strict";

const SIDES = { encode: "encoding", decode: "decoding" };
const COSTS = {
  cpu: { title: "CPU ms per frame", unit: "ms", words: "CPU time" },
  memory: { title: "peak memory, MB", unit: "MB", words: "peak memory" },
};
const BEYOND = 1.25; // the front goes on to the edge: to so many times the highest cost

const toDigits = (value) => Number(value.toPrecision(3)).toLocaleString("en-GB", { maximumSignificantDigits: 3 });

// A cost in words, time also as speed.
function costWords(side, { cpu, memory }) {
  const said = [];
  if (cpu !== null) said.push(`${side} ${withUnit(toDigits(cpu), "ms")} of CPU a frame, ${toDigits(1000 / cpu)} frames in a CPU second`);
  if (memory !== null) said.push(`${side} peak memory ${withUnit(toDigits(memory), "MB")}`);
  return said;
}

// The points that no other beats in both, the cheapest first; both are better where they are lower.
function frontOf(points) {
  const beats = (one, other) => one.x <= other.x && one.y <= other.y && (one.x < other.x || one.y < other.y);
  return points.filter((point) => !points.some((other) => beats(other, point))).sort((a, b) => a.x - b.x || a.y - b.y);
}

class Complexity {
  constructor(data, state, change) {
    Object.assign(this, { data, state, change, turn: 0 });
    this.form = byId("cost-controls");
    fillMetrics(this.form.metric, data.metrics);
    fillNames(this.form.anchor, data.codecs.filter((codec) => codec.compared).map((codec) => codec.name));
    fillNames(this.form.sequence, data.sequences);
    bindForm(this.form, change);
    const ids = (what) => Object.keys(SIDES).map((side) => `${what}-${side}`);
    this.bits = new LinkedPlots(byId("cost-plots"), ids("bits"));
    this.scores = new LinkedPlots(byId("score-plots"), ids("score"));
    onMedium(() => this.draw());
  }

  async draw() {
    const turn = ++this.turn;
    const { data, state, form } = this;
    state.cost = oneOf("cost", Object.keys(COSTS), "cpu");
    // A mean over sequences has no cost of its own: the first sequence stands in.
    const sequence = state.sequence === MEAN ? data.sequences[0] : state.sequence;
    const place = data.metrics.findIndex((metric) => metric.name === state.metric);
    const [costs, { pairs }, loaded] = await Promise.all([
      loadData("costs"), loadData(`pairs-${place}`), loadPoints(data, sequence),
    ]);
    if (turn !== this.turn) return;
    for (const name of ["metric", "anchor", "cost"]) form.elements[name].value = state[name];
    form.sequence.value = sequence;
    this.metric = data.metrics[place];
    const spent = data.codecs.filter((codec) => codec.compared && codec.name in costs);
    drawLegend(spent, state, this.change, "quality-cost");
    const shown = spent.filter((codec) => !state.hide.includes(codec.name));
    const colour = theme();
    const ranked = this.ranked(shown, costs, pairs);
    const places = Object.fromEntries(Object.keys(SIDES).map((side) => [side, this.placed(ranked, side)]));
    const fronts = Object.fromEntries(Object.entries(places).map(([side, points]) => [side, frontOf(points)]));
    // One alone stands at 0 % and is on every front: that would say that something was compared.
    const compared = Object.values(places).some((points) => points.length > 1);
    byId("cost-plots").hidden = !compared;
    byId("bits-text").replaceChildren(...this.describeBits(ranked, compared ? fronts : {}, spent.length - shown.length));
    const lines = this.lines(shown, loaded);
    byId("score-text").textContent = this.describeScores(lines, sequence);
    for (const side of Object.keys(SIDES)) {
      const points = places[side];
      if (compared) await this.bits.draw(byId(`bits-${side}`), this.bitsTraces(points, fronts[side], colour), this.bitsLayout(side, points, colour));
      const each = lines.flatMap((line) => this.drawn(line, side));
      await this.scores.draw(byId(`score-${side}`), lines.map((line) => this.scoreTrace(line, side, colour)), this.scoreLayout(side, each, colour));
      if (turn !== this.turn) return;
    }
  }

  // ---------------------------------------------------------------- codecs

  // Each codec with its BD-rate against the anchor, and why it has none.
  ranked(codecs, costs, pairs) {
    const anchor = this.data.codecs.findIndex((codec) => codec.name === this.state.anchor);
    return codecs.map((codec) => {
      const pair = pairs.find((one) => one.anchor === anchor && one.test === this.data.codecs.indexOf(codec));
      const own = codec.name === this.state.anchor;
      // A mean over fewer sequences is of other content: it has no place among the others.
      const percent = own ? 0 : pair?.held === pair?.of ? (pair?.percent ?? null) : null;
      const said = own ? "the anchor" : pair ? `BD-rate ${pair.shown}, ${pair.held} of ${pair.of} sequences` : "not compared";
      return { codec, cost: costs[codec.name], percent, said, unlike: pair?.unlike ?? "", noise: pair?.noise ?? false, why: pair?.evidence ?? said };
    });
  }

  // Those that have a place in the plot of a side.
  placed(ranked, side) {
    return ranked
      .map((one) => ({ ...one, x: one.cost[side][this.state.cost], y: one.percent }))
      .filter((one) => one.x !== null && one.y !== null);
  }

  bitsTraces(points, front, colour) {
    const names = front.map((point) => point.codec.name);
    const onFront = new Set(names);
    const each = points.map((point) => ({
      name: escapeText(nameAndNote(point.codec)),
      mode: "markers+text",
      x: [point.x],
      y: [point.y],
      // Many names would hide each other: those of the front are what is looked for, above and below by turns.
      text: [onFront.has(point.codec.name) ? escapeText(point.codec.name) : ""],
      textposition: names.indexOf(point.codec.name) % 2 ? "bottom right" : "top right",
      textfont: { color: colour("--ink") },
      ...labels([point.codec.index], [this.words(point, onFront)]),
      cliponaxis: false,
      ...strokes(point.codec, colour),
    }));
    return [...each, this.frontTrace(points, front, colour)];
  }

  words(point, onFront) {
    const marks = [point.unlike ? `≠ not like with like: ${point.unlike}` : "", point.noise ? "≈ below the noise of its points" : ""];
    const sides = Object.keys(SIDES).flatMap((side) => costWords(side, point.cost[side]));
    return [nameAndNote(point.codec), point.said, ...marks.filter(Boolean), ...sides, onFront.has(point.codec.name) ? "on the front" : "not on the front"];
  }

  // At each cost the fewest bits that can be had for it: a staircase.
  frontTrace(points, front, colour) {
    const last = Math.max(...points.map((point) => point.x)) * BEYOND;
    const steps = front.length ? [...front, { x: last, y: front.at(-1).y }] : [];
    return {
      mode: "lines", x: steps.map((step) => step.x), y: steps.map((step) => step.y), hoverinfo: "skip",
      line: { color: colour("--quiet"), width: 1.5, dash: "dot", shape: "hv" },
    };
  }

  bitsLayout(side, points, colour) {
    return {
      ...baseLayout(colour, narrowScreen.matches),
      xaxis: this.costAxis(side, points, colour),
      yaxis: {
        ...axisStyle(colour), ticksuffix: `${NARROW_SPACE}%`,
        zeroline: true, zerolinecolor: colour("--rule-strong"),
        title: { text: narrowScreen.matches ? "BD-rate" : `← fewer bits   BD-rate by ${escapeText(this.metric.title)}   more bits →` },
      },
    };
  }

  costAxis(side, points, colour) {
    const { title } = COSTS[this.state.cost];
    const ticks = logTicks(points.map((point) => point.x));
    return { ...axisStyle(colour), type: "log", ...ticks, title: { text: `${SIDES[side]}: ${title}` } };
  }

  describeBits(ranked, fronts, hidden) {
    const { words } = COSTS[this.state.cost];
    const lists = Object.entries(fronts).map(([side, front]) =>
      element("li", {}, `${SIDES[side]}: `, element("strong", {}, listing(front.map((point) => point.codec.name)) || "none")),
    );
    const gone = ranked.filter((one) => one.percent === null);
    const more = hidden ? ` ${hidden} hidden, which the front leaves out too.` : "";
    const of = `BD-rate by ${this.metric.title} against ${this.state.anchor}`;
    const intro = lists.length
      ? `On the front of ${of} and of ${words}, the cheapest first.${more}`
      : `No two codecs that are shown have both ${words} and a ${of}: there is nothing to compare.${hidden ? ` ${hidden} hidden.` : ""}`;
    const missing = gone.map((one) => element("li", {}, `Not drawn: ${nameAndNote(one.codec)}. ${one.why}`));
    return [element("p", {}, intro), element("ul", {}, ...lists, ...missing)];
  }

  // ---------------------------------------------------------------- rate points

  lines(codecs, { points, scores }) {
    const all = points.map((point, index) => ({ ...point, index, score: scores[this.state.metric][index] }));
    return codecs
      .map((codec) => ({ codec, points: all.filter((point) => point.codec === codec.name).sort((a, b) => a.bpp - b.bpp) }))
      .filter((line) => line.points.length);
  }

  drawn(line, side) {
    return line.points
      .map((point) => ({ ...point, x: point.cost[side][this.state.cost], y: point.score?.mean ?? null }))
      .filter((point) => point.x !== null && point.y !== null);
  }

  scoreTrace(line, side, colour) {
    const points = this.drawn(line, side);
    const words = (point) => [
      nameAndNote(line.codec), `${this.metric.title}: ${withUnit(point.score.statistics.mean, this.metric.unit)}`, point.rates.bpp,
      ...Object.keys(SIDES).flatMap((which) => costWords(which, point.cost[which])), point.lines[0],
    ];
    return {
      name: escapeText(nameAndNote(line.codec)),
      mode: "lines+markers",
      x: points.map((point) => point.x),
      y: points.map((point) => point.y),
      ...labels(points.map((point) => point.index), points.map(words)),
      cliponaxis: false,
      ...strokes(line.codec, colour),
    };
  }

  scoreLayout(side, points, colour) {
    const title = `${escapeText(nameAndUnit(this.metric))}   ${this.metric.direction}`;
    return {
      ...baseLayout(colour, narrowScreen.matches),
      xaxis: this.costAxis(side, points, colour),
      yaxis: { ...axisStyle(colour), title: { text: title } },
    };
  }

  describeScores(lines, sequence) {
    const gaps = lines.flatMap((line) =>
      line.points.filter((point) => (point.score?.mean ?? null) === null).map((point) => `${line.codec.name} at ${point.lines[0]}`),
    );
    const missing = gaps.length ? ` Without a score: ${gaps.join("; ")}.` : "";
    return `${this.metric.title} and ${COSTS[this.state.cost].words} of every rate point on ${sequence}, joined from the lowest rate up.${missing}`;
  }
}

onReport((data, state, change) => {
  // One codec alone, or no metric to compare by: tables only.
  if (!byId("cost-controls")) return () => {};
  const complexity = new Complexity(data, state, change);
  return () => complexity.draw();
});
