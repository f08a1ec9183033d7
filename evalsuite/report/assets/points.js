// Plots whose points can be walked: each plot is one stop of Tab, the arrow keys go from point to point, each point has
// its label as its name, and the same point is marked in every plot that has it.
// The customdata of a trace are {index, name}: what the point is, and its label as one line.
"use strict";

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const LINKED = { responsive: true, displayModeBar: false, doubleClick: false };
const listing = (names) => new Intl.ListFormat("en-GB").format(names);

// How a logarithmic axis is ticked: where it spans little, plotly knows better than 1, 2, 5.
const WIDE = 4;
function logTicks(values) {
  const held = values.filter((value) => value > 0);
  const [low, high] = [held.reduce((a, b) => Math.min(a, b), Infinity), held.reduce((a, b) => Math.max(a, b), 0)];
  return { tickformat: "~g", ...(high > WIDE * low ? { dtick: "D2" } : { nticks: 5 }) };
}

class LinkedPlots {
  constructor(root, ids) {
    this.root = root;
    for (const id of ids) this.listen(byId(id));
  }

  async draw(box, traces, layout) {
    // Of a trace without points plotly draws nothing, and the traces and their groups would not pair.
    await drawPlot(box, traces.filter((trace) => trace.x.length), { ...layout, dragmode: false }, LINKED);
    this.equip(box);
  }

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
    box.on("plotly_hover", ({ points: [point] }) => this.mark(point.customdata?.index));
    box.on("plotly_unhover", () => this.mark(undefined));
  }

  mark(index) {
    for (const path of this.root.querySelectorAll("path.point")) {
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

// The labels of a trace's points, as plotly shows them and as they are read out.
const labels = (indices, lines) => ({
  customdata: indices.map((index, at) => ({ index, name: lines[at].join(", ") })),
  hoverinfo: "text",
  hovertext: lines.map((own) => own.map(escapeText).join("<br>")),
});
