// The BD-rate of every codec on every sequence against whatever anchor is chosen, as a forest plot that is a table: a
// row for each sequence, in it a line for each codec.
"use strict";

const LINE = 15; // height of one codec's line
const MARGIN = { left: 12, right: 78 }; // on the right stand the numbers
const BETWEEN_TICKS = 48;
const BESIDE = 350; // width of the other columns
const [NARROWEST, WIDEST] = [215, 720];
const LINEAR_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const LOG_TICKS = [0, -50, 100, -75, 300, -20, 25, -90, 900, 50, 200, -33, 10, -10, 5, -5, 2, -2, 1, -1, -99, 9900];
const MINUS = "\u2212";

function percentText(value, digits = 1) {
  const size = Math.abs(value).toFixed(digits);
  const sign = Number(size) === 0 ? "" : value < 0 ? MINUS : "+";
  return `${sign}${size}${NARROW_SPACE}%`;
}

const rangeText = (low, high) => `${percentText(low).slice(0, -2)} to ${percentText(high)}`;

// Where a percentage lies on the axis that all rows share. Half the rate is as far from zero as twice on a logarithmic one.
class PercentAxis {
  // Every number has its place on it; ranges at single qualities widen it to twice its length and may go beyond.
  constructor(numbers, ranges, scale, width) {
    // Nothing is below -100 %, which has no place on a logarithmic axis.
    this.to = scale === "log" ? (percent) => Math.log1p(Math.max(percent, -99.9) / 100) : (percent) => percent;
    this.width = width;
    const places = [0, ...numbers].map(this.to);
    const [least, most] = [Math.min(...places), Math.max(...places)];
    const length = most - least || this.to(1);
    const ends = ranges.map(this.to);
    this.low = Math.max(Math.min(least, ...ends), least - length / 2) - 0.03 * length;
    this.high = Math.min(Math.max(most, ...ends), most + length / 2) + 0.03 * length;
    // One tick alone would be no scale: on a narrow axis they stand closer.
    const apart = Math.min(BETWEEN_TICKS, (width - MARGIN.left - MARGIN.right) / 3);
    const step = LINEAR_STEPS.find((one) => this.x(one) - this.x(0) >= apart) ?? LINEAR_STEPS.at(-1);
    const candidates = scale === "log" ? LOG_TICKS : this.multiples(step);
    this.ticks = [];
    for (const tick of candidates) {
      if (this.holds(tick) && this.ticks.every((one) => Math.abs(this.x(one) - this.x(tick)) >= apart)) this.ticks.push(tick);
    }
  }

  multiples(step) {
    const found = [];
    for (let tick = Math.ceil(this.low / step); tick <= this.high / step; tick++) found.push(tick * step);
    return found;
  }

  holds(percent) {
    const place = this.to(percent);
    return this.low <= place && place <= this.high;
  }

  x(percent) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    const place = Math.min(Math.max(this.to(percent), this.low), this.high);
    return Math.round(10 * (MARGIN.left + (inner * (place - this.low)) / (this.high - this.low))) / 10;
  }
}

class Forest {
  constructor(data, facts, state, change) {
    Object.assign(this, { data, state, change, table: byId("forest"), form: byId("forest-controls") });
    this.facts = new Map(facts.map((one) => [one.name, one]));
    fillMetrics(this.form.metric, data.metrics);
    fillNames(this.form.anchor, data.codecs.filter((codec) => codec.compared).map((codec) => codec.name));
    bindForm(this.form, change);
    onMedium(() => this.draw());
  }

  get metric() {
    return this.data.metrics.find((metric) => metric.name === this.state.metric);
  }

  async draw() {
    const { data, state, form } = this;
    // Keys of this page alone are not read with those of all pages.
    state.sort = oneOf("sort", ["given", "name", "bd", "si", "ti"], "given");
    for (const name of ["metric", "anchor", "scale", "sort"]) form.elements[name].value = state[name];
    const anchor = data.codecs.find((codec) => codec.name === state.anchor);
    const wanted = [state.metric, state.anchor].join();
    const { sequences, tests } = await loadData(`each-${data.metrics.indexOf(this.metric)}-${anchor.index}`);
    if (wanted !== [state.metric, state.anchor].join()) return;
    const codecs = tests.map((one) => data.codecs[one.test]);
    drawLegend(codecs, state, this.change, "sequences");
    const shown = tests.filter((one) => !state.hide.includes(data.codecs[one.test].name));
    const axis = this.axis(shown);
    byId("forest-text").textContent = this.describe(shown, tests.length);
    this.table.tHead.replaceChildren(this.head(axis));
    const rows = this.sorted(sequences, shown).map(({ name, place }) => this.row(name, place, shown, axis));
    this.table.tBodies[0].replaceChildren(...rows);
    this.table.tFoot.replaceChildren(this.meanRow(shown, axis));
    updateLinks(state);
  }

