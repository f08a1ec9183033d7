// The pictures themselves: up to three of one size, laid over or beside each other, zoomed and moved as one.
"use strict";

const ZOOMS = ["fit", "1", "2", "4", "8"];
const GAP = 8; // between pictures, as in frames.css
const REACH = 24; // how near to the divider a drag takes hold of it, in CSS pixels

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

class Stage {
  // `change` is called with a part of the view when the user moves something: { pan, split }.
  constructor(box, change) {
    this.box = box;
    this.change = change;
    this.stages = [...box.querySelectorAll(".stage")];
    this.divider = box.querySelector(".divider");
    this.view = null;
    box.addEventListener("pointerdown", (event) => this.take(event));
    box.addEventListener("pointermove", (event) => this.drag(event));
    for (const type of ["pointerup", "pointercancel"]) box.addEventListener(type, () => this.release());
    new ResizeObserver(() => this.lay()).observe(box.parentElement);
    // Another screen, or the browser's own zoom, has other pixels.
    addEventListener("resize", () => this.lay());
  }

  // view: { mode, zoom, pan: [x, y], split, gain, shown, faces, width, height, pictures: [left, right, source] }, each
  // picture { src, alt, tag, faces } or null where there is none.
  show(view) {
    this.view = view;
    const { box } = this;
    box.dataset.mode = view.mode;
    box.classList.toggle("faces", view.faces);
    this.stages.forEach((stage, place) => this.fill(stage, view.pictures[place]));
    this.stages[0].classList.toggle("under", view.shown === "right");
    this.stages[1].classList.toggle("under", view.shown !== "right");
    this.lay();
  }

  fill(stage, picture) {
    const [film, tag] = stage.children;
    const image = film.querySelector("img");
    const src = picture?.src ?? "";
    // The picture that is there stays until the next one is: flipping through frames does not flash.
    if (image.getAttribute("src") !== src) {
      if (src) image.src = src;
      else image.removeAttribute("src");
    }
    image.alt = picture?.alt ?? "";
    tag.textContent = picture?.tag ?? "no picture";
    for (const old of film.querySelectorAll(".face")) old.remove();
    for (const [x, y, width, height] of picture?.faces ?? []) {
      const face = element("span", { class: "face" });
      const share = (value, whole) => `${(100 * value) / whole}%`;
      face.style.left = share(x, this.view.width);
      face.style.top = share(y, this.view.height);
      face.style.width = share(width, this.view.width);
      face.style.height = share(height, this.view.height);
      film.append(face);
    }
  }

  // CSS pixels for one sample of the picture: whole pixels of the screen wherever it is not reduced to fit.
  scale(room, tall) {
    const { width, height, zoom } = this.view;
    const ratio = devicePixelRatio || 1;
    if (zoom !== "fit") return Number(zoom) / ratio;
    const most = Math.min(room / width, tall / height);
    const whole = Math.floor(most * ratio + 1e-6);
    return whole >= 1 ? whole / ratio : most;
  }

  lay() {
    const { view, box } = this;
    if (!view) return;
    const beside = { side: 2, three: 3 }[view.mode] ?? 1;
    const columns = narrow.matches ? 1 : beside;
    const style = getComputedStyle(box);
    const inner = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const room = Math.floor((inner - GAP * (columns - 1)) / columns);
    const tall = Math.max(200, 0.75 * innerHeight);
    const scale = this.scale(room, tall);
    const film = [view.width * scale, view.height * scale];
    const stage = [Math.min(room, film[0]), Math.min(tall, film[1])];
    const pixel = (value) => Math.round(value * devicePixelRatio) / devicePixelRatio;
    this.free = film.map((size, axis) => Math.max(0, size - stage[axis]));
    this.size = { film, stage };
    const place = film.map((size, axis) => pixel(-clamp(view.pan[axis] * size - stage[axis] / 2, 0, this.free[axis])));
    box.classList.toggle("zoomed", this.free[0] + this.free[1] > 0.5);
    box.classList.toggle("exact", view.zoom !== "fit" || scale * devicePixelRatio >= 1);
    for (const one of this.stages) {
      one.style.width = `${stage[0]}px`;
      one.style.height = `${stage[1]}px`;
      const [moved] = one.children;
      moved.style.width = `${film[0]}px`;
      moved.style.height = `${film[1]}px`;
      moved.style.transform = `translate(${place[0]}px, ${place[1]}px)`;
    }
    const over = this.stages[1];
    over.style.clipPath = view.mode === "slider" ? `inset(0 0 0 ${view.split}%)` : "";
    box.style.filter = view.mode === "difference" ? `brightness(${view.gain})` : "";
    this.divider.style.left = `${over.offsetLeft + (stage[0] * view.split) / 100}px`;
    this.divider.style.top = `${over.offsetTop}px`;
    this.divider.style.height = `${stage[1]}px`;
  }

  get isZoomed() {
    return this.box.classList.contains("zoomed");
  }

  take(event) {
    if (!this.view || event.button !== 0) return;
    const left = this.stages[1].getBoundingClientRect().left;
    const divider = left + (this.size.stage[0] * this.view.split) / 100;
    const near = Math.abs(event.clientX - divider) <= REACH;
    if (this.view.mode === "slider" && (near || !this.isZoomed)) this.held = { left };
    else if (this.isZoomed) this.held = { from: [event.clientX, event.clientY], pan: this.centre() };
    if (this.held) this.box.setPointerCapture(event.pointerId);
    this.drag(event);
  }

  drag(event) {
    const { held, view } = this;
    if (!held) return;
    if (held.from) {
      const moved = [event.clientX - held.from[0], event.clientY - held.from[1]];
      view.pan = this.bounded(held.pan.map((at, axis) => at - moved[axis] / this.size.film[axis]));
    } else {
      view.split = Math.round(clamp((100 * (event.clientX - held.left)) / this.size.stage[0], 0, 100));
    }
    this.lay();
  }

  release() {
    const { held, view } = this;
    this.held = null;
    if (held) this.change(held.from ? { pan: view.pan } : { split: view.split });
  }

  // The point of the picture in the middle of the stage, in shares of its sides.
  centre() {
    return this.bounded(this.view.pan);
  }

  bounded(pan) {
    return pan.map((at, axis) => {
      const half = Math.min(0.5, this.size.stage[axis] / this.size.film[axis] / 2);
      return clamp(at, half, 1 - half);
    });
  }

  // Moves the picture by an eighth of the stage.
  step(across, down) {
    const moved = [across, down].map((steps, axis) => (steps * this.size.stage[axis]) / this.size.film[axis] / 8);
    this.change({ pan: this.bounded(this.centre().map((at, axis) => at + moved[axis])) });
  }
}

const narrow = matchMedia("(max-width: 40rem)");
