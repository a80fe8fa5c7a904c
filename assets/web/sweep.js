// Sweep: models × clusters × workloads, the best plan of each.

import { address, askBriefly, Fault } from './ask.js';
import { bars } from './chart.js';
import { h, number, replace, table } from './dom.js';
import { exporting } from './export.js';
import { caveats, layout, saying, subject } from './plan.js';

const MOST = 400;
const AT_ONCE = 4;

const groups = [
  { title: 'Each of', fields: [
    { name: 'models', label: 'Models', kind: 'list', placeholder: 'llama-3.1-8b, qwen3-32b' },
    { name: 'clusters', label: 'Clusters', kind: 'list', placeholder: '8xh100-sxm, 8xh200-sxm' },
    { name: 'engines', label: 'Engines', kind: 'list', placeholder: 'the usual' },
    { name: 'formats', label: 'Weights', kind: 'list', placeholder: "the checkpoint's" },
    { name: 'workloads', label: 'Prompt/output', placeholder: '2048/512, 8192/1024' },
    { name: 'tpots', label: 'Per token', placeholder: '50ms, 25ms' },
  ] },
  { title: 'With', fields: [{ name: 'ttft', label: 'First token', placeholder: '1s' }, { name: 'objective', label: 'Best at', kind: 'choice', options: [['', 'throughput'], ['per-gpu', 'per GPU'], ['cost', 'cost'], ['latency', 'latency'], ['energy', 'energy']] }] },
];

const list = (text) => { const all = (text ?? '').split(',').map((x) => x.trim()).filter(Boolean); return all.length ? all : ['']; };

function cases(fields) {
  const out = [];
  for (const model of list(fields.models)) for (const cluster of list(fields.clusters)) for (const engine of list(fields.engines)) for (const weights of list(fields.formats)) for (const workload of list(fields.workloads)) for (const tpot of list(fields.tpots)) {
    const [isl, osl] = workload.split('/');
    const asked = { model, cluster, engine, weights, isl, osl, tpot, ttft: fields.ttft, objective: fields.objective };
    out.push(Object.fromEntries(Object.entries(asked).filter(([, v]) => v)));
  }
  return out;
}

const request = (asked) => ({ ...asked, ...(asked.isl && { isl: Number(asked.isl) }), ...(asked.osl && { osl: Number(asked.osl) }), top: 1, verify: 0 });

const row = ({ asked, answer, error }) => ({ ...asked, ...(answer && subject(answer)), feasible: answer?.space.feasible ?? null, ...(answer?.plans[0] ?? {}), fault: error?.cause ?? (answer && !answer.plans.length ? answer.rejected.at(-1)?.reason : null) });

const best = (x) => x.answer?.plans[0];

const figures = (list) => list.map(([head, key]) => ({ head, of: (x) => best(x)?.[key] ?? '–' }));

/** Columns of a plan, of the best of a case. */
const said = (list) => list.map((c) => ({ ...c, of: (x) => (best(x) ? c.of(best(x)) : '–'), mark: (x) => (best(x) ? c.mark?.(best(x)) : null), when: c.when && ((x) => best(x) && c.when(best(x))) }));

const columns = [
  { head: '', kind: 'text', of: (x) => h('a', { href: address('plan', x.asked) }, 'open') },
  ...['model', 'cluster', 'engine', 'weights', 'isl', 'osl', 'tpot'].map((k) => ({ head: k, kind: 'text', of: (x) => x.asked[k] ?? '', when: (x) => x.asked[k] })),
  { head: 'Best plan', kind: 'text', of: (x) => (x.error ? x.error.cause : x.answer.plans[0] ? `${x.answer.plans[0].engine} ${layout(x.answer.plans[0])} × ${x.answer.plans[0].replicas}` : 'nothing feasible'), mark: (x) => (x.answer?.plans[0] ? null : 'bad') },
  ...figures([['TTFT ms', 'ttft_ms'], ['TPOT ms', 'tpot_ms']]),
  ...said(caveats.slice(0, 2)),
  ...figures([['tok/s', 'output_tokens_per_s'], ['tok/s/GPU', 'output_tokens_per_s_per_gpu'], ['$/Mtok', 'cost_usd_per_mtok_output']]),
  ...said(caveats.slice(2)),
];

/** What tells cases of one model and cluster apart. */
const named = (asked, all) => {
  const differ = (...keys) => new Set(all.map((x) => keys.map((k) => x.asked[k]).join())).size > 1;
  const more = ['engine', 'weights', 'tpot'].filter((k) => differ(k)).map((k) => asked[k]);
  return [asked.model, asked.cluster, differ('isl', 'osl') && `${asked.isl}/${asked.osl}`, ...more].filter(Boolean).join(' ');
};

export const sweep = {
  title: 'Sweep', groups, start: { models: 'llama-3.1-8b, qwen3-32b', clusters: '8xh100-sxm, 8xl40s', workloads: '2048/512, 8192/1024', tpots: '50ms' },
  async ask(fields, signal, context) {
    const all = cases(fields);
    if (all.length > MOST) throw new Fault({ cause: `${number(all.length)} cases are too many for a page`, help: `at most ${MOST}; \`shardfit sweep\` answers a million` });
    const result = document.getElementById('result');
    const bar = h('progress', { max: all.length, value: 0, 'aria-label': 'Cases answered' });
    const shown = h('div', { class: 'row' }, bar, h('button', { type: 'button', onclick: () => context.cancelled() }, 'Cancel'));
    const later = setTimeout(() => result.prepend(shown), 200);
    signal.addEventListener('abort', () => { clearTimeout(later); shown.remove(); });
    const out = [];
    let next = 0;
    const worker = async () => {
      while (next < all.length) {
        const at = next;
        next += 1;
        try {
          out[at] = { asked: all[at], answer: await askBriefly('plan', request(all[at]), signal) };
        } catch (e) {
          if (!(e instanceof Fault)) throw e;
          out[at] = { asked: all[at], error: e.error };
        }
        bar.value += 1;
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    } finally {
      clearTimeout(later);
      shown.remove();
    }
    return out;
  },
  show(result, answers) {
    const found = answers.filter((x) => x.answer?.plans[0]);
    const first = [...found].sort((a, b) => b.answer.plans[0].output_tokens_per_s_per_gpu - a.answer.plans[0].output_tokens_per_s_per_gpu).slice(0, 12);
    replace(result, h('h1', {}, `${number(answers.length)} cases, ${number(found.length)} with a feasible plan`),
      first.length > 0 && h('figure', {}, h('figcaption', {}, 'Tokens/s per GPU'), bars(first.map((x) => ({ name: named(x.asked, answers), parts: [{ name: 'tokens/s per GPU', value: x.answer.plans[0].output_tokens_per_s_per_gpu, color: 'f1' }], end: number(x.answer.plans[0].output_tokens_per_s_per_gpu, 3) })), { label: 'Tokens per second of a GPU' })),
      h('p', { class: 'soft' }, 'In closed form; what opens is simulated, which decides whether a target is kept.'),
      table(saying(columns, answers), answers, { label: 'Cases' }));
    result.append(exporting('sweep', answers, answers.map(row), result));
  },
  spoken: (answers) => `${answers.length} cases answered`,
};
