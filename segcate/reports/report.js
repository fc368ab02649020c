"use strict";
// Headings become buttons that sort their table: numbers as numbers, cells without a value last.
for (const table of document.querySelectorAll(".wide-table table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      const numeric = head.dataset.sort === "number";
      const key = row => {
        const cell = row.cells[column];
        if (!numeric) return cell.textContent;
        return "key" in cell.dataset ? Number(cell.dataset.key) : NaN;
      };
      const compare = (a, b) => {
        if (!numeric) return (rising ? 1 : -1) * a.localeCompare(b, undefined, { numeric: true });
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return a === b ? 0 : (rising ? 1 : -1) * (a < b ? -1 : 1);
      };
      const rows = [...body.rows].map(row => [key(row), row]);
      rows.sort((one, other) => compare(one[0], other[0]));
      body.append(...rows.map(pair => pair[1]));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    });
  });
}
// The contents are open where they stand beside the page.
const contents = document.querySelector("nav details");
if (contents && matchMedia("(min-width: 72rem)").matches) contents.open = true;
// Everything is open on paper.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach(folded => {
    folded.open = true;
    folded.dataset.folded = "";
  });
});
addEventListener("afterprint", () => {
  document.querySelectorAll("details[data-folded]").forEach(folded => {
    folded.open = false;
    delete folded.dataset.folded;
  });
});
