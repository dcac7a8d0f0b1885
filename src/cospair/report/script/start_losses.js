/* The losses: charts are drawn, tables can be sorted, lines can be picked out. */

charts.push(drawCurves, drawMargins);
startSorting();
startCopying();
const showScheme = startScheme();
startPaper(showScheme);
showScheme();
startCurves();
