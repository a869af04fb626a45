// @ts-check
// The table of namespaces, and the choice of one of them.

import { element, make, setText, typed } from "./dom.js";
import { bytes, count, exact, namespaceLabel, ratio } from "./format.js";

/** @typedef {import("./api.js").NamespaceFigures} Row */

const SHOWN = 25;
/** What the choice of all is called in the list; no name of a namespace can be taken for it, they come after `=`. */
const ALL = "*";

/** @type {{ title: string, value: (row: Row) => number | string, shown: (row: Row) => string }[]} */
const COLUMNS = [
  { title: "Name", value: (row) => row.name, shown: (row) => namespaceLabel(row.name) },
  { title: "Keys", value: (row) => row.keys, shown: (row) => count(row.keys) },
  { title: "Values", value: (row) => row.unique_values, shown: (row) => count(row.unique_values) },
  { title: "Ratio", value: dedupRatio, shown: (row) => ratio(dedupRatio(row)) },
  { title: "Bytes", value: (row) => row.bytes, shown: (row) => bytes(row.bytes) },
];

let sorted = { column: COLUMNS.length - 1, descending: true };
let everything = false;
/** @type {Row[]} */
let rows = [];
/** Every namespace, as it was when it was last told of: while one is chosen, the server tells of that alone.
 * @type {Map<string, Row>} */
let known = new Map();

/** @param {Row} row */
function dedupRatio(row) {
  return row.unique_values > 0 ? row.keys / row.unique_values : 1;
}

/** Builds the head of the table. @param {(namespace: string | null) => void} chosen called with a choice, `null`: all */
export function makeNamespaces(chosen) {
  COLUMNS.forEach((column, i) => {
    const cell = make("th");
    cell.scope = "col";
    const button = make("button", "", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      // Numbers from the largest on, names from A on; a second click turns it round.
      sorted = { column: i, descending: sorted.column === i ? !sorted.descending : i !== 0 };
      draw();
    });
    cell.append(button);
    element("namespaces-head").append(cell);
  });
  element("namespaces-more").addEventListener("click", () => {
    everything = !everything;
    draw();
  });
  const select = typed("namespace", HTMLSelectElement);
  select.addEventListener("change", () => chosen(select.value === ALL ? null : select.value.slice(1)));
}

/** @param {Row[]} namespaces @param {boolean} all whether these are all of them */
export function showNamespaces(namespaces, all) {
  rows = namespaces;
  draw();
  known = new Map([...(all ? [] : known), ...namespaces.map((row) => /** @type {const} */ ([row.name, row]))]);
  fillChoice(typed("namespace", HTMLSelectElement), knownNamespaces(), true);
}

/** Every namespace that is known of, by name. */
export const knownNamespaces = () => [...known.values()].sort((a, b) => byName(a.name, b.name));

/** @param {string} a @param {string} b */
const byName = (a, b) => a.localeCompare(b, "en", { numeric: true });

/** Offers namespaces. What was chosen stays chosen; if it is gone, it stays to be seen.
 * @param {HTMLSelectElement} select @param {Row[]} offered @param {boolean} all whether all may be chosen */
export function fillChoice(select, offered, all) {
  const wanted = [...(all ? [ALL] : []), ...offered.map((row) => `=${row.name}`)];
  const chosen = select.value;
  if (chosen && !wanted.includes(chosen)) wanted.push(chosen);
  const present = [...select.options].map((option) => option.value);
  if (present.length === wanted.length && present.every((value, i) => value === wanted[i])) return;
  select.replaceChildren(
    ...wanted.map((value) => {
      const option = make("option", "", value === ALL ? "All" : namespaceLabel(value.slice(1)));
      option.value = value;
      return option;
    }),
  );
  if (chosen) select.value = chosen;
}

function draw() {
  const { column, descending } = sorted;
  const value = COLUMNS[column]?.value ?? dedupRatio;
  const order = [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    const difference =
      typeof left === "number" && typeof right === "number" ? left - right : byName(String(left), String(right));
    return (descending ? -difference : difference) || byName(a.name, b.name);
  });
  const shown = everything ? order : order.slice(0, SHOWN);
  const largest = Math.max(...rows.map((row) => row.bytes), 1);
  [...element("namespaces-head").children].forEach((cell, i) => {
    if (i === column) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  const body = element("namespaces-body");
  while (body.childElementCount > shown.length) body.lastElementChild?.remove();
  while (body.childElementCount < shown.length) body.append(emptyRow());
  shown.forEach((row, i) => {
    const line = body.children[i];
    if (line) fillRow(line, row, largest);
  });
  setText(element("namespaces-count"), rows.length > 1 ? exact(rows.length) : "");
  const more = element("namespaces-more");
  more.hidden = rows.length <= SHOWN;
  setText(more, everything ? `Show ${SHOWN}` : `Show all ${exact(rows.length)}`);
}

function emptyRow() {
  const line = make("tr");
  COLUMNS.forEach((_, i) => {
    const cell = make(i === 0 ? "th" : "td", i === 0 ? "name" : "");
    if (i === 0) cell.setAttribute("scope", "row");
    cell.append(make("span"));
    if (i === COLUMNS.length - 1) cell.append(make("span", "meter"));
    line.append(cell);
  });
  return line;
}

/** @param {Element} line @param {Row} row @param {number} largest */
function fillRow(line, row, largest) {
  COLUMNS.forEach((column, i) => {
    const [text, meter] = line.children[i]?.children ?? [];
    if (text) setText(text, column.shown(row));
    if (i === 0 && text instanceof HTMLElement) text.title = row.name;
    if (meter instanceof HTMLElement) meter.style.setProperty("--part", String(row.bytes / largest));
  });
}
