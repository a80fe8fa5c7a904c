// The page: which view, what it asks, its answer.

import { Latest, address, entries, isStatic, readAddress } from './ask.js';
import { follow, follows, form } from './controls.js';
import { hideTip } from './chart.js';
import { fault, h, replace, say } from './dom.js';
import { plan } from './plan.js';
import { model } from './model.js';
import { compare } from './compare.js';
import { fit } from './fit.js';
import { budget, simulate, size, train } from './others.js';
import { sweep } from './sweep.js';

const views = isStatic ? { model } : { plan, fit, model, compare, size, train, budget, simulate, sweep };
const first = Object.keys(views)[0];
const controls = document.getElementById('controls');
const result = document.getElementById('result');
const latest = new Latest();
let current = { name: '', fields: {} };
let settling = 0;
let fuller = 0;
let forms = 0;

function navigation() {
  document.getElementById('views').replaceChildren(...Object.entries(views).map(([name, view]) =>
    h('a', { href: address(name, name === current.name ? current.fields : carried(name)), 'aria-current': name === current.name ? 'page' : null }, view.title)));
}

/** What a question of one view has in common with another's. */
function carried(name) {
  const known = views[name].groups?.flatMap((g) => g.fields.map((f) => f.name)) ?? [];
  return oneModel(Object.fromEntries(Object.entries({ ...views[name].start, ...Object.fromEntries(Object.entries(current.fields).filter(([key]) => key === 'model' || key === 'config')) }).filter(([key]) => known.includes(key))));
}

/** A configuration of one's own is the model, whatever name an address holds beside it. */
function oneModel(fields) {
  const { model: named, ...rest } = fields;
  return fields.config && named ? rest : fields;
}

const groupsOf = (view, fields) => (typeof view.groups === 'function' ? view.groups(fields) : view.groups) ?? [];

/** A control moved: the address says so, and the question is asked anew. */
function changed(name, value, settled) {
  const before = current.fields[name] ?? '';
  if (before === value && !settled) return;
  if (before === value && settled) { clearTimeout(settling); settling = setTimeout(rest, 400); return; }
  const given = { ...current.fields, [name]: value };
  if (value === '' || value === null) delete given[name];
  const groups = groupsOf(views[current.name], given);
  const fields = follow(groups, given, name);
  follows(groups, given, fields);
  set(fields, settled);
}

function set(fields, settled = true) {
  const same = address(current.name, fields) === address(current.name, current.fields);
  current = { ...current, fields };
  clearTimeout(settling);
  // One entry of the history for each question that came to rest, none for those on the way.
  if (!same) history.replaceState(history.state, '', address(current.name, fields));
  if (settled && !same) settling = setTimeout(rest, 400);
  answer(!settled && views[current.name].quick);
}

/** The question has come to rest: the one before it stays behind, one step back. */
function rest() {
  const now = location.hash;
  const before = history.state?.rest;
  if (before === now) return;
  if (before) history.replaceState({ rest: before }, '', before);
  history.pushState({ rest: now }, '', now);
  navigation();
}

/** Asks; `quick` while a control is on its way: what takes longest is asked when it has come to rest. */
async function answer(quick = false) {
  clearTimeout(fuller);
  const view = views[current.name];
  const { fields } = current;
  result.classList.add('asking');
  result.setAttribute('aria-busy', 'true');
  const got = await latest.run((signal) => view.ask(fields, signal, context, quick));
  if (!got) return;
  result.classList.remove('asking');
  hideTip();
  if (quick && !got.error) fuller = setTimeout(answer, 200);
  else result.removeAttribute('aria-busy');
  if (got.error) {
    // The last answer stays in sight below what is wrong.
    replace(result, fault(got.error), aged());
    say(got.error.cause);
    return;
  }
  view.show(result, got.value, fields, context, quick);
  say(view.spoken?.(got.value) ?? 'answered');
}

/** A question that takes long is given up: what was answered before stays as it was, with a way to ask again. */
function cancelled() {
  latest.cancel();
  result.classList.remove('asking');
  result.removeAttribute('aria-busy');
  replace(result, h('div', { class: 'fault', role: 'alert' }, h('div', {}, h('b', {}, 'cancelled')), h('button', { type: 'button', onclick: () => answer() }, 'Ask again')), aged());
  say('cancelled');
}

/** What stands there as the answer to another question: nothing of it is saved or copied. */
function aged() {
  const last = [...result.children].filter((c) => !c.classList.contains('fault'));
  const is = last.length === 1 && last[0].classList.contains('old');
  return is ? last : last.length > 0 && h('div', { class: 'old', inert: true }, h('p', { class: 'soft' }, 'The answer to the question before:'), last);
}

const context = { cancelled, set: (more) => set({ ...current.fields, ...more }), replaceFields: set, go: (view, fields) => { location.hash = address(view, fields); }, fields: () => current.fields, latest };

function open() {
  const { view, fields } = readAddress();
  const name = views[view] ? view : first;
  const changedView = name !== current.name;
  latest.cancel();
  current = { name, fields: Object.keys(fields).length ? oneModel(fields) : { ...views[name].start } };
  history.replaceState({ rest: address(name, current.fields) }, '', address(name, current.fields));
  document.title = `shardfit: ${views[name].title}`;
  navigation();
  if (changedView) result.replaceChildren();
  rebuild();
  answer();
}

function rebuild() {
  const view = views[current.name];
  // A control that goes away while it has the focus still says that it changed: it is of another question by then.
  const mine = ++forms;
  const heard = (...change) => { if (mine === forms) changed(...change); };
  replace(controls, view.before?.(context), form(groupsOf(view, current.fields), current.fields, heard));
}

context.rebuild = rebuild;

function theme(next) {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  let kept = null;
  try { kept = localStorage.getItem('theme'); } catch { /* storage is off */ }
  const now = next ?? kept ?? dark;
  document.documentElement.dataset.theme = now;
  if (next) try { localStorage.setItem('theme', next); } catch { /* storage is off */ }
}

theme();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => theme());
document.getElementById('theme').addEventListener('click', () => theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
// Links, back and forward, and addresses typed by hand all end here.
addEventListener('popstate', open);
addEventListener('keydown', (e) => { if (e.key === 'Escape') hideTip(); });
document.addEventListener('dragover', (e) => e.preventDefault());
document.addEventListener('drop', (e) => e.preventDefault());
open();
entries().then((all) => {
  for (const [kind, list] of Object.entries(all)) {
    const short = (entry) => (kind === 'models' ? (entry.aliases?.[0] ?? entry.id) : entry.id);
    const also = kind === 'clusters' ? all.gpus.flatMap((g) => [1, 4, 8].map((n) => ({ id: `${n}x${g.id}`, name: g.name }))) : [];
    document.getElementById(kind).replaceChildren(...[...also, ...list].map((entry) => h('option', { value: short(entry) }, entry.name ?? entry.id)));
  }
});
