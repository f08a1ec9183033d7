// Change of rate over quality, relative to an anchor: what each BD-rate is the mean of. The samples are computed by
// relative.py; here nothing is interpolated.
"use strict";

// Ratios that are round as percentages; what is too many for an axis is thinned to the rows below.
const ROUND = [
  { above: [1, 1.5, 2, 3, 5, 7], below: [0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9] },
  { above: [1, 2, 5], below: [0.1, 0.2, 0.5] },
  { above: [1], below: [0.1] },
];
const MOST_TICKS = 8;
const MARK_EVERY = 6; // samples: symbols tell lines apart without colour, and are no measured points

const LONGEST_NAME = 24; // of the anchor, beside an axis

const shortened = (name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}\u2026` : name);
const ratio = (percent) => Math.max(1 + percent / 100, 1e-9); // a logarithmic axis has no place for nothing

function percentText(percent) {
  const digits = Math.abs(percent) < 99.95 ? 1 : 0;
  const value = Number(percent.toFixed(digits));
  return `${value > 0 ? "+" : ""}${String(value).replace("-", "\u2212")}${NARROW_SPACE}%`;
}

function stepTicks(low, high) {
  const rough = (100 * (high - low)) / (MOST_TICKS - 2);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let n = Math.ceil((100 * (low - 1)) / step); n * step <= 100 * (high - 1); n++) found.push(ratio(n * step));
  return found;
}

function ratioTicks(low, high, scale) {
  if (scale === "linear" || high / low < 2.5) return stepTicks(low, high);
  for (const { above, below } of ROUND) {
    const found = [];
    for (let decade = Math.floor(Math.log10(low)) - 1; decade <= Math.log10(high); decade++) {
      const [own, power] = decade < 0 ? [below, decade + 1] : [above, decade];
      const ticks = own.map((times) => times * 10 ** power);
      found.push(...ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001));
    }
    if (found.length <= MOST_TICKS) return found;
  }
  return [1];
}

class Relative {
  constructor(data, state) {
    this.data = data;
    this.state = state;
    this.box = byId("relative");
    byId("reset-relative").addEventListener("click", () => Plotly.relayout(this.box, { "xaxis.autorange": true }));
    byId("save-relative-svg").addEventListener("click", () => this.save("svg"));
    byId("save-relative-png").addEventListener("click", () => this.save("png"));
  }

  get anchor() {
    const { relativeAnchors } = this.data;
    return relativeAnchors.includes(this.state.anchor) ? this.state.anchor : relativeAnchors[0];
  }

  // The codecs that are compared with the anchor on the chosen sequence, in the report's order.
  lines() {
    const { data, state } = this;
    const own = this.loaded.filter((one) => one.metric === state.metric && one.anchor === this.anchor);
    return data.codecs
      .map((codec) => ({ codec, pair: own.find((one) => one.test === codec.name) }))
      .filter(({ pair }) => pair)
      .map(({ codec, pair }) => ({ codec, unlike: pair.unlike, curve: pair.curve }));
  }

  figure(colour) {
    this.metric = this.data.metrics.find((metric) => metric.name === this.state.metric);
    const all = this.lines();
    const shown = all.filter(({ codec }) => !this.state.hide.includes(codec.name));
    const drawn = shown.filter(({ curve }) => curve.scores);
    return { all, shown, traces: drawn.map((line) => this.trace(line, colour)), layout: this.layout(drawn, colour) };
  }

  trace({ codec, curve, unlike }, colour) {
    const crosses = curve.scores.map((score, at) => curve.percents[at] === 0 && curve.crossings.includes(score));
    const marked = curve.scores.map((_, at) => at % MARK_EVERY === 0 || at === curve.scores.length - 1);
    const { line, marker } = strokes(codec, colour);
    return {
      name: escapeText(nameAndNote(codec)),
      mode: "lines+markers",
      x: curve.scores,
      y: curve.percents.map(ratio),
      hoverinfo: "text",
      hovertext: curve.scores.map((_, at) => this.hoverText(codec, curve, unlike, at, crosses[at])),
      line,
      marker: {
        color: marker.color,
        opacity: 1,
        size: crosses.map((crossing, at) => (crossing ? 13 : marked[at] ? marker.size : 0)),
        symbol: crosses.map((crossing) => (crossing ? "circle-open" : marker.symbol)),
        line: { color: marker.color, width: crosses.map((crossing) => (crossing ? 2.5 : 0)) },
      },
    };
  }

  hoverText(codec, curve, unlike, at, crossing) {
    const score = withUnit(curve.scores[at].toFixed(this.metric.decimals).replace("-", "\u2212"), this.metric.unit);
    const change = crossing ? `crosses ${this.anchor}` : `${percentText(curve.percents[at])} bits against ${this.anchor}`;
    const lines = [nameAndNote(codec), `${this.metric.title} ${score}: ${change}`, curve.said];
    if (unlike) lines.push("\u2260 not like with like");
    return lines.map(escapeText).join("<br>");
  }

  layout(drawn, colour) {
    const { scale } = this.state;
    const ratios = [1, ...drawn.flatMap(({ curve }) => curve.percents.map(ratio))];
    const [low, high] = this.range(Math.min(...ratios), Math.max(...ratios), scale);
    const ticks = ratioTicks(low, high, scale);
    const anchor = this.data.codecs.find((codec) => codec.name === this.anchor);
    const title = `rate against ${escapeText(shortened(this.anchor))}`;
    return {
      ...baseLayout(colour, narrowScreen.matches),
      dragmode: "zoom",
      shapes: [
        {
          type: "line", layer: "between", xref: "paper", yref: "y", x0: 0, x1: 1, y0: 1, y1: 1,
          line: { ...strokes(anchor, colour).line, width: 2 },
        },
      ],
      xaxis: {
        ...axisStyle(colour),
        title: { text: `${escapeText(nameAndUnit(this.metric))}   ${this.metric.direction}` },
      },
      // Ticks are chosen for the whole range: zooming keeps it.
      yaxis: {
        ...axisStyle(colour), type: scale, fixedrange: true,
        title: { text: narrowScreen.matches ? title : `\u2190 fewer bits   ${title}   more bits \u2192` },
        range: scale === "log" ? [Math.log10(low), Math.log10(high)] : [low, high],
        tickvals: ticks, ticktext: ticks.map((tick) => percentText(100 * (tick - 1))),
      },
    };
  }

  // A margin around all lines; where they hardly leave zero the ticks stay readable.
  range(low, high, scale) {
    const [least, most] = [Math.min(low, 0.995), Math.max(high, 1.005)];
    const share = 0.06;
    if (scale === "log") return [least * (least / most) ** share, most * (most / least) ** share];
    return [least - share * (most - least), most + share * (most - least)];
  }

  async draw(colour) {
    const { sequence } = this.state;
    // Nothing is compared by means: an average curve has no BD-rate.
    const loaded = sequence === MEAN ? [] : await loadData(`relative-${this.data.sequences.indexOf(sequence)}`);
    if (sequence !== this.state.sequence) return;
    this.loaded = loaded;
    const select = byId("controls").anchor;
    if (select) select.value = this.anchor;
    const { all, shown, traces, layout } = this.figure(colour);
    byId("relative-text").replaceChildren(...this.describe(all, shown));
    drawPlot(this.box, traces, layout, PLOT);
  }

  describe(all, shown) {
    const { sequence } = this.state;
    if (sequence === MEAN) return [element("p", {}, "Changes of rate are of single sequences: choose one.")];
    const nothing = `Nothing is compared with ${this.anchor} by ${this.metric.title} on ${sequence}.`;
    if (!all.length) return [element("p", {}, nothing)];
    const hidden = all.length - shown.length ? ` ${all.length - shown.length} hidden.` : "";
    const intro =
      `Bits for the same ${this.metric.title} on ${sequence} relative to ${this.anchor}, which is the line at zero. ` +
      `Circles are crossings; BD-rate is the mean over quality.${hidden}`;
    const items = shown.map(({ codec, curve, unlike }) => {
      const mark = unlike ? `\u2260 not like with like: ${unlike}; ` : "";
      return element("li", {}, element("strong", {}, nameAndNote(codec)), `: ${curve.gap ?? `${mark}${curve.said}`}`);
    });
    return [element("p", {}, intro), element("ul", {}, ...items)];
  }

  save(format) {
    const { traces, layout } = this.figure(theme());
    const { metric, sequence } = this.state;
    saveFigure(traces, layout, `${sequence}, relative to ${this.anchor}`, `${metric}-${sequence}-relative`, format);
  }
}
