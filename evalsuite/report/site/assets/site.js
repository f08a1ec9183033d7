// Tables are complete without scripts; this makes their columns sortable.
"use strict";

function valueOf(row, column, kind) {
  const cell = row.cells[column];
  const told = ((kind === "number" ? cell.dataset.value : undefined) ?? cell.textContent).trim();
  return kind === "number" && told !== "" ? Number(told) : told;
}

function sortBy(table, header, kind) {
  const column = header.cellIndex;
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((a, b) => {
    const x = valueOf(a, column, kind);
    const y = valueOf(b, column, kind);
    // What has no value stands last, whichever way the others go.
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = kind === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
    return down ? -order : order;
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(table, header, header.dataset.sort));
  }
}
