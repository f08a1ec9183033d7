// Scores and bits of single frames. Its state is in the address beside that of the other pages:
//   #metric=NAME&sequence=NAME&rate=BPP&left=CODEC&right=CODEC&frame=N&scale=log|linear&hide=CODEC...
// `left` and `right` are two codecs side by side; without `left`, all that are not hidden are drawn.
"use strict";

const MOST_MARKS = 12; // on a line of frames: symbols tell lines apart without colour, and are no measured frames

class Timeline {
  constructor(data, list, state, change) {
    Object.assign(this, { data, list, state, change, turn: 0, box: byId("timeline"), form: byId("time-controls"), slider: byId("frame") });
    fillMetrics(this.form.metric, data.metrics.filter((metric) => list.metrics.includes(metric.name)));
    fillNames(this.form.sequence, data.sequences);
    bindForm(this.form, change);
    this.slider.addEventListener("input", () => {
      this.show(Number(this.slider.value));
      Plotly.relayout(this.box, { shapes: this.shapes(theme()) });
    });
    this.slider.addEventListener("change", () => change({ frame: this.slider.value }));
    onMedium(() => this.draw());
  }

  // Keys that the address has for this page, and not for all.
  readOwn() {
    const { state } = this;
    for (const key of ["rate", "left", "right", "frame"]) state[key] = readHash().get(key) ?? "";
  }

  async draw() {
    const turn = ++this.turn;
    const { data, state, list } = this;
    this.readOwn();
    // A metric without scores of single frames, or the mean over sequences, has no place here: the first stands in.
    const metric = list.metrics.includes(state.metric) ? state.metric : list.metrics.includes(data.start) ? data.start : list.metrics[0];
    const sequence = state.sequence === MEAN ? data.sequences[0] : state.sequence;
    const order = data.sequences.indexOf(sequence);
    const [rates, traffic] = await Promise.all([
      loadData(`time-${order}-${list.metrics.indexOf(metric)}`),
      data.pages.includes("traffic.html") ? loadData(`traffic-${order}`) : { rates: [] },
    ]);
    if (turn !== this.turn) return;
    this.metric = data.metrics.find((one) => one.name === metric);
    this.sequence = sequence;
    this.rate = rateOf(rates, rateKey, (one) => one.target, fullest(rates, (one) => one.cells.filter((cell) => !cell.gap).length));
    this.cells = this.rate.cells.map((cell) => ({ ...cell, codec: data.codecs[cell.codec], bits: this.bits(traffic, cell) }));
    this.fill(rates);
    const shown = this.shown();
    this.drawn = shown.filter((cell) => !cell.gap);
    drawLegend(this.cells.map((cell) => cell.codec), state, this.change, "time");
    byId("time-text").textContent = this.describe(shown);
    this.at = this.frames();
    this.pictured = await this.pictures();
    if (turn !== this.turn) return;
    this.slider.max = Math.max(0, ...this.drawn.map((cell) => this.last(cell)));
    const asked = /^\d+$/.test(state.frame) ? Number(state.frame) : this.drawn[0]?.worst[0]?.[0] ?? 0;
    this.show(Math.min(asked, Number(this.slider.max)));
    updateLinks(state);
    await this.plot();
    this.listen();
  }

  bits(traffic, { place, codec }) {
    const { name } = this.data.codecs[codec];
    return traffic.rates[place]?.streams.find((stream) => stream.codec === name)?.bits ?? null;
  }

  fill(rates) {
    const { form, state } = this;
    form.rate.replaceChildren(...rates.map((one) => new Option(one.title, rateKey(one))));
    const names = this.cells.map((cell) => cell.codec.name);
    form.left.replaceChildren(new Option("all that are shown", ""), ...names.map((name) => new Option(name, name)));
    form.right.replaceChildren(new Option("none", ""), ...names.map((name) => new Option(name, name)));
    form.right.disabled = !names.includes(state.left);
    const values = { metric: this.metric.name, sequence: this.sequence, rate: rateKey(this.rate), scale: state.scale };
    for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
    for (const side of ["left", "right"]) form.elements[side].value = names.includes(state[side]) ? state[side] : "";
  }

  shown() {
    const { cells, state } = this;
    const pair = [state.left, state.right].map((name) => cells.find((cell) => cell.codec.name === name));
    if (!pair[0]) return cells.filter((cell) => !state.hide.includes(cell.codec.name));
    return [...new Set(pair.filter(Boolean))];
  }

  frameOf(cell, place) {
    return cell.frames?.[place] ?? place;
  }

  last(cell) {
    return this.frameOf(cell, cell.scores.length - 1);
  }

