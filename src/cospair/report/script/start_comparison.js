/* The comparison: both curves on one chart. */

function drawBoth() {
  const kind = farAxis(), place = farPlace(kind);
  const looks = [{ color: colour("genuine") }, { color: colour("impostor"), dash: "dash" }];
  const curves = numbers.curves.flatMap((roc, i) =>
    roc ? [rocCurve(roc, place, kind, numbers.names[i], looks[i])] : []);
  if (curves.length) drawInto("roc", [rocChance(place), ...curves], rocLayout(kind));
}

charts.push(drawBoth);
onAxisChange(drawBoth);
startCopying();
const showScheme = startScheme();
startPaper(showScheme);
showScheme();
