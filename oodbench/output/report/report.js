// Sorts a table by the column whose head is clicked: numbers fall, texts rise, and a
// second click turns that round. Rows that name a model keep their places, and rows
// apart stay last.
"use strict";

const NONE = /^(–|failed|)$/;

/** The first word of a cell as a number, marks behind it left out; else NaN. */
function number(text) {
  const word = text.split(" ")[0].replace("−", "-").replace(/[^\d.]+$/, "");
  return word === "" ? NaN : Number(word);
}

/** Which of two cells' texts comes first in rising order; those without a value last. */
function compare(one, other, rising) {
  if (NONE.test(one) || NONE.test(other)) {
    return NONE.test(one) - NONE.test(other);
  }
  const difference = number(one) - number(other);
  const order = Number.isNaN(difference) ? one.localeCompare(other) : difference;
  return rising ? order : -order;
}

function sort(body, column, rising) {
  const text = (row) => row.cells[column].textContent.trim();
  const rows = [...body.rows].filter((row) => !row.querySelector("[scope=rowgroup]"));
  rows.sort(
    (one, other) =>
      one.classList.contains("apart") - other.classList.contains("apart") ||
      compare(text(one), text(other), rising),
  );
  body.append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const cells = [...table.querySelectorAll("tbody tr")].map((row) => row.cells[column]);
      const numeric = cells.some((cell) => cell && !Number.isNaN(number(cell.textContent)));
      const before = head.getAttribute("aria-sort");
      const rising = before ? before === "descending" : !numeric;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      [...table.tBodies].forEach((body) => sort(body, column, rising));
    });
  });
}
