/* CMC: the share of queries that have found their identity by rank k. */

function drawCmc() {
  const shares = numbers.cmc;
  if (!shares) return;
  const low = Math.max(0, Math.floor(Math.min(...shares) * 20 - 0.5) * 5);
  drawInto("cmc", [{
    name: "CMC", mode: shares.length > 20 ? "lines" : "lines+markers",
    x: shares.map((_, i) => i + 1), y: shares.map((share) => 100 * share),
    line: { color: colour("genuine"), width: 2.5, shape: "hv" }, marker: { size: 6, color: colour("genuine") },
    text: shares.map((share, i) => percent(share) + " within rank " + (i + 1)), hovertemplate: "%{text}<extra></extra>",
  }], layoutOf(
    { range: [0.5, shares.length + 0.5], title: title("Rank k"), nticks: 8 },
    percentAxis("Queries found by then", [low, 100 + (100 - low) * 0.04]),
  ));
}
