// Small parts of the page that several questions use.

export function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

// A row of a table. All cells have the tag `tag`, but the first cell has the tag `first`.
export function makeRow(tag, texts, first = tag) {
  const row = element("tr");
  row.append(...texts.map((text, at) => element(at ? tag : first, "", text)));
  return row;
}

// A table with a caption. It scrolls if it does not fit into the page.
export function makeTable(title, rows) {
  const table = element("table");
  table.append(element("caption", "", title), ...rows);
  const wide = element("div", "wide");
  wide.tabIndex = 0;
  wide.setAttribute("role", "group");
  wide.setAttribute("aria-label", title);
  wide.append(table);
  return wide;
}

export function makeOption(value, text) {
  const option = element("option", "", text);
  option.value = value;
  return option;
}

// Write a text only if it differs. After each change, the browser lays out the page again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function makeNote(text) {
  return element("p", "soft", text);
}

let made = 0;

// A select with a label: { block, value, set }. options: [[value, text]].
export function makeChoice(text, options, onChange) {
  const block = element("span", "choice");
  const label = element("label", "", text);
  const select = document.createElement("select");
  select.id = label.htmlFor = `choice-${++made}`;
  select.addEventListener("change", onChange);
  block.append(label, " ", select);
  const set = (wanted) => {
    const before = select.value;
    select.replaceChildren(...wanted.map(([value, words]) => makeOption(value, words)));
    if (wanted.some(([value]) => String(value) === before)) select.value = before;
  };
  set(options);
  return {
    block,
    set,
    get value() {
      return select.value;
    },
    set value(to) {
      select.value = to;
    },
  };
}
