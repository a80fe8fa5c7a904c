// Answers as files: CSV, JSON, an image, a page of its own.

import { copying, h, say } from './dom.js';

function save(name, type, data) {
  const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  const a = h('a', { href: url, download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  say(`${name} is saved`);
}

const flat = (row, before = '') =>
  Object.entries(row).flatMap(([key, value]) =>
    value && typeof value === 'object' && !Array.isArray(value) ? flat(value, `${before}${key}_`) : [[before + key, value]]);

export function csv(rows) {
  const all = rows.map((row) => Object.fromEntries(flat(row)));
  const names = [...new Set(all.flatMap((row) => Object.keys(row)))];
  const cell = (v) => {
    let text = v === null || v === undefined ? '' : Array.isArray(v) ? v.join(' ') : String(v);
    // A text that a spreadsheet would take for a formula stays a text.
    if (typeof v !== 'number' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names.join(','), ...all.map((row) => names.map((n) => cell(row[n])).join(','))].join('\n') + '\n';
}

async function styles() {
  const response = await fetch(document.querySelector('link[rel=stylesheet]').href);
  return response.text();
}

async function image(svg, name) {
  const copy = svg.cloneNode(true);
  const [, , w, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  copy.setAttribute('width', w * 2);
  copy.setAttribute('height', height * 2);
  copy.setAttribute('data-theme', document.documentElement.dataset.theme);
  // Colours and lines as they are seen: an image has no stylesheet beside it.
  const theirs = copy.querySelectorAll('*');
  svg.querySelectorAll('*').forEach((element, i) => {
    const seen = getComputedStyle(element);
    for (const key of ['fill', 'stroke', 'opacity', 'stroke-width', 'font-size', 'font-family']) theirs[i].setAttribute(key, seen.getPropertyValue(key));
  });
  const ground = getComputedStyle(document.body).backgroundColor;
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: 'image/svg+xml' }));
  const img = new Image();
  img.src = url;
  await img.decode();
  const canvas = h('canvas', { width: w * 2, height: height * 2 });
  const context = canvas.getContext('2d');
  context.fillStyle = ground;
  context.fillRect(0, 0, w * 2, height * 2);
  context.drawImage(img, 0, 0);
  URL.revokeObjectURL(url);
  canvas.toBlob((blob) => save(name, 'image/png', blob));
}

async function page(element, name, asked) {
  const copy = element.cloneNode(true);
  // What only asks further, and what it was answered, is no part of the answer.
  copy.querySelectorAll('button, .row, form, .asked, .fault').forEach((b) => b.remove());
  const theme = document.documentElement.dataset.theme;
  const html = `<!doctype html><html lang="en" data-theme="${theme}"><head><meta charset="utf-8"><title>${document.title}</title><style>${await styles()} main{display:block}</style></head><body><main>${copy.innerHTML}<p class="soft">Asked of shardfit: ${asked.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</p></main></body></html>`;
  save(name, 'text/html', html);
}

/** Buttons that save an answer: `answer` is data, or a function that has its text fetched. The address is the one that was
 * asked, whatever is asked by the time of a click. */
export function exporting(name, answer, rows, result) {
  const chart = result.querySelector('svg');
  const { href, hash } = location;
  const whole = async () => (typeof answer === 'function' ? answer() : `${JSON.stringify(answer, null, 2)}\n`);
  return h('div', { class: 'row', role: 'group', 'aria-label': 'Save the answer' },
    copying('Copy link', () => href),
    rows && h('button', { type: 'button', onclick: () => save(`${name}.csv`, 'text/csv', csv(rows)) }, 'CSV'),
    h('button', { type: 'button', onclick: async () => save(`${name}.json`, 'application/json', await whole()) }, 'JSON'),
    chart && h('button', { type: 'button', onclick: () => image(result.querySelector('svg'), `${name}.png`) }, 'Image'),
    h('button', { type: 'button', onclick: () => page(result, `${name}.html`, hash) }, 'Page'));
}
