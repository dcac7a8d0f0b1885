/* The pictures of mistakes: hardest first, so the mistakes at a threshold are always the first ones.
   A few that are still judged right follow, dimmed: they are the next to become mistakes. */

const UNFOLDED = 12, NEXT = 4;
const unfolded = { impostor: false, genuine: false };

function showMistakes(point) {
  showKind("impostor", "false match", "false matches", point.accepts, (s) => s >= state.threshold);
  showKind("genuine", "false non-match", "false non-matches", point.rejects, (s) => s < state.threshold);
}

function showKind(kind, one, several, all, isMistake) {
  const list = byId("pairs-" + kind);
  if (!list) return;
  const items = [...list.children];
  const wrong = items.filter((item) => isMistake(Number(item.dataset.score))).length;
  const room = unfolded[kind] ? items.length : UNFOLDED;
  const shown = Math.min(items.length, Math.max(Math.min(wrong, room), Math.min(wrong + NEXT, room)));
  items.forEach((item, i) => {
    const mistake = i < wrong;
    item.hidden = i >= shown;
    item.classList.toggle("dim", !mistake);
    item.querySelector(".decision").textContent =
      (mistake ? "wrongly " : "rightly ") + ((kind === "impostor") === mistake ? "accepted" : "rejected");
  });
  byId("tally-" + kind).textContent = tally(wrong, Math.max(all, wrong), items.length, one, several) +
    (shown > wrong ? " The dimmed ones come next." : "");
  offerRest(kind, Math.min(wrong, items.length) - shown);
}

function tally(wrong, all, listed, one, several) {
  if (!all) return "No " + one + " at this threshold.";
  const words = all === 1 ? "1 " + one : count(all) + " " + several;
  if (wrong < all && wrong === listed) return words + " at this threshold; the hardest " + count(listed) + " are kept here.";
  return words + " at this threshold.";
}

function offerRest(kind, hiddenOnes) {
  const button = document.querySelector('.more[data-kind="' + kind + '"]');
  button.hidden = hiddenOnes <= 0 && !unfolded[kind];
  button.textContent = unfolded[kind] ? "Show fewer" : "Show " + count(hiddenOnes) + " more";
  button.setAttribute("aria-expanded", String(unfolded[kind]));
}

function startMistakes() {
  document.querySelectorAll(".more").forEach((button) => button.addEventListener("click", () => {
    unfolded[button.dataset.kind] = !unfolded[button.dataset.kind];
    showMistakes(current());
  }));
}
