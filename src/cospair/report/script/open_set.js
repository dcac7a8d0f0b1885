/* Open set: the enrolled that are found against the others that raise a false alarm. */

function drawOpenSet() {
  const drawn = numbers.open_set;
  if (!drawn) return;
  const floor = 0.5 / Math.max(drawn.unmated || 1, 1);
  const place = (rate) => 100 * Math.max(rate, floor);
  const dashes = ["solid", "dash", "dot"];
  const traces = drawn.dir.map((shares, i) => ({
    name: "rank " + drawn.ranks[i], mode: "lines", x: drawn.false_alarm.map(place), y: shares.map((share) => 100 * share),
    line: { color: colour(i ? "ink" : "genuine"), width: 2.5, shape: "hv", dash: dashes[i] },
    text: shares.map((share, j) => "rank " + drawn.ranks[i] + ": " + percent(share) +
      " found<br>at " + percent(drawn.false_alarm[j]) + " false alarms"),
    hovertemplate: "%{text}<extra></extra>",
  }));
  drawInto("open-set", traces, layoutOf(
    Object.assign({ type: "log", range: [Math.log10(100 * floor), 2], title: title("False alarms: others accepted") }, farTicks(100 * floor)),
    Object.assign(percentAxis("DIR: enrolled found", [-2, 103]), { dtick: 20 }),
  ));
}
