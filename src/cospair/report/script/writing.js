/* Numbers as the tables write them: never 0 % for what is not 0, nor 100 % for what is not 100 %. */

function percent(share) {
  if (share === null || !Number.isFinite(share)) return "not available";
  if (share === 0 || share === 1) return 100 * share + "\u00a0%";
  const value = 100 * share;
  let places = Math.abs(share) < 0.01 ? 2 : 1;
  let written = fixed(value, places);
  while ((Number(written) === 0 || Number(written) === 100) && places < 12) {
    places += 1;
    written = fixed(value, places);
  }
  return written + "\u00a0%";
}

/* toFixed, but a tie goes to the even digit, as in the tables. Only a multiple of 1 / 2^(places + 1)
   can be a tie: of the others the float itself lies on one side. */
function fixed(value, places) {
  const scale = Math.pow(10, places), below = Math.floor(value * scale);
  const isTie = Number.isInteger(value * Math.pow(2, places + 1)) && value * scale - below === 0.5;
  return isTie && below % 2 === 0 ? (below / scale).toFixed(places) : value.toFixed(places);
}

function score(value, places = 3) {
  return value.toFixed(places).replace("-", "\u2212");
}

function count(number) {
  return number.toLocaleString("en-GB");
}

function pairsOf(number, kind) {
  return count(number) + " " + kind + (number === 1 ? " pair" : " pairs");
}
