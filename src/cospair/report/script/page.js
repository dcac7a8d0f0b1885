/* The page around the charts: light and dark, paper, and the command to copy. */

/* The dark style's own sheet is switched, so that its colours stand in one place only. */
function startScheme() {
  const sheet = byId("dark"), button = byId("scheme"), asked = sheet.media;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null; /* null follows the reader's system */

  function show() {
    const isDark = chosen === null ? dark.matches : chosen;
    sheet.media = printing ? "not all" : chosen === null ? asked : isDark ? "all" : "not all";
    button.setAttribute("aria-pressed", String(isDark));
    drawAll();
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    chosen = !(chosen === null ? dark.matches : chosen);
    show();
  });
  dark.addEventListener("change", show);
  return show;
}

/* On paper everything folded is open, and the charts are light and as wide as the sheet. */
function startPaper(show) {
  window.addEventListener("beforeprint", () => {
    printing = true;
    document.querySelectorAll("details:not([open])").forEach((fold) => {
      fold.open = true;
      fold.dataset.opened = "";
    });
    show();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    document.querySelectorAll("details[data-opened]").forEach((fold) => {
      fold.open = false;
      delete fold.dataset.opened;
    });
    show();
  });
}

function startCopying() {
  document.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const words = byId(button.dataset.copy);
      const said = (done) => { button.textContent = done ? "Copied" : "Selected"; };
      window.getSelection().selectAllChildren(words);
      if (!navigator.clipboard) return said(document.execCommand("copy"));
      navigator.clipboard.writeText(words.textContent).then(() => said(true), () => said(document.execCommand("copy")));
    });
  });
}
