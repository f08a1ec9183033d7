// The frames page. Its state is in the address beside that of the other pages:
//   #sequence=NAME&rate=BPP&frame=N&left=source|CODEC&right=...&mode=slider|side|three|flip|difference&zoom=fit|1|2|4|8
//   &pan=X,Y&split=PERCENT&gain=N&shown=left|right&faces=yes|no
"use strict";

const MODES = ["slider", "side", "three", "flip", "difference"];
const GAINS = ["1", "4", "8", "16", "32"];
const SOURCE = "source";
const OWN = ["rate", "frame", "left", "right", "mode", "zoom", "pan", "split", "gain", "shown", "faces"];

class Frames {
  constructor(list, state, change) {
    // The address is what is drawn from: `change` writes it, and keeps what other pages have there.
    Object.assign(this, { list, state, change });
    this.form = byId("frames-form");
    this.stage = new Stage(byId("stages"), ({ pan, split }) =>
      this.change(pan ? { pan: pan.map((at) => at.toFixed(4)).join() } : { split: String(split) }),
    );
    fillNames(this.form.elements.sequence, list.sequences);
    this.form.addEventListener("change", ({ target }) => {
      const value = target.type === "checkbox" ? (target.checked ? "yes" : "no") : target.value;
      this.change({ [target.name]: value });
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    byId("gain").addEventListener("change", ({ target }) => this.change({ gain: target.value }));
    byId("split").addEventListener("input", ({ target }) => this.change({ split: target.value }));
    byId("flip").addEventListener("click", () => this.flip());
    byId("swap").addEventListener("click", () => this.swap());
    byId("stages").addEventListener("keydown", (event) => this.press(event));
  }

  // Keys that the address has for this page, and not for all: an address that was followed is not the state yet.
  readOwn() {
    for (const key of OWN) this.state[key] = readHash().get(key) ?? "";
  }

  async draw() {
    const { list, state } = this;
    this.readOwn();
    const name = list.sequences.includes(state.sequence) ? state.sequence : list.sequences[0];
    this.wanted = name;
    const shot = await loadData(`frames-${list.sequences.indexOf(name)}`);
    if (this.wanted !== name) return; // another was chosen meanwhile
    this.shot = shot;
    this.view = this.read(shot);
    this.fillForm();
    this.drawStage();
    this.drawScores();
    this.drawClips();
  }

  // What the address says, where it makes sense for this sequence.
  read(shot) {
    // The highest rate is the one that has clips.
    const rate = rateOf(shot.rates, (one) => one.label, (one) => Number.parseFloat(one.label), shot.rates.at(-1));
    const frame = rate.frames.find((one) => String(one.frame) === readHash().get("frame")) ?? rate.frames[0];
    const keys = rate.sides.map((side) => side.key);
    const codecs = keys.filter((key) => key !== SOURCE);
    const pan = (readHash().get("pan") ?? "").split(",").map(Number);
    const split = Number(readHash().get("split") ?? 50);
    const left = oneOf("left", keys, codecs.length > 1 ? codecs[0] : SOURCE);
    return {
      rate,
      frame,
      left,
      // A link names one side: beside it is another codec.
      right: oneOf("right", keys, codecs.find((key) => key !== left) ?? SOURCE),
      mode: oneOf("mode", MODES, "slider"),
      zoom: oneOf("zoom", ZOOMS, "fit"),
      pan: pan.length === 2 && pan.every((at) => at >= 0 && at <= 1) ? pan : [0.5, 0.5],
      split: split >= 0 && split <= 100 ? split : 50,
      gain: oneOf("gain", GAINS, "8"),
      shown: oneOf("shown", ["left", "right"], "left"),
      faces: oneOf("faces", ["yes", "no"], "yes"),
    };
  }

  side(key) {
    const { rate } = this.view;
    const place = rate.sides.findIndex((side) => side.key === key);
    return { ...rate.sides[place], place };
  }

  fillForm() {
    const { form, shot, view } = this;
    const { elements } = form;
    fillNames(elements.rate, shot.rates.map((rate) => rate.label));
    for (const which of ["left", "right"]) {
      elements[which].replaceChildren(...view.rate.sides.map((side) => new Option(side.name, side.key)));
      elements[which].value = view[which];
    }
    elements.sequence.value = shot.name;
    elements.rate.value = view.rate.label;
    elements.faces.checked = view.faces === "yes";
    if (this.offered !== view.rate) {
      const choices = view.rate.frames.map(({ frame, why, score }) => {
        const input = element("input", { type: "radio", name: "frame", value: frame, id: `frame-${frame}` });
        return element("label", {}, input, ` ${frame}: ${why}`, element("small", {}, score));
      });
      byId("frame-choice").replaceChildren(byId("frame-choice").firstElementChild, ...choices);
      this.offered = view.rate; // not made anew each time: the button that has the focus keeps it
    }
    byId(`frame-${view.frame.frame}`).checked = true;
    for (const key of ["mode", "zoom"]) elements[key].value = view[key];
    byId("split").value = view.split;
    byId("gain").value = view.gain;
    document.querySelector(".under-stages").dataset.mode = view.mode;
  }

  picture(key) {
    const { shot, view } = this;
    const side = this.side(key);
    const still = view.frame.stills[side.place];
    if (!still) return null;
    const faces = still.faces.length ? `, ${still.faces.length} face${still.faces.length > 1 ? "s" : ""} found` : "";
    const alt = `${side.name}, ${shot.name}, frame ${view.frame.frame}${faces}`;
    return { src: still.file, alt, tag: side.name, faces: still.faces };
  }

  drawStage() {
    const { shot, view } = this;
    this.stage.show({
      ...view,
      faces: view.faces === "yes",
      width: shot.width,
      height: shot.height,
      pictures: [view.left, view.right, SOURCE].map((key) => this.picture(key)),
    });
    const [left, right] = [this.side(view.left).name, this.side(view.right).name];
    const how = {
      slider: `${left} left of the divider, ${right} right of it`,
      side: `${left} left, ${right} right`,
      three: `${left}, ${right}, and the source`,
      flip: `${view.shown === "right" ? right : left} shown, ${view.shown === "right" ? left : right} after a flip`,
      difference: `difference of ${left} and ${right}, brightened ${view.gain} times: black where they are the same`,
    }[view.mode];
    const { score } = view.frame;
    const faces = shot.noFaces ? ` Faces are not boxed: ${shot.noFaces}.` : "";
    byId("frames-text").textContent =
      `${shot.name}, frame ${view.frame.frame} at ${view.rate.label}: ${how}.${score ? ` ${score}.` : ""} ${shot.converted}.${faces}`;
  }

  drawScores() {
    const { view } = this;
    const sides = [...new Set([view.left, view.right])].map((key) => this.side(key));
    const head = sides.map((side) =>
      element("th", { scope: "col", class: "n" }, ...(side.codec === null ? [] : [markOf({ index: side.codec })]), side.name),
    );
    const row = (name, unit, values) =>
      element(
        "tr", {}, element("th", { scope: "row" }, name, ...(unit ? [element("small", {}, unit)] : [])),
        ...values.map((value) => element("td", { class: "n" }, value ?? "–")),
      );
    const facts = [["Rate", "bpp"], ["Rate", "kbps"], ["q", ""]].map(([name, unit], place) =>
      row(name, unit, sides.map((side) => side.facts[place])),
    );
    const rows = view.frame.scores.map(({ metric, sign, unit, values }) =>
      row(`${metric} ${sign}`, unit, sides.map((side) => values[side.place])),
    );
    const table = element(
      "table", {}, element("caption", {}, `Scores of frame ${view.frame.frame}; rates are of the whole sequence.`),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Metric"), ...head)),
      element("tbody", {}, ...facts, ...rows),
    );
    const box = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores of this frame" }, table);
    byId("frame-scores").replaceChildren(box);
  }

  drawClips() {
    const { view, shot } = this;
    const sides = [...new Set([view.left, view.right])].map((key) => this.side(key));
    const clips = sides.map((side) => [side, view.rate.clips[side.place]]).filter(([, clip]) => clip);
    const key = [shot.name, view.rate.label, ...clips.map(([, clip]) => clip.file)].join();
    if (this.playing === key) return; // what plays goes on
    this.playing = key;
    const box = byId("clips");
    box.replaceChildren();
    if (!clips.length) {
      const moving = shot.rates.find((rate) => rate.clips.some((clip) => clip));
      if (moving && moving !== view.rate) {
        const button = element("button", { type: "button", class: "plain-button" }, moving.label);
        button.addEventListener("click", () => this.change({ rate: moving.label }));
        box.append(element("p", { class: "note" }, "Clips are of ", button));
      }
      return;
    }
    const videos = clips.map(([side, clip]) => {
      const label = `Clip of ${side.name}, ${shot.name}`;
      const video = element("video", { src: clip.file, controls: "", loop: "", playsinline: "", preload: "metadata", "aria-label": label });
      video.muted = true;
      const psnr = clip.psnr ? `, ${clip.psnr} dB (luma) against the stills` : "";
      const caption = `${side.name}, frames ${clip.first} to ${clip.first + clip.frames - 1}${psnr}`;
      box.append(element("figure", {}, video, element("figcaption", {}, caption)));
      return video;
    });
    const button = element("button", { type: "button", class: "plain-button", id: "play" }, "Play");
    playTogether(videos, button);
    const note = "Clips are near-lossless copies in H.264 of 8 bits; the stills above are exact.";
    box.prepend(element("h2", {}, "Clips"), element("p", { class: "note" }, note), element("p", {}, button));
  }

  flip() {
    this.change({ shown: this.view.shown === "left" ? "right" : "left" });
  }

  swap() {
    this.change({ left: this.view.right, right: this.view.left });
  }

  // Keys of the pictures, while they have the focus.
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.view) return;
    const act = this.action(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  action(key) {
    const { view, stage } = this;
    const zoom = (steps) => () => this.change({ zoom: ZOOMS[clamp(ZOOMS.indexOf(view.zoom) + steps, 0, ZOOMS.length - 1)] });
    const frame = (steps) => () => {
      const { frames } = view.rate;
      this.change({ frame: String(frames[clamp(frames.indexOf(view.frame) + steps, 0, frames.length - 1)].frame) });
    };
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (arrow) {
      if (stage.isZoomed) return () => stage.step(...arrow);
      if (view.mode !== "slider" || !arrow[0]) return null; // the page scrolls
      return () => this.change({ split: String(clamp(view.split + 2 * arrow[0], 0, 100)) });
    }
    const flip = view.mode === "flip" ? () => this.flip() : () => this.change({ mode: "flip" });
    const acts = { " ": flip, "+": zoom(1), "=": zoom(1), "-": zoom(-1), "[": frame(-1), "]": frame(1) };
    return { ...acts, 0: () => this.change({ zoom: "fit" }), x: () => this.swap(), X: () => this.swap() }[key] ?? null;
  }
}

// Several clips as one: whichever is played, paused or moved, the others follow.
function playTogether(videos, button) {
  const others = (one) => videos.filter((video) => video !== one);
  const LATE_S = 0.04; // a frame or two: more is seen
  for (const video of videos) {
    video.addEventListener("play", () => {
      for (const other of others(video)) if (other.paused) other.play();
      button.textContent = "Pause";
    });
    video.addEventListener("pause", () => {
      for (const other of others(video)) if (!other.paused) other.pause();
      button.textContent = "Play";
    });
    for (const type of ["seeked", "timeupdate"]) {
      video.addEventListener(type, () => {
        // The first leads while they play; whichever was moved leads while they stand still.
        if (!video.paused && video !== videos[0]) return;
        for (const other of others(video)) {
          if (!other.seeking && Math.abs(other.currentTime - video.currentTime) > LATE_S) other.currentTime = video.currentTime;
        }
      });
    }
  }
  button.addEventListener("click", () => (videos[0].paused ? videos[0].play() : videos[0].pause()));
}

onReport((_, state, change) => {
  let frames = null;
  if (byId("frames-form")) {
    loadData("frames").then((list) => {
      frames = new Frames(list, state, change);
      frames.draw();
    });
  }
  return () => frames?.draw();
});
