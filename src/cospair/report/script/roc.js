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

function rocHover(far, tar, threshold) {
  const at = threshold === null ? "" : "<br>threshold " + score(threshold);
  return "TAR " + percent(tar) + " at FAR " + percent(far) + at;
}

function rocCurve(roc, place, kind, name, look) {
  return {
    name: name, x: roc.far.map(place), y: roc.tar.map((tar) => 100 * tar), mode: "lines",
    /* Between two points of the curve no threshold does better than the left one. */
    line: Object.assign({ width: 2.5, shape: kind === "log" ? "hv" : "linear" }, look),
    text: roc.far.map((far, i) => rocHover(far, roc.tar[i], roc.threshold[i])),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function rocChance(place) {
  const fars = Array.from({ length: 61 }, (_, i) => Math.pow(10, -6 + i / 10));
  return chanceTrace(fars.map(place), fars.map((far) => 100 * far));
}

function limitsTrace(place) {
  const rows = numbers.limits;
  const reach = (row, end, sign) => (row.ends ? 100 * sign * (row.ends[end] - row.tar) : 0);
  return {
    name: "TAR at fixed FAR", mode: "markers", x: rows.map((row) => place(row.far)),
    y: rows.map((row) => 100 * row.tar), marker: { size: 7, color: colour("genuine") },
    error_y: {
      type: "data", symmetric: false, thickness: 1.5, width: 5, color: colour("genuine"),
      array: rows.map((row) => reach(row, 1, 1)), arrayminus: rows.map((row) => reach(row, 0, -1)),
    },
    text: rows.map((row) => rocHover(row.far, row.tar, null) +
      (row.ends ? "<br>interval " + percent(row.ends[0]) + " to " + percent(row.ends[1]) : "")),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function rocLayout(kind) {
  const low = farPlace("log")(0);
  const across = kind === "log"
    ? Object.assign({ type: "log", range: [Math.log10(low), 2] }, farTicks(low))
    : { type: "linear", range: [-1, 101], dtick: 20, ticksuffix: "\u00a0%" };
  return layoutOf(
    Object.assign(across, { title: title("FAR: impostor pairs accepted") }),
    Object.assign(percentAxis("TAR: genuine pairs accepted", [-2, 103]), { dtick: 20 }),
  );
}

/* Powers of ten, and 0 at the left edge; none so near the edge that the two would touch. */
function farTicks(floor) {
  const places = [floor], words = ["0"];
  for (let power = -8; power <= 2; power += 1) {
    const place = Math.pow(10, power);
    if (place > 4 * floor) {
      places.push(place);
      words.push(Number(place.toPrecision(1)) + "\u00a0%");
    }
  }
  /* Six decades and more have room for every other one. */
  const kept = (_, i) => i === 0 || places.length < 7 || (places.length - 1 - i) % 2 === 0;
  return { tickmode: "array", tickvals: places.filter(kept), ticktext: words.filter(kept) };
}

function onAxisChange(draw) {
  document.querySelectorAll('input[name="far-axis"]').forEach((input) => input.addEventListener("change", draw));
}
