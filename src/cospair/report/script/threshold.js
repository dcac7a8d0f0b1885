/* The threshold that the reader moves, and what it decides. A score is accepted from it upwards, so
   its rates are those of the last drawn point whose threshold is not below it. */

const SAY_AFTER_MS = 500;
const state = { threshold: startThreshold() };
let pending = 0, speech = 0;

function startThreshold() {
  if (numbers.stops && numbers.stops.length) return numbers.stops[0].threshold;
  if (!numbers.roc) return null;
  const gaps = numbers.roc.far.map((far, i) => Math.abs(far - 1 + numbers.roc.tar[i]));
  return numbers.roc.threshold[gaps.indexOf(Math.min(...gaps))];
}

function pointAt(threshold) {
  const thresholds = numbers.roc.threshold;
  let low = 0, high = thresholds.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    /* The threshold above every score is written as null. */
    if (thresholds[middle] === null || thresholds[middle] >= threshold) low = middle;
    else high = middle - 1;
  }
  return low;
}

/* Rates and whole counts at the threshold; null where there is no curve. */
function current() {
  if (!numbers.roc) return null;
  const index = state.threshold === null ? 0 : pointAt(state.threshold);
  const far = numbers.roc.far[index], tar = numbers.roc.tar[index];
  const genuine = numbers.genuine_pairs || 0, impostors = numbers.impostor_pairs || 0;
  const accepts = Math.round((far || 0) * impostors), rejects = genuine - Math.round((tar || 0) * genuine);
  const all = genuine + impostors;
  return {
    index: index, far: far, tar: tar, accepts: accepts, rejects: rejects,
    frr: tar === null ? null : genuine ? rejects / genuine : 1 - tar,
    accuracy: all ? (all - accepts - rejects) / all : null,
  };
}

function goTo(threshold, from) {
  if (!Number.isFinite(threshold)) return;
  state.threshold = threshold;
  showThreshold(from);
  if (!pending) {
    pending = requestAnimationFrame(() => {
      pending = 0;
      moveThreshold();
    });
  }
  clearTimeout(speech);
  speech = setTimeout(() => { byId("threshold-said").textContent = inWords(current()); }, SAY_AFTER_MS);
}

function showThreshold(from) {
  const point = current(), t = state.threshold;
  const range = byId("threshold-range"), number = byId("threshold-number");
  if (from !== range) range.value = t;
  if (from !== number) number.value = t.toFixed(places());
  range.setAttribute("aria-valuetext", score(t));
  ["far", "frr", "accuracy"].forEach((name) => { byId("reading-" + name).textContent = percent(point[name]); });
  document.querySelectorAll("[data-stop]").forEach((button) => {
    button.setAttribute("aria-pressed", String(numbers.stops[button.dataset.stop].threshold === t));
  });
  showDecisions(point);
  showMistakes(point);
}

/* As many decimals as the slider's steps have, and no fewer than the page writes elsewhere. */
function places() {
  return Math.min(Math.max(3, Math.ceil(-Math.log10(numbers.slider.step) - 1e-9)), 12);
}

function showDecisions(point) {
  byId("state").textContent = inWords(point);
  const sides = [
    ["genuine", numbers.genuine_pairs, point.rejects, "FRR " + percent(point.frr)],
    ["impostor", numbers.impostor_pairs, point.accepts, "FAR " + percent(point.far)],
  ];
  sides.forEach(([kind, pairs, wrong, rate]) => {
    byId(kind + "-right").textContent = count((pairs || 0) - wrong);
    byId(kind + "-wrong").textContent = count(wrong) + " (" + rate + ")";
    byId(kind + "-wrong").closest("li").style.setProperty("--wrong", pairs ? wrong / pairs : 0);
  });
}

function inWords(point) {
  const genuine = numbers.genuine_pairs || 0, impostors = numbers.impostor_pairs || 0;
  const right = genuine + impostors - point.rejects - point.accepts;
  return "At " + score(state.threshold) + ", " + count(point.accepts) + " of " + pairsOf(impostors, "impostor") +
    " wrongly accepted and " + count(point.rejects) + " of " + pairsOf(genuine, "genuine") +
    " wrongly rejected; " + count(right) + " of " + pairsOf(genuine + impostors, "").replace("  ", " ") + " judged right.";
}

function startConsole() {
  const range = byId("threshold-range"), number = byId("threshold-number");
  if (!range || state.threshold === null) return;
  byId("console").hidden = byId("decisions").hidden = false;
  range.addEventListener("input", () => goTo(Number(range.value), range));
  number.addEventListener("input", () => { if (number.value !== "") goTo(Number(number.value), number); });
  number.addEventListener("change", () => showThreshold(null));
  document.querySelectorAll("[data-stop]").forEach((button) => {
    button.addEventListener("click", () => goTo(numbers.stops[button.dataset.stop].threshold, button));
  });
  showThreshold(null);
}