  // Of each codec the place of every frame among its scores.
  frames() {
    return new Map(this.drawn.map((cell) => [cell, new Map(cell.scores.map((_, place) => [this.frameOf(cell, place), place]))]));
  }

  // ---------------------------------------------------------------- plot

  async plot() {
    const colour = theme();
    const withBits = this.drawn.filter((cell) => cell.bits);
    const scores = this.drawn.map((cell) => this.scoreTrace(cell, colour));
    const bits = withBits.map((cell) => this.bitTrace(cell, colour));
    const linear = this.state.scale === "linear";
    byId("time-scale").hidden = !bits.length;
    const metric = this.metric;
    const layout = {
      ...baseLayout(colour, narrowScreen.matches),
      dragmode: "zoom",
      hovermode: "x unified",
      hoversubplots: "axis",
      shapes: this.shapes(colour),
      xaxis: { ...axisStyle(colour), title: { text: "frame" }, anchor: bits.length ? "y2" : "y" },
      yaxis: { ...axisStyle(colour), title: { text: `${escapeText(nameAndUnit(metric))} ${metric.direction[0]}` }, domain: bits.length ? [0.38, 1] : [0, 1] },
      ...(bits.length
        ? { yaxis2: { ...axisStyle(colour), type: this.state.scale, title: { text: "bits, kbit" }, domain: [0, 0.3], ...(linear ? { rangemode: "tozero" } : { dtick: "D2", tickformat: "~g" }) } }
        : {}),
    };
    await drawPlot(this.box, [...scores, ...bits], layout, PLOT);
  }

  labelled(cell) {
    return { name: escapeText(nameAndNote(cell.codec)), hoverlabel: { namelength: -1 } };
  }

  scoreTrace(cell, colour) {
    const { line, marker } = strokes(cell.codec, colour);
    return {
      ...this.labelled(cell),
      mode: "lines+markers",
      x: cell.scores.map((_, place) => this.frameOf(cell, place)),
      y: cell.scores.map((score) => (typeof score === "number" ? score : null)),
      hovertemplate: `%{y:.${this.metric.decimals}f} ${escapeText(this.metric.unit)}`.trim(),
      line: { ...line, width: 1.5 },
      marker: { ...marker, size: 7, maxdisplayed: MOST_MARKS },
    };
  }

  bitTrace(cell, colour) {
    const { line, marker } = strokes(cell.codec, colour);
    // A logarithmic axis has no place for a frame without bits.
    const has = (bits) => bits || this.state.scale === "linear";
    // A packet of many frames comes at once: between two gaps a line is nothing, and a mark is seen.
    const stands = (bits, place) => has(bits) && !has(cell.bits[place - 1]) && !has(cell.bits[place + 1]);
    return {
      ...this.labelled(cell),
      mode: "lines+markers",
      marker: { ...marker, size: cell.bits.map((bits, place) => (stands(bits, place) ? 7 : 0)) },
      x: cell.bits.map((_, place) => place),
      y: cell.bits.map((bits) => (has(bits) ? bits / 1000 : null)),
      yaxis: "y2",
      hovertemplate: "%{y} kbit",
      line: { ...line, width: 1.5, shape: "hvh" },
    };
  }

  // The score that 95 % of each codec's frames reach, and the frame that is read.
  shapes(colour) {
    const levels = this.drawn
      .filter((cell) => typeof cell.p5 === "number")
      .map((cell) => ({
        type: "line", layer: "below", xref: "paper", yref: "y", x0: 0, x1: 1, y0: cell.p5, y1: cell.p5,
        line: { color: colour(`--c${colourIndex(cell.codec)}`), width: 1, dash: "dash" },
      }));
    const [x0, x1] = [this.reading, this.reading];
    return [...levels, { type: "line", layer: "below", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, line: { color: colour("--quiet"), width: 1.5 } }];
  }

  listen() {
    if (this.box.dataset.linked) return;
    this.box.dataset.linked = "yes";
    this.box.on("plotly_hover", ({ points: [point] }) => this.tabulate(Math.round(point.x)));
    this.box.on("plotly_unhover", () => this.tabulate(this.reading));
    this.box.on("plotly_click", ({ points: [point] }) => this.change({ frame: String(Math.round(point.x)) }));
  }

  // ---------------------------------------------------------------- reading

