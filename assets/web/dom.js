// Elements, numbers, tables.

export function h(tag, props = {}, ...children) {
  const svg = ['svg', 'g', 'path', 'circle', 'rect', 'line', 'text', 'title'].includes(tag);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'value' || key === 'checked') element[key] = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export function number(x, digits = 4) {
  if (x === null || x === undefined) return '–';
  if (typeof x !== 'number') return String(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e15) return x.toLocaleString('en-US');
  return Number(x.toPrecision(digits)).toLocaleString('en-US', { maximumSignificantDigits: digits });
}

const SI = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

export function si(x, unit = '') {
  if (x === null || x === undefined) return '–';
  const found = SI.find(([size]) => Math.abs(x) >= size);
  return found ? `${number(x / found[0], 3)} ${found[1]}${unit}` : `${number(x, 3)} ${unit}`.trim();
}

/** A count of parameters or tokens: 8.03 B. */
export const count = (x) => si(x).replace(' G', ' B').replace(' k', ' K');

const BINARY = [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']];

export function bytes(x) {
  if (x === null || x === undefined) return '–';
  const found = BINARY.find(([size]) => Math.abs(x) >= size);
  return found ? `${number(x / found[0], 3)} ${found[1]}` : `${number(x, 3)} B`;
}

export const words = (name) => name.replaceAll('_', ' ');

/** A table: columns are `{head, of, kind}`; kind is text, words or share. */
export function table(columns, rows, options = {}) {
  const head = h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: c.kind === 'text' || c.kind === 'words' ? 'text' : null, title: c.about }, c.head)));
  const body = rows.map((row, at) => {
    const chosen = options.chosen?.(row, at);
    const pick = options.pick && (() => options.pick(row, at));
    return h('tr', {
      class: [chosen && 'chosen', options.total?.(row) && 'total'].filter(Boolean).join(' ') || null,
      tabindex: pick ? '0' : null, 'aria-selected': pick ? String(Boolean(chosen)) : null,
      onclick: pick, onkeydown: pick && ((e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); pick(); } }),
    }, columns.map((c) => {
      const value = c.of(row, at);
      const cell = h('td', { class: [c.kind, c.mark?.(row, at)].filter(Boolean).join(' ') || null }, value instanceof Node ? value : typeof value === 'number' ? number(value) : value ?? '–');
      if (c.kind === 'share' && c.share) cell.style.setProperty('--share', `${Math.max(0, Math.min(100, c.share(row) ?? 0))}%`);
      return cell;
    }));
  });
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': options.label ?? 'Table' },
    h('table', options.pick ? { role: 'grid' } : {}, h('thead', {}, head), h('tbody', {}, body)));
}

/** Puts a text on the clipboard; false where the browser lets nobody. Pages that come over plain HTTP from another machine
 * have no clipboard of their own: there a selection is copied. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* not over plain HTTP, or not allowed */ }
  const area = h('textarea', { value: text, class: 'unseen', 'aria-hidden': 'true' });
  const focus = document.activeElement;
  document.body.append(area);
  area.select();
  let done = false;
  try { done = document.execCommand('copy'); } catch { /* not allowed */ }
  area.remove();
  focus?.focus({ preventScroll: true });
  return done;
}

/** A button that copies what `text()` says, and says whether it did. */
export function copying(name, text) {
  return h('button', { type: 'button', onclick: async (e) => {
    const done = await copied(text());
    e.target.textContent = done ? 'Copied' : 'Not copied: the browser does not allow it';
    say(done ? 'copied' : 'not copied');
    setTimeout(() => { e.target.textContent = name; }, 4000);
  } }, name);
}

export function say(text) {
  document.getElementById('status').textContent = text;
}

/** Moves the children of one element into another, keeping what is open and where the focus is. */
export function replace(element, ...children) {
  const opened = [...element.querySelectorAll('details[open]')].map((d) => d.dataset.key).filter(Boolean);
  const focus = document.activeElement;
  const key = focus && element.contains(focus) ? focus.dataset?.key ?? focus.closest('[data-key]')?.dataset.key : null;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  for (const d of element.querySelectorAll('details')) if (opened.includes(d.dataset.key)) d.open = true;
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export function fault(error) {
  return h('div', { class: 'fault', role: 'alert' },
    h('div', {}, h('b', {}, error.cause)),
    error.place && h('div', { class: 'soft' }, `at: ${error.place}`),
    error.help && h('div', {}, error.help));
}
