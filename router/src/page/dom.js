// Making and changing elements: a node is only touched where what it shows has changed.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with attributes and children; strings become text. */
export function make(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function draw(name, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

function dress(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets the text, where it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, where it differs. */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Shows or hides. */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Makes the list's items say these texts. */
export function sayList(list, texts, tag = "li") {
  while (list.children.length > texts.length) list.lastElementChild.remove();
  texts.forEach((text, at) => {
    if (!list.children[at]) list.append(document.createElement(tag));
    say(list.children[at], text);
  });
}

/** Fills a table: `heads` are the columns, `rows` lists of cells; a cell is a text or `{text, className, head}`. */
export function fillTable(table, heads, rows) {
  if (!table.tHead) {
    table.append(make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody"));
  }
  sayList(table.tHead.rows[0], heads, "th");
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, at) => fillRow(body.rows[at] ?? body.insertRow(), cells));
}

function fillRow(row, cells) {
  while (row.cells.length > cells.length) row.deleteCell(-1);
  cells.forEach((value, at) => {
    const { text, className = "", head = at === 0 } = typeof value === "object" ? value : { text: value };
    let cell = row.cells[at];
    if (!cell) {
      cell = head ? make("th", { scope: "row" }) : make("td");
      row.append(cell);
    }
    if (cell.className !== className) cell.className = className;
    say(cell, String(text));
  });
}
