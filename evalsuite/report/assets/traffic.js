// Bits over time of one sequence at one rate, and the leaky buckets that they need. Buckets, delays and sentences were made
// in Python, exactly; here sizes are added up and drawn.
"use strict";

const MOST_MARKS = 12; // on a line of frames: symbols tell lines apart without colour, and are no measured points

const CHANNEL = [
  { id: "bucket", place: 1, title: "bucket, kbit" },
  { id: "delay", place: 2, title: "start-up delay, s" },
];

class Traffic {
  constructor(data, state, change) {
    Object.assign(this, { data, state, change, turn: 0 });
    this.form = byId("traffic-controls");
    fillNames(this.form.sequence, data.sequences);
    bindForm(this.form, change);
    this.plots = new LinkedPlots(byId("traffic-plots"), CHANNEL.map(({ id }) => id));
    onMedium(() => this.draw());
  }

  async draw() {
    const turn = ++this.turn;
    const { data, state, form } = this;
    // Of means there is no traffic: the first sequence stands in.
    const sequence = state.sequence === MEAN ? data.sequences[0] : state.sequence;
    const { rates } = await loadData(`traffic-${data.sequences.indexOf(sequence)}`);
    if (turn !== this.turn) return;
    const rate = rateOf(rates, rateKey, (one) => one.target, fullest(rates, (one) => one.streams.length));
    state.rate = readHash().get("rate") ?? "";
    form.rate.replaceChildren(...rates.map((one) => new Option(one.title, rateKey(one))));
    form.rate.value = rateKey(rate);
    form.sequence.value = sequence;
    form.scale.value = state.scale;
    const present = new Set(rates.flatMap((one) => [...one.streams.map((stream) => stream.codec), ...one.without]));
    drawLegend(data.codecs.filter((codec) => present.has(codec.name)), state, this.change, "traffic");
    const shown = rate.streams
      .filter((stream) => !state.hide.includes(stream.codec))
      .map((stream) => ({ ...stream, codec: data.codecs.find((codec) => codec.name === stream.codec) }))
      .sort((a, b) => a.codec.index - b.codec.index);
    byId("traffic-text").replaceChildren(...this.describe(sequence, rate, shown));
    const colour = theme();
    const layout = { ...baseLayout(colour, narrowScreen.matches), dragmode: false };
    for (const [id, traces, axes] of this.overTime(shown, colour)) {
      await drawPlot(byId(id), traces, { ...layout, ...axes }, LINKED);
      if (turn !== this.turn) return;
    }
    for (const [id, traces, axes] of this.overChannel(shown, colour)) {
      await this.plots.draw(byId(id), traces, { ...layout, ...axes });
      if (turn !== this.turn) return;
    }
  }

  // ---------------------------------------------------------------- plots, each with its traces and axes

  overTime(shown, colour) {
    const time = { ...axisStyle(colour), title: { text: "time, s" }, rangemode: "tozero" };
    const each = this.scaled("bits of a frame, kbit", shown.flatMap((stream) => stream.bits), colour);
    const sent = { ...axisStyle(colour), title: { text: "bits sent, kbit" }, rangemode: "tozero" };
    return [
      ["frame-bits", shown.map((stream) => this.frames(stream, colour)), { xaxis: time, yaxis: each }],
      ["sent-bits", shown.flatMap((stream) => this.sent(stream, colour)), { xaxis: time, yaxis: sent }],
    ];
  }

  overChannel(shown, colour) {
    const axis = (title, place) => this.scaled(title, shown.flatMap((stream) => stream.channels.map((one) => one[place])), colour);
    const channel = axis("channel, kbps", 0);
    return CHANNEL.map(({ id, place, title }) => [
      id, shown.flatMap((stream) => this.curve(stream, place, colour)), { xaxis: channel, yaxis: axis(title, place) },
    ]);
  }

  scaled(title, values, colour) {
    const axis = { ...axisStyle(colour), type: this.state.scale, title: { text: title } };
    return { ...axis, ...(this.state.scale === "linear" ? { rangemode: "tozero" } : logTicks(values)) };
  }