  axis(shown) {
    const known = (values) => values.filter((value) => value !== null);
    const numbers = known(shown.flatMap((one) => [...one.percents, one.mean, one.meanLow, one.meanHigh]));
    const ranges = known(shown.flatMap((one) => [...one.lows, ...one.highs]));
    const width = Math.min(Math.max(this.table.parentElement.clientWidth - BESIDE, NARROWEST), WIDEST);
    return new PercentAxis(numbers, ranges, this.state.scale, width);
  }

  describe(shown, all) {
    const hidden = all - shown.length ? ` ${all - shown.length} hidden.` : "";
    return (
      `Bits for the same ${this.metric.title} relative to ${this.state.anchor} on every sequence: negative saves bits. ` +
      `${shown.length} of ${all} codecs.${hidden}`
    );
  }

  sorted(sequences, shown) {
    const rows = sequences.map((name, place) => ({ name, place }));
    const keys = {
      bd: ({ place }) => {
        const known = shown.map((one) => one.percents[place]).filter((value) => value !== null);
        return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
      },
      si: ({ name }) => this.facts.get(name)?.si ?? null,
      ti: ({ name }) => this.facts.get(name)?.ti ?? null,
    };
    const { sort } = this.state;
    if (sort === "name") return rows.sort((a, b) => a.name.localeCompare(b.name));
    const order = this.data.sequences;
    if (sort === "given") return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
    const key = keys[sort];
    // What has no number stands last.
    return rows.sort((a, b) => (key(a) === null) - (key(b) === null) || key(a) - key(b));
  }

  head(axis) {
    const ruler = svgElement("svg", { class: "ruler", width: axis.width, height: 32, viewBox: `0 0 ${axis.width} 32`, "aria-hidden": "true" });
    const zero = axis.x(0);
    if (zero - MARGIN.left > 80) ruler.append(svgElement("text", { x: zero - 5, y: 9, "text-anchor": "end" }, "← fewer bits"));
    if (axis.width - MARGIN.right - zero > 80) ruler.append(svgElement("text", { x: zero + 5, y: 9 }, "more bits →"));
    for (const tick of axis.ticks) {
      const x = axis.x(tick);
      ruler.append(
        svgElement("text", { x, y: 24, "text-anchor": "middle" }, percentText(tick, Number.isInteger(tick) ? 0 : 1)),
        svgElement("line", { x1: x, x2: x, y1: 28, y2: 32 }),
      );
    }
    return element(
      "tr", {},
      element("th", { scope: "col" }, "Sequence"),
      element("th", { scope: "col", class: "drawn" }, element("span", { class: "unseen" }, "BD-rate of each codec"), ruler),
      element("th", { scope: "col", class: "n" }, "SI"),
      element("th", { scope: "col", class: "n" }, "TI"),
    );
  }

  row(name, place, shown, axis) {
    const known = this.facts.get(name);
    const page = this.data.sequences.indexOf(name);
    const lines = shown.map((one) => ({
      codec: this.data.codecs[one.test],
      percent: one.percents[place],
      low: one.lows[place],
      high: one.highs[place],
      floor: one.floors[place],
      unlike: one.unlike[place] ?? "",
      why: one.why[place] ?? "",
    }));
    const head = element("th", { scope: "row" }, page < 0 ? name : element("a", { href: `sequence-${page}.html` }, name));
    if (known) head.append(element("small", {}, known.tags.join(", ")), element("small", {}, known.about));
    const drawn = element("td", { class: "drawn" });
    const held = lines.filter((line) => line.percent !== null);
    if (held.length) drawn.append(this.plot(held, axis, false));
    drawn.append(...this.refusals(lines.filter((line) => line.percent === null)));
    const [si, ti] = known?.information ?? ["–", "–"];
    return element("tr", {}, head, drawn, element("td", { class: "n" }, si), element("td", { class: "n" }, ti));
  }

