// Elements, numbers, tables that sort and filter.

const element = (name, attributes, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
};

const byId = (id) => document.getElementById(id);
const known = (x) => typeof x === "number" && Number.isFinite(x);

// Three significant digits and separated thousands, as the other reports have.
const figure = (x) => {
  if (!known(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1000) return Math.round(x).toLocaleString("en-US");
  if (Number.isInteger(x)) return String(x);
  return x.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3);
};
const dollars = (x) => (known(x) ? "$" + figure(x) : "–");
const time = (ms) => (!known(ms) ? "–" : ms >= 1000 ? figure(ms / 1000) + " s" : figure(ms) + " ms");

const distinct = (list) => [...new Set(list.filter((x) => x !== null && x !== undefined))];

// A choice of one of several; `all` adds a first choice that leaves everything in.
const picker = (label, options, all, changed) => {
  const select = element("select", { onchange: () => changed(select.value) });
  if (all) select.append(element("option", { value: "" }, all));
  for (const option of options) select.append(element("option", { value: option }, option));
  return { label: element("label", {}, label, select), select };
};

// A table that sorts by its headings, filters by text and choices, and shows more on request.
//
// columns: {name, of: row => value, show: (value, row) => content, kind: "n" | "wide" | …, about}
// options.said: row => words in place of a row's figures, from the column that options.from names on
const sortableTable = (table, columns, rows, options) => {
  const state = { sort: null, down: false, text: "", choices: new Map(), shown: options.page };
  const textOf = new Map();
  const text = (row) => {
    if (!textOf.has(row)) textOf.set(row, columns.map((c) => c.text ? c.text(row) : c.of(row)).join(" ").toLowerCase());
    return textOf.get(row);
  };
  const matches = (row) =>
    state.text.split(/\s+/).every((word) => text(row).includes(word)) &&
    [...state.choices].every(([choice, value]) => value === "" || String(choice.of(row)) === value);
  const compare = (a, b) => {
    const [x, y] = [state.sort.of(a), state.sort.of(b)];
    const [lacks, other] = [x === null || x === undefined || x === "", y === null || y === undefined || y === ""];
    if (lacks || other) return lacks - other;
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return state.down ? -order : order;
  };
  const heads = columns.map((column) => {
    const button = element("button", {
      type: "button",
      title: column.about,
      onclick: () => {
        [state.down, state.sort] = [state.sort === column && !state.down, column];
        heads.forEach((head) => head.removeAttribute("aria-sort"));
        button.parentElement.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        draw();
      },
    }, column.name);
    return element("th", { class: column.kind === "n" ? "n" : null, scope: "col" }, button);
  });
  const body = element("tbody");
  table.replaceChildren(element("thead", {}, element("tr", {}, heads)), body);
  const draw = () => {
    const found = rows.filter(matches);
    if (state.sort) found.sort(compare);
    const visible = found.slice(0, state.shown);
    body.replaceChildren(...visible.map((row) => {
      // What a row says in place of its figures begins where they would, and takes their room.
      const said = options.said?.(row);
      const told = said ? columns.findIndex((column) => column.name === options.from) : columns.length;
      const cells = columns.slice(0, told).map((column) => {
        const value = column.of(row);
        const content = column.show ? column.show(value, row) : typeof value === "number" ? figure(value) : value;
        return element("td", { class: column.kind }, content ?? "–");
      });
      if (said) cells.push(element("td", { class: "sub", colspan: columns.length - told }, said));
      const line = element("tr", options.pick ? { class: "pick", onclick: () => options.pick(row) } : {}, cells);
      if (options.picked && options.picked(row)) line.classList.add("picked");
      return line;
    }));
    const more = found.length - visible.length;
    options.more.replaceChildren();
    if (more > 0) {
      const show = (n) => () => { state.shown = n; draw(); };
      options.more.append(
        element("button", { type: "button", onclick: show(state.shown + options.page * 2) }, "Show more"),
        `${visible.length.toLocaleString("en-US")} of ${found.length.toLocaleString("en-US")} shown`);
    } else if (found.length < rows.length) {
      options.more.append(`${found.length.toLocaleString("en-US")} of ${rows.length.toLocaleString("en-US")} match`);
    }
  };
  const search = element("input", {
    type: "search", placeholder: "any word", oninput: () => { state.text = search.value.trim().toLowerCase(); draw(); },
  });
  const choices = options.choices.map((choice) => {
    const values = distinct(rows.map(choice.of)).map(String);
    if (values.length < 2) return null;
    return picker(choice.name, values, "all", (value) => { state.choices.set(choice, value); draw(); }).label;
  });
  options.filters.replaceChildren(...choices.filter(Boolean), element("label", {}, "Search", search));
  draw();
  return { draw };
};

// A table that only shows.
const plainTable = (table, heads, rows) => {
  table.replaceChildren(
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { class: head.kind, scope: "col" }, head.name)))),
    element("tbody", {}, rows.map((cells) =>
      element("tr", {}, cells.map((cell, n) => element("td", { class: heads[n].kind }, cell ?? "–"))))));
};