  // Each frame's value from its time to that of the next.
  steps(stream, values, words, colour) {
    const { line, marker } = strokes(stream.codec, colour);
    // A mark stands at the beginning of a step, for as many frames as there is room for.
    const every = Math.ceil(values.length / MOST_MARKS);
    const sizes = values.flatMap((_, frame) => [frame % every ? 0 : marker.size, 0]);
    const seconds = (frame) => frame / stream.frameRate;
    const texts = values.map((_, frame) =>
      [nameAndNote(stream.codec), `frame ${frame}, ${seconds(frame).toFixed(2)} s`, words(frame)].map(escapeText).join("<br>"),
    );
    return {
      name: escapeText(nameAndNote(stream.codec)),
      mode: "lines+markers",
      x: values.flatMap((_, frame) => [seconds(frame), seconds(frame + 1)]),
      y: values.flatMap((value) => [value, value]),
      hoverinfo: "text",
      hovertext: texts.flatMap((text) => [text, text]),
      line: { ...line, width: 1.5 },
      marker: { ...marker, size: sizes, opacity: 1 },
    };
  }

  frames(stream, colour) {
    // A logarithmic axis has no place for a frame without bits.
    const values = stream.bits.map((bits) => (bits || this.state.scale === "linear" ? bits / 1000 : null));
    return this.steps(stream, values, (frame) => `${stream.bits[frame].toLocaleString("en-GB")} bits`, colour);
  }

  sent(stream, colour) {
    let total = 0;
    const sums = stream.bits.map((bits) => (total += bits) / 1000);
    const duration = stream.bits.length / stream.frameRate;
    const { line } = strokes(stream.codec, colour);
    return [
      { mode: "lines", x: [0, duration], y: [0, total / 1000], hoverinfo: "skip", line: { ...line, width: 1, dash: "dot" } },
      this.steps(stream, sums, (frame) => `${Math.round(1000 * sums[frame]).toLocaleString("en-GB")} bits so far`, colour),
    ];
  }

  // A line through all samples, and the points where the bucket's curve bends.
  curve(stream, place, colour) {
    const name = nameAndNote(stream.codec);
    const { line, marker } = strokes(stream.codec, colour);
    const along = (samples) => ({ name: escapeText(name), x: samples.map(([rate]) => rate), y: samples.map((one) => one[place]), cliponaxis: false });
    const words = ([rate, size, wait]) => [name, `channel of ${rate} kbps`, `bucket ${size} kbit`, `start after ${wait} s`];
    const indices = stream.knots.map((_, knot) => `${stream.codec.index} ${knot}`);
    return [
      { ...along(stream.channels), mode: "lines", hoverinfo: "skip", line },
      { ...along(stream.knots), mode: "markers", ...labels(indices, stream.knots.map(words)), marker },
    ];
  }

  describe(sequence, rate, shown) {
    const hidden = rate.streams.length - shown.length ? ` ${rate.streams.length - shown.length} hidden.` : "";
    const without = rate.without.length ? ` The bits of single frames are not known of ${listing(rate.without)}.` : "";
    const empty = this.state.scale === "log" && shown.some((stream) => stream.bits.includes(0));
    const gaps = empty ? " Frames without bits are gaps on the logarithmic axis." : "";
    const ends = "Curves over the channel's rate go from the mean rate to that at which the largest frame is gone before the next comes.";
    const items = shown.map(({ codec, said }) => element("li", {}, element("strong", {}, nameAndNote(codec)), `: ${said}`));
    return [
      element("p", {}, `Bits on ${sequence} at ${rate.title}, in the order of transmission.${hidden}${without}${gaps} ${ends}`),
      element("ul", {}, ...items),
    ];
  }
}

onReport((data, state, change) => {
  // A report without the bits of single frames has tables alone.
  if (!byId("traffic-controls")) return () => {};
  const traffic = new Traffic(data, state, change);
  return () => traffic.draw();
});
