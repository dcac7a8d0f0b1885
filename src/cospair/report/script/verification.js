/* The three charts that the threshold moves on. */

function drawRoc() {
  if (!numbers.roc) return;
  const kind = farAxis(), place = farPlace(kind), point = current();
  const traces = [rocChance(place), rocCurve(numbers.roc, place, kind, "ROC", { color: colour("genuine") })];
  if (numbers.limits.length) traces.push(limitsTrace(place));
  if (numbers.eer !== null) traces.push(markerTrace("EER", place(numbers.eer), 100 * (1 - numbers.eer), "circle-open", "ink"));
  traces.push(markerTrace("threshold", place(point.far), 100 * point.tar, "diamond", "chosen"));
  drawInto("roc", traces, rocLayout(kind));
}

function drawDet() {
  const det = numbers.det;
  if (!det) return;
  const low = Math.max(det.x.ends[0], det.y.ends[0]), high = Math.min(det.x.ends[1], det.y.ends[1]);
  const words = numbers.roc.far.map((far, i) =>
    "FAR " + percent(far) + ", FRR " + percent(Math.max(1 - numbers.roc.tar[i], 0)));
  const place = current().index;
  const axis = (side, name) => ({
    range: [side.ends[0] - 0.06, side.ends[1] + 0.06], title: title(name),
    tickmode: "array", tickvals: side.ticks, ticktext: side.words,
  });
  drawInto("det", [
    chanceTrace([low, high], [low, high]),
    {
      name: "DET", x: det.x.at, y: det.y.at, mode: "lines", text: words,
      /* A step, as the rates are: first down, then to the right. */
      line: { color: colour("genuine"), width: 2.5, shape: "hv" }, hovertemplate: "%{text}<extra></extra>",
    },
    markerTrace("threshold", det.x.at[place], det.y.at[place], "diamond", "chosen"),
  ], layoutOf(axis(det.x, "FAR: impostor pairs accepted"), axis(det.y, "FRR: genuine pairs rejected")));
}

/* Histogram: two step-shaped areas; the impostors' one is hatched, so that the two are told apart
   without colour. */

function drawScores() {
  if (!numbers.histogram) return;
  const layout = layoutOf(
    { range: scoreRange(), title: title("Score") },
    { rangemode: "tozero", title: title("Density of pairs"), nticks: 6 },
  );
  layout.margin = Object.assign({}, layout.margin, { t: 52 });
  drawInto("scores", [areaTrace("impostor", "/"), areaTrace("genuine", "")], Object.assign(layout, thresholdLine()));
}

function areaTrace(kind, hatch) {
  const edges = numbers.histogram.edges, heights = numbers.histogram[kind];
  const words = heights.map((height, i) =>
    percent(Math.min(height * (edges[i + 1] - edges[i]), 1)) + " of " + kind + " pairs score " +
    score(edges[i], 2) + " to " + score(edges[i + 1], 2));
  return {
    name: kind, mode: "lines", x: edges, y: heights.concat(heights[heights.length - 1]),
    line: { shape: "hv", color: colour(kind), width: 2 }, fill: "tozeroy",
    fillcolor: colour(kind + "-fill"),
    fillpattern: hatch ? { shape: hatch, fgcolor: colour(kind), bgcolor: colour(kind + "-fill"), size: 7, solidity: 0.18, fillmode: "replace" } : undefined,
    text: words.concat(words[words.length - 1]), hovertemplate: "%{text}<extra></extra>",
  };
}

/* The part of the score axis where pairs are, and where the slider can go. */
function scoreRange() {
  const h = numbers.histogram;
  const used = h.genuine.map((height, i) => height + h.impostor[i] > 0);
  let low = h.edges[Math.max(used.indexOf(true), 0)], high = h.edges[used.lastIndexOf(true) + 1];
  if (numbers.slider) {
    low = Math.min(low, numbers.slider.low);
    high = Math.max(high, numbers.slider.high);
  }
  const room = 0.03 * (high - low || 1);
  return [low - room, high + room];
}

function thresholdLine() {
  const t = state.threshold;
  if (t === null) return { shapes: [], annotations: [] };
  const line = {
    type: "line", x0: t, x1: t, yref: "paper", y0: 0, y1: 1.08,
    line: { color: colour("chosen"), width: 2.5 },
  };
  return { shapes: [line], annotations: thresholdLabels(t) };
}

/* A word on each side of the line, where there is room for it. */
function thresholdLabels(t) {
  const range = scoreRange(), share = (t - range[0]) / (range[1] - range[0]);
  const label = (words, anchor, shift, y) => ({
    x: t, xref: "x", y: y, yref: "paper", yanchor: "bottom", xanchor: anchor, xshift: shift,
    text: words, showarrow: false, font: { size: 13, color: colour("ink") },
  });
  const side = share < 0.22 ? "left" : share > 0.78 ? "right" : "center";
  const found = [label("<b>threshold " + score(t) + "</b>", side, 0, 1.09)];
  if (share > 0.22) found.push(label("\u2190 rejected", "right", -8, 1.03));
  if (share < 0.78) found.push(label("accepted \u2192", "left", 8, 1.03));
  return found;
}

/* Redraw only what the threshold moves. */
function moveThreshold() {
  const point = current();
  if (!point) return;
  moveMarker("roc", "threshold", farPlace(farAxis())(point.far), 100 * point.tar);
  if (numbers.det) moveMarker("det", "threshold", numbers.det.x.at[point.index], numbers.det.y.at[point.index]);
  if (numbers.histogram && byId("scores-chart")) Plotly.relayout(byId("scores-chart"), thresholdLine());
}
