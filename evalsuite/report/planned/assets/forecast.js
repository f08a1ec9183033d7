// Bandwidth and token rate by hour. All numbers are in the tables of the page too.
"use strict";

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

// Two lines for each codec: the p99, and its mean, dotted.
function hourTraces(codecs, figure, unit, colour) {
  return codecs.filter((codec) => codec[figure]).flatMap((codec) =>
    ["p99", "mean"].map((statistic) => {
      const { line, marker } = strokes(codec, colour);
      const main = statistic === "p99";
      return {
        name: `${escapeText(codec.name)} ${statistic}`,
        legendgroup: escapeText(codec.name),
        mode: main ? "lines+markers" : "lines",
        x: HOURS,
        y: codec[figure][statistic],
        hovertemplate: `%{y:.4~g} ${unit}`,
        hoverlabel: { namelength: -1 },
        line: main ? line : { ...line, width: 1.5, dash: "dot" },
        ...(main ? { marker } : {}),
      };
    }),
  );
}

function hourLayout(unit, colour) {
  return {
    ...baseLayout(colour, narrowScreen.matches),
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" },
    margin: { l: 12, r: 16, t: 12, b: 72 },
    hovermode: "x unified",
    xaxis: { ...axisStyle(colour), title: { text: "hour" }, range: [-0.5, 23.5], dtick: narrowScreen.matches ? 6 : 3 },
    yaxis: { ...axisStyle(colour), title: { text: unit }, rangemode: "tozero" },
  };
}

document.addEventListener("DOMContentLoaded", async () => {
  const { codecs, unit, tokenUnit } = await loadData("forecast");
  const draw = async () => {
    const colour = theme();
    for (const [id, figure, said] of [["bandwidth", "rate", unit], ["tokens", "tokens", tokenUnit]]) {
      if (byId(id)) await Plotly.react(byId(id), hourTraces(codecs, figure, said, colour), hourLayout(said, colour), PLOT);
    }
  };
  onMedium(draw);
  await draw();
});
