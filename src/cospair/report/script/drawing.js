/* What every chart shares: colours of the style sheet, axes, and redrawing for screen and paper. */

const numbers = JSON.parse(document.getElementById("report-numbers").textContent);
const root = document.documentElement;
const config = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: false };
const PAPER = [620, 330]; /* width and height that fit A4 and Letter inside margins and panel */
const charts = []; /* one function a chart: it draws from scratch */
let printing = false;

function byId(id) {
  return document.getElementById(id);
}

function colour(name) {
  return getComputedStyle(root).getPropertyValue("--" + name).trim();
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
      showlegend: false, dragmode: false, hovermode: "closest",
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("ink") } },
    },
  };
}

function layoutOf(across, up) {
  const base = baseLayout();
  return Object.assign(base.layout, {
    xaxis: Object.assign({}, base.axis, across), yaxis: Object.assign({}, base.axis, up),
  });
}

function title(words) {
  return { text: words, standoff: 8, font: { size: 13 } };
}

function percentAxis(words, range) {
  return { range: range, title: title(words), ticksuffix: "\u00a0%" };
}

function markerTrace(name, x, y, symbol, hue) {
  const edge = colour(symbol === "diamond" ? "surface" : hue);
  return {
    name: name, mode: "markers", cliponaxis: false, x: [x], y: [y],
    marker: { symbol: symbol, size: 13, color: colour(hue), line: { color: edge, width: 2 } },
    hoverinfo: "skip",
  };
}

function chanceTrace(x, y) {
  return {
    name: "guessing", x: x, y: y, mode: "lines", hoverinfo: "skip",
    line: { color: colour("muted"), width: 1.5, dash: "dot" },
  };
}

function drawInto(name, traces, layout) {
  const place = byId(name + "-chart");
  if (place) Plotly.react(place, traces, layout, config);
}

/* Move the one marker of a chart that has this name. */
function moveMarker(chart, name, x, y) {
  const place = byId(chart + "-chart");
  const index = place && place.data ? place.data.findIndex((trace) => trace.name === name) : -1;
  if (index >= 0) Plotly.restyle(place, { x: [[x]], y: [[y]] }, [index]);
}

function drawAll() {
  charts.forEach((draw) => draw());
}
