/* A table that the reader sorts: best first, then worst first, then by family again. What needs no
   training stays a group of its own. */

function startSorting() {
  document.querySelectorAll("table.sortable").forEach((table) => {
    const bodies = [...table.tBodies];
    const home = bodies.map((body) => [...body.rows]);
    const heads = [...table.tHead.rows[0].cells];

    function valueOf(row, column) {
      const given = row.cells[column].dataset.sort;
      return column === 0 ? given : given === undefined ? null : Number(given);
    }

    /* Rows without a value stand last in either order. */
    function compare(column, sign) {
      return (a, b) => {
        const x = valueOf(a, column), y = valueOf(b, column);
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (column === 0 ? x.localeCompare(y) : x - y);
      };
    }

    function sort(column, order) {
      heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? order : "none"));
      table.classList.toggle("flat", order !== "none");
      home.forEach((rows, i) => bodies[i].append(...rows));
      if (order === "none") return;
      const by = compare(column, order === "ascending" ? 1 : -1);
      const losses = home.flatMap((rows, i) => (bodies[i].className ? [] : rows.slice(1)));
      bodies[0].append(...losses.sort(by));
      bodies.forEach((body, i) => { if (body.className) body.append(...home[i].slice(1).sort(by)); });
    }

    heads.forEach((head, column) => {
      const words = head.querySelector(".head"), button = document.createElement("button");
      const best = "lowest" in head.dataset ? "ascending" : "descending";
      const worst = best === "ascending" ? "descending" : "ascending";
      button.type = "button";
      button.className = "sorter";
      button.textContent = words.textContent;
      words.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(column, now === "none" ? best : now === best ? worst : "none");
      });
    });
  });
}
