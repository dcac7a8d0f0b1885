/* The map: the point nearest to the pointer tells its picture, and its identity stands out. The
   same by keyboard: choose an identity, then go through its pictures. */

const REACH = 40; /* of the drawing's 1000 units: how near the pointer must be */

function startMap() {
  const drawing = byId("map"), given = numbers.map;
  if (!drawing || !given) return;
  const groups = [...drawing.querySelectorAll(".who")];
  const points = groups.flatMap((group) => [...group.children]);
  const places = points.map((point) => [point.x.baseVal.value, point.y.baseVal.value]);
  const names = [...drawing.querySelectorAll(".names text")];
  const choice = byId("map-identity"), strip = byId("map-strip"), tip = byId("map-tip");
  let kept = -1; /* the chosen identity, -1 for all */

  function light(identity) {
    drawing.classList.toggle("lit", identity >= 0);
    [groups, names].forEach((marks) => marks.forEach((mark, i) => mark.classList.toggle("on", i === identity)));
  }

  function tell(i) {
    points.forEach((point, j) => point.classList.toggle("at", j === i));
    light(i < 0 ? kept : given.identity[i]);
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren(...view(given, i), words(i));
    const at = drawing.getScreenCTM(), plane = tip.parentElement.getBoundingClientRect();
    const x = places[i][0] * at.a + at.e - plane.left, y = places[i][1] * at.d + at.f - plane.top;
    const above = y - tip.offsetHeight - 14;
    tip.style.left = Math.min(Math.max(x - tip.offsetWidth / 2, 0), plane.width - tip.offsetWidth) + "px";
    tip.style.top = (above < 0 ? y + 14 : above) + "px";
  }

  function words(i) {
    const told = document.createElement("p"), name = document.createElement("b");
    name.textContent = given.names[given.identity[i]];
    told.append(name, (given.sheet ? " picture " : " row ") + given.row[i]);
    return told;
  }

  function nearest(event) {
    const at = drawing.getScreenCTM();
    const x = (event.clientX - at.e) / at.a, y = (event.clientY - at.f) / at.d;
    const away = places.map((place) => Math.hypot(place[0] - x, place[1] - y));
    const best = away.indexOf(Math.min(...away));
    return away[best] <= REACH ? best : -1;
  }

  function fill() {
    kept = choice.value === "" ? -1 : Number(choice.value);
    strip.replaceChildren(...given.identity.flatMap((identity, i) => (identity === kept ? [entry(i)] : [])));
    tell(-1);
  }

  function entry(i) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", given.names[given.identity[i]] + (given.sheet ? ", picture " : ", row ") + given.row[i]);
    button.append(...(given.sheet ? view(given, i) : [String(given.row[i])]));
    button.addEventListener("focus", () => tell(i));
    button.addEventListener("mouseenter", () => tell(i));
    button.addEventListener("blur", () => tell(-1));
    button.addEventListener("mouseleave", () => tell(-1));
    item.append(button);
    return item;
  }

  drawing.addEventListener("pointermove", (event) => tell(nearest(event)));
  drawing.addEventListener("pointerdown", (event) => tell(nearest(event)));
  drawing.addEventListener("pointerleave", () => tell(-1));
  choice.addEventListener("change", fill);
  byId("map-finder").hidden = false;
}

/* One picture of the sheet. */
function view(given, i) {
  if (!given.sheet) return [];
  const space = "http://www.w3.org/2000/svg", { columns, width, height } = given.sheet;
  const shown = document.createElementNS(space, "svg"), use = document.createElementNS(space, "use");
  const left = (i % columns) * width, top = Math.floor(i / columns) * height;
  shown.setAttribute("viewBox", [left, top, width, height].join(" "));
  shown.style.aspectRatio = width + " / " + height;
  shown.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#sheet");
  shown.append(use);
  return [shown];
}
