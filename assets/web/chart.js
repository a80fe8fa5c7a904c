// Small charts in SVG: a front of points, bars in parts.

import { h, number } from './dom.js';

const tip = () => document.getElementById('tip');

export function showTip(x, y, text) {
  const t = tip();
  t.textContent = text;
  t.hidden = false;
  const box = t.getBoundingClientRect();
  t.style.left = `${Math.min(x + 12, innerWidth - box.width - 8)}px`;
  t.style.top = `${Math.max(4, y - box.height - 10)}px`;
}

export function hideTip() {
  tip().hidden = true;
}

/** Round values between two. */
function ticks(low, high, log) {
  if (log) {
    const out = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) {
      for (const m of [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) out.push(m * 10 ** e);
    }
    return out;
  }
  const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
  const size = [1, 2, 5, 10].map((m) => m * step).find((s) => (high - low) / s <= 6) ?? step * 10;
  const out = [];
  for (let v = Math.ceil(low / size) * size; v <= high; v += size) out.push(v);
  return out;
}

/** Points `{x, y, label, kind, pick}` over two axes, the upright one from `yLeast`, what is inside the targets shaded. */
export function scatter({ points, path = [], xLabel, yLabel, xMost, yLeast = 0, label }) {
  const [w, height, left, bottom, top, right] = [560, 330, 58, 40, 12, 14];
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const svg = h('svg', { viewBox: `0 0 ${w} ${height}`, role: 'group', 'aria-label': label });
  if (!points.length) return svg;
  const [x0, x1] = [Math.min(...xs) * 0.92, Math.max(...xs, xMost ?? 0) * 1.08];
  const log = x1 / x0 > 8;
  const y1 = yLeast + (Math.max(...ys) - yLeast) * 1.08 || 1;
  const sx = (x) => left + (w - left - right) * (log ? Math.log(x / x0) / Math.log(x1 / x0) : (x - x0) / (x1 - x0));
  const sy = (y) => height - bottom - (height - bottom - top) * ((y - yLeast) / (y1 - yLeast));
  if (xMost) {
    svg.append(h('rect', { class: 'target', x: left, y: top, width: Math.max(0, Math.min(sx(xMost), w - right) - left), height: height - bottom - top }));
  }
  for (const t of ticks(x0, x1, log)) {
    svg.append(h('line', { class: 'axis', x1: sx(t), x2: sx(t), y1: top, y2: height - bottom }), h('text', { x: sx(t), y: height - bottom + 15, 'text-anchor': 'middle' }, number(t)));
  }
  for (const t of ticks(yLeast, y1, false)) {
    svg.append(h('line', { class: 'axis', x1: left, x2: w - right, y1: sy(t), y2: sy(t) }), h('text', { x: left - 5, y: sy(t) + 4, 'text-anchor': 'end' }, number(t)));
  }
  svg.append(h('text', { x: (left + w - right) / 2, y: height - 6, 'text-anchor': 'middle' }, xLabel), h('text', { x: 14, y: (height - bottom) / 2, 'text-anchor': 'middle', transform: `rotate(-90 14 ${(height - bottom) / 2})` }, yLabel));
  const line = [...path].sort((a, b) => a.x - b.x).map((p, i) => `${i ? 'L' : 'M'}${sx(p.x).toFixed(1)} ${sy(p.y).toFixed(1)}`).join('');
  if (line) svg.append(h('path', { class: 'path', d: line }));
  // What is chosen lies above its neighbours.
  for (const p of [...points].sort((a, b) => (a.kind === 'chosen') - (b.kind === 'chosen'))) {
    const show = (e) => {
      const box = e.currentTarget.getBoundingClientRect();
      showTip(box.right, box.top, p.label);
    };
    svg.append(h('circle', {
      class: `dot ${p.kind ?? ''}`, cx: sx(p.x).toFixed(1), cy: sy(p.y).toFixed(1), r: p.kind === 'chosen' ? 7 : p.kind === 'listed' ? 6 : 5,
      tabindex: '0', role: p.pick ? 'button' : 'img', 'aria-label': p.label.replaceAll('\n', ', '), 'data-key': p.key,
      onmouseenter: show, onfocus: show, onmouseleave: hideTip, onblur: hideTip,
      onclick: p.pick, onkeydown: p.pick && ((e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); p.pick(); } }),
    }));
  }
  return svg;
}

