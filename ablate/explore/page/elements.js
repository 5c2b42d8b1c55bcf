// Small parts of the page that several questions use.

export function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
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
    select.replaceChildren(
      ...wanted.map(([value, words]) => {
        const option = document.createElement("option");
        [option.value, option.textContent] = [value, words];
        return option;
      }),
    );
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
