/* Learning curves: a line a loss; the one pointed at stands out and the others step back. */

function drawCurves() {
  numbers.curves.forEach((lines, place) => {
    if (!lines.length) return;
    const traces = lines.map((line) => ({
      name: line.name, mode: "lines+markers", x: line.pictures, y: line.auc, opacity: 1,
      line: { color: colour("hue-" + line.hue), width: line.hue ? 2 : 3.5, dash: line.dash ? line.dash.split(" ").join("px,") + "px" : "solid" },
      marker: { size: line.hue ? 4 : 6, color: colour("hue-" + line.hue) },
      text: line.pictures.map((seen, i) => line.name + "<br>AUC " + line.auc[i].toFixed(4) + " after " + count(seen) + " pictures"),
      hovertemplate: "%{text}<extra></extra>",
    }));
    drawInto("curves-" + place, traces, layoutOf(
      { title: title("Pictures seen"), rangemode: "tozero", nticks: 8 }, { title: title("AUC on unseen people"), nticks: 7 },
    ));
  });
}

function startCurves() {
  numbers.curves.forEach((lines, place) => {
    const chart = byId("curves-" + place + "-chart"), keys = byId("curves-" + place + "-keys");
    if (!chart || !keys) return;
    const buttons = [...keys.querySelectorAll("button")];
    let lit = -1;

    function light(line) {
      if (line === lit) return;
      lit = line;
      buttons.forEach((button, i) => button.classList.toggle("on", i === line));
      Plotly.restyle(chart, { opacity: lines.map((_, i) => (line < 0 || i === line ? 1 : 0.13)) });
    }

    buttons.forEach((button, i) => {
      ["mouseenter", "focus"].forEach((event) => button.addEventListener(event, () => light(i)));
      ["mouseleave", "blur"].forEach((event) => button.addEventListener(event, () => light(-1)));
    });
    chart.on("plotly_hover", (event) => light(event.points[0].curveNumber));
    chart.on("plotly_unhover", () => light(-1));
  });
}