/** Width of a text at the largest size that the style gives it, that of a phone. */
const wide = (text) => 9.2 * text.length + 8;

/** Bars of parts `{name, value, color}`, each as long as its share of the longest whole. Names that are too long to stand
 * beside their bars stand above them. */
export function bars(rows, { format = number, most, label }) {
  const whole = most ?? Math.max(...rows.map((r) => r.parts.reduce((sum, p) => sum + p.value, 0)));
  const w = 560;
  const above = rows.some((r) => wide(r.name) > 170);
  const [each, thick, down] = above ? [44, 18, 19] : [30, 20, 5];
  const left = above ? 0 : Math.max(60, ...rows.map((r) => wide(r.name)));
  const right = Math.max(6, ...rows.map((r) => (r.end ? wide(r.end) : 0)));
  const svg = h('svg', { viewBox: `0 0 ${w} ${rows.length * each + 4}`, role: 'img', 'aria-label': `${label}: ${rows.map((r) => `${r.name} ${r.parts.map((p) => `${p.name} ${format(p.value)}`).join(', ')}`).join('; ')}` });
  rows.forEach((row, i) => {
    let x = left;
    svg.append(h('text', { x: 0, y: i * each + (above ? 14 : 19) }, row.name));
    for (const part of row.parts) {
      const width = ((w - left - right) * part.value) / whole;
      if (!(width > 0)) continue;
      svg.append(h('rect', {
        class: part.color, x: x.toFixed(1), y: i * each + down, width: width.toFixed(1), height: thick,
        onmouseenter: (e) => showTip(e.clientX, e.clientY, `${part.name}: ${format(part.value)}`), onmouseleave: hideTip,
      }));
      x += width;
    }
    if (row.end) svg.append(h('text', { x: x + 5, y: i * each + down + 14 }, row.end));
  });
  return svg;
}

/** Lines `{name, color, of}` over the rows of a timeline, each against its own largest. */
export function lines(rows, series, { x, xLabel, label }) {
  const [w, height, left, bottom, top, right] = [560, 240, 20, 38, 12, 14];
  const last = Math.max(...rows.map(x), 1e-9);
  const svg = h('svg', { viewBox: `0 0 ${w} ${height}`, role: 'img', 'aria-label': `${label}: ${series.map((s) => `${s.name} up to ${number(Math.max(...rows.map(s.of)), 3)}`).join(', ')}` });
  const sx = (v) => left + ((w - left - right) * v) / last;
  for (const t of ticks(0, last, false)) svg.append(h('line', { class: 'axis', x1: sx(t), x2: sx(t), y1: top, y2: height - bottom }), h('text', { x: sx(t), y: height - bottom + 15, 'text-anchor': 'middle' }, number(t)));
  svg.append(h('text', { x: (left + w - right) / 2, y: height - 5, 'text-anchor': 'middle' }, xLabel));
  for (const s of series) {
    const most = Math.max(...rows.map(s.of), 1e-9);
    const d = rows.map((row, i) => `${i ? 'L' : 'M'}${sx(x(row)).toFixed(1)} ${(height - bottom - ((height - bottom - top) * s.of(row)) / most).toFixed(1)}`).join('');
    svg.append(h('path', { class: `line ${s.color}`, d }));
  }
  return svg;
}

export const legend = (parts) => h('div', { class: 'legend' }, parts.map((p) => h('span', {}, h('i', { class: p.color }), p.name)));
