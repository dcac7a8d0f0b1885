/* Reliability: what was said against what was seen, a dot for each group of pairs. */

function drawReliability() {
  const told = numbers.reliability;
  if (!told) return;
  const most = Math.max(...told.pairs, 1);
  const percents = (shares) => shares.map((share) => (share === null ? null : 100 * share));
  /* A group too small for an interval has none drawn. */
  const reach = (ends, sign) => ends.map((end, i) => (end === null ? 0 : 100 * sign * (end - told.observed[i])));
  const bars = told.low && told.high ? {
    type: "data", symmetric: false, thickness: 1.5, width: 4, color: colour("genuine"),
    array: reach(told.high, 1), arrayminus: reach(told.low, -1),
  } : undefined;
  drawInto("reliability", [
    chanceTrace([0, 100], [0, 100]),
    {
      name: "groups", mode: "markers", x: percents(told.probability), y: percents(told.observed), cliponaxis: false,
      marker: { color: colour("genuine"), size: told.pairs.map((pairs) => 7 + 13 * Math.sqrt(pairs / most)) }, error_y: bars,
      text: told.pairs.map((pairs, i) => "said " + percent(told.probability[i]) + ", seen " +
        percent(told.observed[i]) + "<br>" + pairsOf(pairs, "").replace("  ", " ")),
      hovertemplate: "%{text}<extra></extra>",
    },
  ], layoutOf(
    Object.assign(percentAxis("Probability said", [-3, 103]), { dtick: 20 }),
    Object.assign(percentAxis("Genuine among them", [-3, 103]), { dtick: 20 }),
  ));
}