  // The frame that is read, with its numbers.
  show(frame) {
    this.reading = frame;
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `frame ${frame}: ${this.drawn.map((cell) => this.spoken(cell, frame)).join(", ")}`);
    byId("frame-number").textContent = frame;
    this.tabulate(frame);
  }

  spoken(cell, frame) {
    const bits = cell.bits?.[frame];
    return `${nameAndNote(cell.codec)} ${this.score(cell, frame)}${bits === undefined ? "" : `, ${this.count(bits)} bits`}`;
  }

  score(cell, frame) {
    const place = this.at.get(cell).get(frame);
    if (place === undefined) return cell.thinned ? "not drawn" : "–";
    return this.text(cell.scores[place]);
  }

  // What is not finite has come as text.
  text(score) {
    return typeof score === "number" ? score.toFixed(this.metric.decimals).replace("-", "\u2212") : score ?? "–";
  }

  count(bits) {
    return String(bits).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
  }

  tabulate(frame) {
    const { metric, drawn } = this;
    const table = byId("frame-table");
    const number = (...children) => element("td", { class: "n" }, ...children);
    const head = (text, unit = "") => element("th", { scope: "col", class: "n" }, text, ...(unit ? [element("small", {}, unit)] : []));
    const withBits = drawn.some((cell) => cell.bits);
    byId("frame-caption").textContent = `Frame ${frame} of ${this.sequence} at ${this.rate.title}`;
    table.tHead.replaceChildren(
      element(
        "tr", {}, element("th", { scope: "col" }, "Codec"), head(`${metric.title} ${metric.direction[0]}`, metric.unit),
        ...(withBits ? [head(`Bits sent at ${frame}`)] : []),
        head("Mean", metric.unit), head(`95${NARROW_SPACE}% reach`, metric.unit), element("th", { scope: "col" }, "Worst frames"),
      ),
    );
    table.tBodies[0].replaceChildren(
      ...drawn.map((cell) =>
        element(
          "tr", {}, element("th", { scope: "row" }, markOf(cell.codec), nameAndNote(cell.codec)), number(this.score(cell, frame)),
          ...(withBits ? [number(cell.bits?.[frame] === undefined ? "–" : this.count(cell.bits[frame]))] : []),
          number(this.text(cell.mean)), number(this.text(cell.p5)), element("td", {}, ...this.worst(cell)),
        ),
      ),
    );
  }

  // Worst frames lead to their pictures where there are any, else they are read here.
  worst(cell) {
    return cell.worst.flatMap(([frame, score], index) => {
      const where = { frame: String(frame), sequence: this.sequence, at: "" };
      const pictured = this.pictured(cell, frame);
      const href = pictured ? `frames.html${address(this.state, { ...where, left: cell.codec.name, right: "", rate: pictured })}` : address(this.state, where);
      const link = element("a", { href, class: "keep" }, `${frame} (${this.text(score)})`);
      return index ? [", ", link] : [link];
    });
  }

  // A function that gives the name of the rate at which the frames page has a picture of a codec's frame.
  async pictures() {
    if (!this.data.pages.includes("frames.html")) return () => "";
    const { sequences } = await loadData("frames");
    const order = sequences.indexOf(this.sequence);
    if (order < 0) return () => "";
    const { rates } = await loadData(`frames-${order}`);
    const { target } = this.rate;
    const own = rates.filter((rate) => target !== null && Math.abs(Number.parseFloat(rate.label) / target - 1) < 0.001);
    return (cell, frame) =>
      own.find((rate) => rate.sides.some((side) => side.key === cell.codec.name) && rate.frames.some((one) => one.frame === frame))?.label ?? "";
  }

  describe(shown) {
    const { metric, cells, drawn } = this;
    const names = (some) => some.map((cell) => nameAndNote(cell.codec)).join(", ");
    const hidden = cells.length - shown.length ? ` ${cells.length - shown.length} not shown.` : "";
    const gaps = shown.filter((cell) => cell.gap).map((cell) => `${nameAndNote(cell.codec)}: ${cell.gap}`);
    const without = drawn.filter((cell) => !cell.bits);
    const bits = !drawn.length
      ? ""
      : without.length < drawn.length
        ? " Below, the bits of each frame in the order of transmission: where an encoder reorders frames that is not the order of display, and the bits at a number are not those of the picture of that number." +
          (without.length ? ` Bits of single frames are not known of ${names(without)}.` : "")
        : " Bits of single frames are not known: they come with the metric frame_bits.";
    return (
      `${metric.title} (${metric.direction}) of each frame of ${this.sequence} at ${this.rate.title}: ` +
      `${names(drawn) || "no codec"}.${hidden}${gaps.length ? ` Not drawn: ${gaps.join("; ")}.` : ""}${bits}`
    );
  }
}

onReport((data, state, change) => {
  let timeline = null;
  return async () => {
    timeline ??= new Timeline(data, await loadData("time"), state, change);
    timeline.draw();
  };
});
