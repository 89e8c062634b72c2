"use strict";

// A table is sorted by the buttons that its headers become; without this script it stays as it is.
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function keyOf(item, column) {
  const row = item.rows ? item.rows[0] : item;
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
}

function isMissing(key) {
  return key === "–" || key === "" || Number.isNaN(key);
}

function compare(a, b) {
  const bothNumbers = typeof a === "number" && typeof b === "number";
  return bothNumbers ? a - b : collator.compare(String(a), String(b));
}

// Rows move alone, or as groups where a table has several bodies; what is missing stays last.
function sortBy(table, header) {
  const column = header.cellIndex;
  const first = header.classList.contains("n") ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const several = table.tBodies.length > 1;
  const place = several ? table : table.tBodies[0];
  const items = [...(several ? table.tBodies : place.rows)];
  const keyed = items.map((item) => ({ item, key: keyOf(item, column) }));
  keyed.sort((x, y) => {
    const lacking = isMissing(x.key) - isMissing(y.key);
    return lacking || sign * compare(x.key, y.key);
  });
  place.append(...keyed.map((one) => one.item));
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const said = `${table.caption.textContent.trim()}: sorted by ${header.textContent.trim()}, ${order}`;
  document.getElementById("announcement").textContent = said;
}

function prepare(root) {
  for (const table of root.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
    }
  }
}

prepare(document);
// A page that replaces a part of itself says so.
document.addEventListener("replaced", (event) => prepare(event.target));