  meanRow(shown, axis) {
    const lines = shown.map((one) => ({
      codec: this.data.codecs[one.test], percent: one.mean, low: one.meanLow, high: one.meanHigh,
      floor: one.meanFloor, unlike: one.meanUnlike, why: "", held: one.held, of: one.of,
    }));
    const drawn = element("td", { class: "drawn" });
    const held = lines.filter((line) => line.percent !== null);
    if (held.length) drawn.append(this.plot(held, axis, true));
    for (const line of held.filter((one) => one.held < one.of)) {
      drawn.append(element("span", { class: "why" }, `${nameAndNote(line.codec)}: ${line.held} of ${line.of} sequences`));
    }
    for (const { codec } of lines.filter((line) => line.percent === null)) {
      drawn.append(element("span", { class: "why" }, `${nameAndNote(codec)}: refused on every sequence`));
    }
    return element("tr", {}, element("th", { scope: "row" }, "Mean"), drawn, element("td", {}), element("td", {}));
  }

  // Codecs that are refused for one reason stand together.
  refusals(lines) {
    const byReason = new Map();
    for (const { codec, why } of lines) {
      const reason = why || "no points here";
      byReason.set(reason, [...(byReason.get(reason) ?? []), nameAndNote(codec)]);
    }
    return [...byReason].map(([reason, names]) => element("span", { class: "why" }, `${names.join(", ")}: ${reason}`));
  }

  plot(lines, axis, mean) {
    const height = LINE * lines.length;
    const zero = axis.x(0);
    const drawn = lines.map((line, index) => this.line(line, axis, LINE * (index + 0.5), mean));
    return svgElement(
      "svg",
      { width: axis.width, height, viewBox: `0 0 ${axis.width} ${height}`, role: "img", "aria-label": lines.map((line) => this.words(line, mean)).join("; ") },
      svgElement("line", { class: "zero", x1: zero, x2: zero, y1: 0, y2: height }),
      ...drawn,
    );
  }

  line(line, axis, y, mean) {
    const { codec, percent, low, high } = line;
    const x = axis.x(percent);
    const group = svgElement("g", { class: `k${colourIndex(codec)}` }, svgElement("title", {}, this.words(line, mean)));
    if (low !== null && high !== null) {
      const [from, to] = [axis.x(low), axis.x(high)];
      group.append(svgElement("line", { class: "range", x1: from, x2: to, y1: y, y2: y }));
      if (!axis.holds(low)) group.append(svgElement("path", { class: "beyond", d: `M${from} ${y}l6-3.5v7z` }));
      if (!axis.holds(high)) group.append(svgElement("path", { class: "beyond", d: `M${to} ${y}l-6-3.5v7z` }));
    }
    const shape = mean ? "mark2" : `mark${shapeIndex(codec)}`;
    const noisy = line.floor !== null && Math.abs(percent) < line.floor ? "≈ " : "";
    const unlike = line.unlike ? "≠ " : "";
    const caveat = line.why ? " †" : "";
    group.append(
      svgElement("use", { href: `#${shape}`, x, y }),
      svgElement("text", { x: axis.width - 2, y: y + 4, "text-anchor": "end" }, `${unlike}${noisy}${percentText(percent)}${caveat}`),
    );
    return group;
  }

  words({ codec, percent, low, high, floor, unlike, why, held }, mean) {
    const range = low === null ? (mean ? "too few sequences for an interval" : "") : `${mean ? "95 % interval" : "at single qualities"} ${rangeText(low, high)}`;
    const noise = floor === null ? "" : `noise floor ${percentText(floor).replace("+", "")}`;
    const other = unlike ? `not like with like: ${unlike}` : "";
    return [`${nameAndNote(codec)} ${percentText(percent)}`, range, noise, other, why, mean ? `${held} sequences` : ""].filter(Boolean).join(", ");
  }
}

onReport((data, state, change) => {
  // Links of a sequence's own page lead to that sequence.
  const own = document.querySelector("[data-sequence]");
  if (own) {
    return () => {
      state.sequence = own.dataset.sequence;
      updateLinks(state);
    };
  }
  if (!byId("forest")) return () => {};
  let forest = null;
  return async () => {
    forest ??= new Forest(data, await loadData("facts"), state, change);
    forest.draw();
  };
});
