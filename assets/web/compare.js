// Compare: questions side by side, what differs marked.

import { address, askBriefly, Fault } from './ask.js';
import { scatter } from './chart.js';
import { h, number, replace, table, words } from './dom.js';
import { exporting } from './export.js';
import { columns, FRONT, layout, plan, saying, subject } from './plan.js';

const MOST = 6;

/** `plan?v=1&model=…` as fields. */
function fieldsOf(text) {
  const out = {};
  for (const [key, value] of new URLSearchParams(text.split('?')[1] ?? '')) if (key !== 'v') out[key] = value;
  return out;
}

const list = (fields) => [].concat(fields.q ?? []).slice(0, MOST);
const kept = (all) => ({ q: all });

/** The best plan on GPUs that differ, where a question asks for that. */
function what(all) {
  const asked = all.flatMap((x) => (x.a.answer?.what_if ?? []).map((w) => `${w.change} ${w.percent > 0 ? '+' : ''}${w.percent} %`));
  const found = (x, name) => x.a.answer?.what_if?.find((w) => `${w.change} ${w.percent > 0 ? '+' : ''}${w.percent} %` === name);
  return [...new Set(asked)].flatMap((name) => {
    const of = (say) => (x) => { const w = found(x, name); return w ? (w.plan ? say(w.plan) : 'nothing fits') : '–'; };
    return [[`With ${name}`, of((p) => `${layout(p)} × ${p.replicas}`)], ['… tok/s', of((p) => number(p.output_tokens_per_s))], ['… TPOT ms', of((p) => number(p.tpot_ms))]];
  });
}

function show(result, answers, fields, context) {
  const questions = list(fields);
  const all = answers.map((a, i) => ({ a, best: a.answer?.plans[0], asked: fieldsOf(questions[i]), i }));
  const keys = [...new Set(all.flatMap((x) => Object.keys(x.asked)))];
  const head = (x) => `${String.fromCharCode(65 + x.i)}`;
  const side = (rows, label) => table([
    { head: '', kind: 'text', of: ([name]) => name },
    ...all.map((x) => ({ head: head(x), of: ([, of]) => of(x) ?? '–', mark: ([, of]) => (String(of(x)) !== String(of(all[0])) ? 'differs' : null) })),
  ], rows, { label });
  const figures = [['Answer', (x) => (x.a.error ? x.a.error.cause : x.best ? `${x.best.engine} ${x.best.weights} ${layout(x.best)} × ${x.best.replicas}` : 'nothing feasible')],
    ...saying(columns.slice(columns.findIndex((c) => c.head === 'Batch')), all.map((x) => x.best)).map((c) => [c.head, (x) => (x.best ? number(c.of(x.best)) : '–')]),
    ...what(all),
    ['Feasible plans', (x) => number(x.a.answer?.space.feasible)]];
  const points = all.flatMap((x) => (x.a.answer?.pareto ?? []).map((p, n) => ({ x: p.tpot_ms, y: p.output_tokens_per_s_per_gpu, kind: ['', 'listed', 'chosen'][x.i % 3], label: `${head(x)}: ${layout(p)} × ${p.replicas}\n${number(p.tpot_ms)} ms per token, ${number(p.output_tokens_per_s_per_gpu)} tok/s per GPU`, key: `c-${x.i}-${n}` })));
  replace(result,
    h('h1', {}, 'Questions side by side'),
    h('h2', {}, 'Asked'), side(keys.map((k) => [words(k), (x) => x.asked[k]]), 'Asked'),
    h('h2', {}, 'Best plans'), side(figures, 'Best plans'),
    points.length > 0 && h('figure', {}, h('figcaption', {}, 'Fronts'), scatter({ points, xLabel: 'ms per token', yLabel: 'tokens/s per GPU', label: 'Fronts of the questions' })),
    h('div', { class: 'row' }, all.map((x) => [
      h('a', { href: address('plan', x.asked) }, `Open ${head(x)}`),
      all.length > 1 && h('button', { type: 'button', onclick: () => { context.replaceFields(kept(questions.filter((_, n) => n !== x.i))); context.rebuild(); } }, `Drop ${head(x)}`)])));
  result.append(exporting('comparison', answers.map((a) => a.answer ?? a.error), all.filter((x) => x.best).map((x) => ({ question: head(x), ...subject(x.a.answer), ...x.best })), result));
}

export const compare = {
  title: 'Compare',
  start: { q: ['plan?v=1&model=llama-3.1-70b&cluster=8xh100-sxm&tpot=50ms', 'plan?v=1&model=llama-3.1-70b&cluster=8xh200-sxm&tpot=50ms'] },
  groups: [],
  before(context) {
    const questions = list(context.fields());
    const put = (i, key, value) => {
      const all = questions.map(fieldsOf);
      if (value) all[i][key] = value; else delete all[i][key];
      context.replaceFields(kept(all.map((f) => address('plan', f).slice(2))));
      context.rebuild();
    };
    const shown = [['model', 'Model', 'models'], ['cluster', 'Cluster', 'clusters'], ['engine', 'Engine', 'engines'], ['weights', 'Weights'], ['isl', 'Prompt tokens'], ['osl', 'Output tokens'], ['concurrency', 'In flight'], ['ttft', 'First token'], ['tpot', 'Per token'], ['objective', 'Best at']];
    return [questions.map((q, i) => {
      const asked = fieldsOf(q);
      return h('fieldset', {}, h('legend', {}, String.fromCharCode(65 + i)), shown.map(([key, label, from]) =>
        h('div', { class: 'field' }, h('label', { for: `c-${i}-${key}` }, label), h('input', { id: `c-${i}-${key}`, 'data-key': `c-${i}-${key}`, value: asked[key] ?? '', list: from, autocomplete: 'off', onchange: (e) => put(i, key, e.target.value.trim()) }))));
    }), h('button', { type: 'button', disabled: questions.length >= MOST, onclick: () => { context.replaceFields(kept([...questions, questions.at(-1) ?? compare.start.q[0]])); context.rebuild(); } }, 'Add a question')];
  },
  ask: (fields, signal) => Promise.all(list(fields).map(async (q) => {
    try {
      return { answer: await askBriefly('plan', { ...plan.request(fieldsOf(q)), pareto: FRONT }, signal) };
    } catch (e) {
      if (e instanceof Fault) return { error: e.error };
      throw e;
    }
  })),
  show, spoken: (answers) => `${answers.length} questions answered`,
};
