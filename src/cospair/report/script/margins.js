/* Figures and mean scores against the margin, a line for each form of the loss. */

const FORM_LOOKS = [{ hue: "genuine", dash: "solid", symbol: "circle" }, { hue: "impostor", dash: "dash", symbol: "square" }];

/* Bars that reach from a value down and up by the lengths given; the forms stand a little apart. */
function marginLine(form, i, values, down, up, hue, words) {
  const apart = (i ? 1 : -1) * 0.006, look = FORM_LOOKS[i];
  return {
    name: form.form, mode: "lines+markers", x: form.margin.map((margin) => margin + apart), y: values,
    line: { color: colour(hue), width: 2.5, dash: look.dash }, marker: { size: 7, symbol: look.symbol, color: colour(hue) },
    error_y: { type: "data", symmetric: false, array: up, arrayminus: down, thickness: 1.3, width: 3, color: colour(hue) },
    text: form.margin.map((margin, j) => form.form + ", margin " + margin + "<br>" + words(j)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function marginAxis() {
  return { title: title("Margin"), range: [-1.06, 1.0], dtick: 0.25 };
}

function drawMarginFigure(place, key, scale, write, up) {
  const traces = numbers.margins[place].map((form, i) => {
    const values = form[key].map((value) => (value === null ? null : scale * value));
    const reach = (ends, sign) => ends.map((end, j) => (end === null ? 0 : sign * (scale * end - values[j])));
    return marginLine(form, i, values, reach(form[key + "_low"], -1), reach(form[key + "_high"], 1),
      FORM_LOOKS[i].hue, (j) => key.toUpperCase() + " " + write(form[key][j]));
  });
  drawInto("margin-" + key + "-" + place, traces, layoutOf(marginAxis(), up));
}

function drawMeans(place) {
  const traces = numbers.margins[place].flatMap((form, i) => ["genuine", "impostor"].map((kind) =>
    marginLine(form, i, form[kind], form[kind + "_std"], form[kind + "_std"], kind,
      (j) => kind + " pairs " + score(form[kind][j]) + " \u00b1 " + score(form[kind + "_std"][j]))));
  drawInto("margin-scores-" + place, [chanceTrace([-1, 1], [-1, 1]), ...traces], layoutOf(
    marginAxis(), { title: title("Mean score"), range: [-1.05, 1.05], dtick: 0.5 },
  ));
}

function drawMargins() {
  numbers.margins.forEach((forms, place) => {
    if (!forms.some((form) => form.margin.length)) return;
    drawMarginFigure(place, "auc", 1, (value) => value.toFixed(4), { title: title("AUC"), nticks: 7 });
    drawMarginFigure(place, "eer", 100, percent, { title: title("EER"), ticksuffix: "\u00a0%", rangemode: "tozero" });
    drawMeans(place);
  });
}
