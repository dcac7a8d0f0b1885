/* The report: everything is drawn once, then follows the reader. */

charts.push(drawRoc, drawDet, drawScores, drawCmc, drawReliability, drawOpenSet);
startConsole();
startMistakes();
startMap();
startCopying();
onAxisChange(drawRoc);
const showScheme = startScheme();
startPaper(showScheme);
showScheme();
