/* Draws the two charts from the numbers in the page, in the colours of the style sheet, and draws
   them again when the colour scheme, the FAR axis or the medium (screen, paper) changes. */
(function () {
  "use strict";

  const numbers = JSON.parse(document.getElementById("report-numbers").textContent);
  const root = document.documentElement;
  const config = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: false };
  const PAPER = [620, 330]; /* width and height that fit A4 and Letter inside margins and panel */
  let printing = false;

  function colour(name) {
    return getComputedStyle(root).getPropertyValue("--" + name).trim();
  }

  function percent(share) {
    return Number((100 * share).toPrecision(3)) + "\u00a0%";
  }

  function baseLayout() {
    const axis = {
      color: colour("muted"), gridcolor: colour("grid"), linecolor: colour("line"),
      zeroline: false, fixedrange: true, automargin: true,
    };
    return {
      axis: axis,
      layout: {
        autosize: !printing, width: printing ? PAPER[0] : undefined, height: printing ? PAPER[1] : undefined,
        margin: { l: 54, r: 28, t: 14, b: 48 },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
        showlegend: false, dragmode: false,
        hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("ink") } },
      },
    };
  }

  function title(words) {
    return { text: words, standoff: 8, font: { size: 13 } };
  }

  function show(id, traces, layout) {
    Plotly.react(id, traces, layout, config);
  }

  /* ROC: x and y in per cent. A logarithmic axis has no place for FAR 0, so what lies there is drawn
     at the left edge, half a pair from nothing. */

  function farAxis() {
    const chosen = document.querySelector('input[name="far-axis"]:checked');
    return chosen && chosen.value === "linear" ? "linear" : "log";
  }

  function farPlace(kind) {
    const floor = 0.5 / Math.max(numbers.impostor_pairs || 1, 1);
    return kind === "log" ? (far) => 100 * Math.max(far, floor) : (far) => 100 * far;
  }

  function rocTraces(kind) {
    const place = farPlace(kind);
    const roc = numbers.roc;
    const traces = [chanceTrace(place), {
      name: "ROC", x: roc.far.map(place), y: roc.tar.map((tar) => 100 * tar), mode: "lines",
      /* Between two points of the curve no threshold does better than the left one. */
      line: { color: colour("genuine"), width: 2.5, shape: kind === "log" ? "hv" : "linear" },
      text: roc.far.map((far, i) => hoverText(far, roc.tar[i], roc.threshold[i])),
      hovertemplate: "%{text}<extra></extra>",
    }];
    if (numbers.limits.length) traces.push(limitsTrace(place));
    if (numbers.eer !== null) traces.push(pointTrace("EER", place, numbers.eer, 1 - numbers.eer, "circle-open", "ink"));
    const chosen = numbers.threshold;
    if (chosen && chosen.far !== null && chosen.frr !== null) {
      traces.push(pointTrace("chosen threshold", place, chosen.far, 1 - chosen.frr, "diamond", "chosen"));
    }
    return traces;
  }

  function hoverText(far, tar, threshold) {
    const at = threshold === null ? "" : "<br>threshold " + threshold.toFixed(3);
    return "TAR " + percent(tar) + " at FAR " + percent(far) + at;
  }

  function chanceTrace(place) {
    const fars = Array.from({ length: 61 }, (_, i) => Math.pow(10, -6 + i / 10));
    return {
      name: "guessing", x: fars.map(place), y: fars.map((far) => 100 * far), mode: "lines",
      line: { color: colour("muted"), width: 1.5, dash: "dot" }, hoverinfo: "skip",
    };
  }

  function limitsTrace(place) {
    const rows = numbers.limits;
    const reach = (row, end, sign) => (row.ends ? 100 * sign * (row.ends[end] - row.tar) : 0);
    return {
      name: "TAR at fixed FAR", mode: "markers", x: rows.map((row) => place(row.far)),
      y: rows.map((row) => 100 * row.tar),
      marker: { size: 7, color: colour("genuine") },
      error_y: {
        type: "data", symmetric: false, thickness: 1.5, width: 5, color: colour("genuine"),
        array: rows.map((row) => reach(row, 1, 1)), arrayminus: rows.map((row) => reach(row, 0, -1)),
      },
      text: rows.map((row) => hoverText(row.far, row.tar, null) +
        (row.ends ? "<br>interval " + percent(row.ends[0]) + " to " + percent(row.ends[1]) : "")),
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  function pointTrace(name, place, far, tar, symbol, hue) {
    return {
      name: name, mode: "markers", cliponaxis: false, x: [place(far)], y: [100 * tar],
      marker: { symbol: symbol, size: 13, color: colour(hue), line: { color: colour(symbol === "diamond" ? "surface" : hue), width: 2 } },
      hovertemplate: name + "<br>" + hoverText(far, tar, null) + "<extra></extra>",
    };
  }

  function rocLayout(kind) {
    const base = baseLayout();
    const low = Math.log10(farPlace("log")(0));
    const across = kind === "log"
      ? Object.assign({ type: "log", range: [low, 2] }, farTicks(farPlace("log")(0)))
      : { type: "linear", range: [-1, 101], dtick: 20, ticksuffix: "\u00a0%" };
    return Object.assign(base.layout, {
      hovermode: "closest",
      xaxis: Object.assign({}, base.axis, across, { title: title("FAR: impostor pairs accepted") }),
      yaxis: Object.assign({}, base.axis, { range: [-2, 103], dtick: 20, title: title("TAR: genuine pairs accepted"), ticksuffix: "\u00a0%" }),
    });
  }

  /* Powers of ten, and 0 at the left edge; none so near the edge that the two would touch. */
  function farTicks(floor) {
    const places = [floor], words = ["0"];
    for (let power = -6; power <= 2; power += 1) {
      const place = Math.pow(10, power);
      if (place > 4 * floor) {
        places.push(place);
        words.push(Number(place.toPrecision(1)) + "\u00a0%");
      }
    }
    return { tickmode: "array", tickvals: places, ticktext: words };
  }

  /* Histogram: two step-shaped areas; the impostors' one is hatched, so that the two are told apart
     without colour. */

  function histogramTraces() {
    return [areaTrace("impostor", "/"), areaTrace("genuine", "")];
  }

  function areaTrace(kind, hatch) {
    const edges = numbers.histogram.edges;
    const heights = numbers.histogram[kind];
    const words = heights.map((height, i) =>
      percent(height * (edges[i + 1] - edges[i])) + " of " + kind + " pairs score " +
      edges[i].toFixed(2) + " to " + edges[i + 1].toFixed(2));
    return {
      name: kind, mode: "lines", x: edges, y: heights.concat(heights[heights.length - 1]),
      line: { shape: "hv", color: colour(kind), width: 2 }, fill: "tozeroy",
      fillcolor: colour(kind + "-fill"),
      fillpattern: hatch ? { shape: hatch, fgcolor: colour(kind), bgcolor: colour(kind + "-fill"), size: 7, solidity: 0.18, fillmode: "replace" } : undefined,
      text: words.concat(words[words.length - 1]), hovertemplate: "%{text}<extra></extra>",
    };
  }

  function histogramLayout() {
    const base = baseLayout();
    const chosen = numbers.threshold && numbers.threshold.score;
    const drawn = typeof chosen === "number";
    const range = scoreRange(drawn ? chosen : null);
    return Object.assign(base.layout, {
      hovermode: "closest",
      margin: Object.assign({}, base.layout.margin, { t: drawn ? 52 : 14 }),
      xaxis: Object.assign({}, base.axis, { range: range, title: title("Score") }),
      yaxis: Object.assign({}, base.axis, { rangemode: "tozero", title: title("Density of pairs"), nticks: 6 }),
      shapes: drawn ? [{
        type: "line", x0: chosen, x1: chosen, yref: "paper", y0: 0, y1: 1.08,
        line: { color: colour("chosen"), width: 2.5 },
      }] : [],
      annotations: drawn ? thresholdLabels(chosen) : [],
    });
  }

  /* The part of the score axis where pairs are, with the threshold in it. */
  function scoreRange(chosen) {
    const h = numbers.histogram;
    const used = h.genuine.map((height, i) => height + h.impostor[i] > 0);
    let low = h.edges[Math.max(used.indexOf(true), 0)];
    let high = h.edges[used.lastIndexOf(true) + 1];
    if (chosen !== null) {
      /* Its labels need a quarter of the width on either side. */
      const side = (high - low) / 4;
      low = Math.min(low, chosen - side);
      high = Math.max(high, chosen + side);
    }
    const room = 0.03 * (high - low || 1);
    return [low - room, high + room];
  }

  function thresholdLabels(chosen) {
    const label = (words, anchor, shift, y) => ({
      x: chosen, xref: "x", y: y, yref: "paper", yanchor: "bottom", xanchor: anchor, xshift: shift,
      text: words, showarrow: false, font: { size: 13, color: colour("ink") },
    });
    return [
      label("\u2190 rejected", "right", -8, 1.03),
      label("<b>threshold " + chosen.toFixed(3) + "</b>", "center", 0, 1.09),
      label("accepted \u2192", "left", 8, 1.03),
    ];
  }

  function drawRoc() {
    if (numbers.roc) show("roc-chart", rocTraces(farAxis()), rocLayout(farAxis()));
  }

  function draw() {
    drawRoc();
    if (numbers.histogram) show("scores-chart", histogramTraces(), histogramLayout());
  }

  /* On paper everything folded is open, and the charts are light and as wide as the sheet. */
  function toPaper() {
    printing = true;
    root.dataset.paper = "";
    document.querySelectorAll("details:not([open])").forEach((fold) => {
      fold.open = true;
      fold.dataset.opened = "";
    });
    draw();
  }

  function toScreen() {
    printing = false;
    delete root.dataset.paper;
    document.querySelectorAll("details[data-opened]").forEach((fold) => {
      fold.open = false;
      delete fold.dataset.opened;
    });
    draw();
  }

  document.querySelectorAll('input[name="far-axis"]').forEach((input) => input.addEventListener("change", drawRoc));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", toScreen);
  draw();
})();
