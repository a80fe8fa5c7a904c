// Plan: every plan for a model on a cluster, ranked.

import { address, ask, asText, askBriefly } from './ask.js';
import { bars, legend, scatter } from './chart.js';
import { question } from './controls.js';
import { copying, fault, h, number, replace, table, words } from './dom.js';
import { exporting } from './export.js';

const modelGroup = { title: 'Model', fields: [
  { name: 'model', label: 'Name', list: 'models', about: 'A name of the catalogue', instead: ['config'] },
  { name: 'config', label: 'Your config.json', kind: 'config', instead: ['model'] },
] };

const groups = [
  modelGroup,
  { title: 'Hardware', fields: [
    { name: 'cluster', label: 'Cluster', list: 'clusters', about: '8xh100-sxm, 2x8xh200-sxm, a cloud instance, several kinds joined by +' },
    { name: 'price', label: 'Price', placeholder: 'h100-sxm=2.10', about: 'Dollars per GPU and hour' },
    { name: 'max_gpus', label: 'GPUs at most', kind: 'number' },
  ] },
  { title: 'Workload', fields: [
    { name: 'isl', label: 'Prompt tokens', kind: 'slider', min: 64, max: 131072, log: true, value: 2048 },
    { name: 'osl', label: 'Output tokens', kind: 'slider', min: 16, max: 16384, log: true, value: 512 },
    { name: 'concurrency', label: 'In flight', kind: 'number', placeholder: 'as many as are best', instead: ['rate'] },
    { name: 'rate', label: 'or requests/s', placeholder: '5 or 300 req/min', instead: ['concurrency'] },
    { name: 'prefix_hit', label: 'Prefix cached', placeholder: '20%' },
  ] },
  { title: 'Targets', fields: [
    { name: 'ttft', label: 'First token', placeholder: '1s' },
    { name: 'tpot', label: 'Per token', placeholder: '50ms' },
    { name: 'e2e', label: 'Whole answer', placeholder: '20s' },
    { name: 'objective', label: 'Best at', kind: 'choice', options: [['', 'throughput'], ['per-gpu', 'throughput per GPU'], ['latency', 'latency'], ['cost', 'cost'], ['energy', 'energy']] },
  ] },
  { title: 'Engine', fields: [
    { name: 'engine', label: 'Engine', list: 'engines', placeholder: 'the usual; any; vllm,sglang' },
    { name: 'weights', label: 'Weights', placeholder: "the checkpoint's; fp8, bf16" },
    { name: 'kv', label: 'KV cache', placeholder: "the engine's; fp8" },
    { name: 'mode', label: 'Pools', kind: 'choice', options: [['', 'aggregated'], ['split', 'prefill and decode split'], ['any', 'either']] },
  ] },
  { title: 'Pinned', folded: true, about: 'degrees, limits, drafts', fields: [
    ...['tp', 'pp', 'ep', 'attention_dp', 'dcp', 'replicas', 'batch'].map((name) => ({ name, label: words(name), placeholder: '2, 2,4 or 1..4' })),
    { name: 'max_sequences', label: 'Sequences', kind: 'number' },
    { name: 'max_batched_tokens', label: 'Tokens of a step', kind: 'number' },
    { name: 'memory_fraction', label: 'Memory fraction', kind: 'share' },
    { name: 'speculate', label: 'Drafts', placeholder: 'mtp, ngram' },
    { name: 'acceptance', label: 'Acceptance', kind: 'share', placeholder: 'assumed; 80%' },
    { name: 'draft_tokens', label: 'Drafted tokens', kind: 'number' },
    { name: 'top', label: 'Plans shown', kind: 'number', placeholder: '10' },
  ] },
  { title: 'What if', folded: true, about: 'GPUs that differ', fields: [
    ...[['hbm', 'HBM size'], ['bandwidth', 'HBM bandwidth'], ['compute', 'Compute'], ['scale-up', 'NVLink'], ['price', 'Price ']].map(([name, label]) =>
      ({ name: `if_${name}`, label, kind: 'slider', min: -50, max: 100, step: 5, value: 0, unit: ' %', local: true })),
  ] },
];

/** What the chart is drawn over. */
export const FRONT = 'per-gpu,tpot';

function request(fields) {
  const out = question(groups, fields);
  const moved = ['hbm', 'bandwidth', 'compute', 'scale-up', 'price'].filter((n) => fields[`if_${n}`]).map((n) => `${n}=${Number(fields[`if_${n}`]) > 0 ? '+' : ''}${fields[`if_${n}`]}%`);
  if (moved.length) out.what_if = moved;
  return out;
}

export const layout = (p) => {
  const degrees = [['tp', p.tp], ['pp', p.pp], ['ep', p.ep], ['dp', p.attention_dp], ['dcp', p.dcp]].filter(([, n]) => n > 1).map(([k, n]) => `${k}=${n}`);
  const prefill = p.prefill ? `prefill ${p.prefill} × ${p.prefill_replicas}; decode ` : '';
  return `${prefill}${degrees.join(' ') || 'tp=1'}`;
};

/** A figure as simulated, which decides whether a target is kept, else in closed form. */
const DECIDES = 'As simulated, which decides whether a target is kept; in closed form where a plan was not simulated';
const decided = (p, name) => p[`simulated_${name}`] ?? p[name];

/** Whether answers are made token by token; those of embedding and reranking have one time, from request to answer. */
const generates = (p) => p.tpot_ms > 0;

const perGpu = (p) => (typeof p.simulated_output_tokens_per_s === 'number' ? p.simulated_output_tokens_per_s / p.gpus : p.output_tokens_per_s_per_gpu);

const span = (p, name) => (typeof p[`${name}_low`] === 'number' ? `${number(p[`${name}_low`], 3)} to ${number(p[`${name}_high`], 3)}` : null);

const VERDICTS = { fits: 'fits', marginal: 'marginal', does_not_fit: 'does not fit' };

/** What is said of plans beside their figures: how surely they hold, whether they start, whether servers are launched so. A
 * column with `when` is shown where it says something of one of the plans. */
export const caveats = [
  { head: 'Holds %', about: 'Chance that a server keeps every limit on a time, by those measured', of: (p) => p.holds_percent, mark: (p) => (p.holds_percent < 50 ? 'warned' : null), when: (p) => typeof p.holds_percent === 'number' },
  { head: 'Launched', about: 'Unusual: no server is known to be launched so', kind: 'text', of: (p) => p.practice, mark: (p) => (p.practice === 'unusual' ? 'warned' : null), when: (p) => p.practice === 'unusual' },
  { head: 'TPOT likely, ms', about: 'Eight of ten measured servers of such a model and engine lie here', kind: 'text', of: (p) => span(p, 'tpot_ms'), when: (p) => span(p, 'tpot_ms') },
  { head: 'Memory', about: 'Marginal: it may find no room when it starts', kind: 'text', of: (p) => VERDICTS[p.verdict] ?? p.verdict, mark: (p) => (p.verdict === 'fits' ? null : 'warned') },
  { head: 'Needs', about: 'What it does not start without', kind: 'text', of: (p) => p.needs_flag ?? '', when: (p) => p.needs_flag },
];

/** Of columns those that say something of some plans. */
export const saying = (columns, plans) => columns.filter((c) => !c.when || plans.some((p) => p && c.when(p, plans)));

export const columns = [
  { head: '#', of: (p) => p.rank ?? '' },
  { head: 'GPU', kind: 'text', of: (p) => p.gpu, when: (p, all) => all.some((q) => q && q.gpu !== p.gpu) },
  { head: 'Engine', kind: 'text', of: (p) => p.engine },
  { head: 'Weights', kind: 'text', of: (p) => p.weights },
  { head: 'Layout', kind: 'text', of: layout },
  { head: 'Replicas', of: (p) => p.replicas },
  { head: 'Batch', of: (p) => p.batch },
  { head: 'TTFT ms', about: DECIDES, of: (p) => decided(p, 'ttft_ms'), when: generates },
  { head: 'TPOT ms', about: DECIDES, of: (p) => decided(p, 'tpot_ms'), when: generates },
  { head: 'Answered ms', about: DECIDES, of: (p) => decided(p, 'e2e_ms'), when: (p) => !generates(p) },
  { head: 'Requests/s', about: DECIDES, of: (p) => decided(p, 'requests_per_s'), when: (p) => !generates(p) },
  ...caveats.slice(0, 2),
  { head: 'tok/s', about: DECIDES, of: (p) => decided(p, 'output_tokens_per_s'), when: generates },
  { head: 'tok/s/GPU', about: DECIDES, of: perGpu, when: generates },
  { head: '$/Mtok', about: 'Dollars per million output tokens', of: (p) => p.cost_usd_per_mtok_output, when: generates },
  { head: 'GiB/GPU', of: (p) => p.memory.total_gib },
  ...caveats.slice(2),
];

const MEMORY = [['weights_gib', 'weights', 'f1'], ['kv_cache_gib', 'KV cache', 'f2'], ['activations_gib', 'activations', 'f3'], ['cuda_graphs_gib', 'CUDA graphs', 'f4'], ['non_torch_gib', 'other', 'f5']];

const memoryBars = (plans) => {
  const rows = plans.map((p) => {
    const parts = MEMORY.map(([key, name, color]) => ({ name, value: p.memory[key] ?? 0, color }));
    const rest = (p.memory.capacity_gib ?? 0) - parts.reduce((sum, x) => sum + x.value, 0);
    parts.push({ name: 'left free', value: Math.max(0, rest), color: 'f6' });
    return { name: `${p.rank ? `#${p.rank} ` : ''}${layout(p)}`, parts };
  });
  return [bars(rows, { format: (x) => `${number(x, 3)} GiB`, label: 'Memory of a GPU' }), legend([...MEMORY.map(([, name, color]) => ({ name, color })), { name: 'left free', color: 'f6' }])];
};

const funnel = (s) => {
  const rows = [['walked', s.plans, 'f5'], ['legal', s.plans - s.illegal, 'f4'], ['fit in memory', s.plans - s.illegal - s.out_of_memory, 'f3'], ['keep targets', s.feasible, 'f2']];
  return bars(rows.map(([name, value, color]) => ({ name, parts: [{ name, value, color }], end: number(value) })), { most: s.plans || 1, label: 'What fell' });
};

/** Milliseconds as people say them. */
const time = (ms) => (ms >= 1000 ? `${number(ms / 1000, 3)} s` : `${number(ms, 3)} ms`);

const sentence = (a) => {
  const best = a.plans[0];
  if (!best) return `Nothing is feasible among ${number(a.space.plans)} plans.`;
  const cost = typeof best.cost_usd_per_mtok_output !== 'number' ? '' : `, $${number(best.cost_usd_per_mtok_output, 3)} per million output tokens`;
  const holds = typeof best.holds_percent !== 'number' ? '' : ` Of servers like it, ${number(best.holds_percent, 2)} % would keep these targets.`;
  const times = generates(best) ? `${number(decided(best, 'output_tokens_per_s'), 3)} tokens/s, first token after ${time(decided(best, 'ttft_ms'))}, then ${time(decided(best, 'tpot_ms'))} each` : `${number(decided(best, 'requests_per_s'), 3)} requests/s, each answered after ${time(decided(best, 'e2e_ms'))}`;
  return `${best.engine} ${best.weights}, ${layout(best)} × ${best.replicas}, ${number(best.batch)} in flight on each: ${times}${cost}.${holds}`;
};

const pointOf = (p) => `${p.engine} ${p.weights} ${layout(p)} × ${p.replicas}, batch ${number(p.batch)}\n${number(decided(p, 'tpot_ms'))} ms per token, ${number(decided(p, 'ttft_ms'))} ms to the first${typeof p.simulated_tpot_ms === 'number' ? ', as simulated' : ''}\n${typeof p.holds_percent === 'number' ? `targets hold in ${number(p.holds_percent, 2)} %\n` : ''}${number(perGpu(p))} tok/s per GPU`;
const sameAs = (a, b) => a && b && ['engine', 'weights', 'kv', 'tp', 'pp', 'ep', 'attention_dp', 'dcp', 'replicas', 'batch', 'prefill', 'gpu'].every((k) => a[k] === b[k]);

/** Columns but the rank, of the plan that a row is about. */
const of = (plan, rows) => saying(columns.slice(1), rows.map(plan)).map((c) => ({ ...c, of: (x) => (plan(x) ? c.of(plan(x)) : '–'), mark: (x) => (plan(x) ? c.mark?.(plan(x)) : null) }));

/** What rows of a file are about, so that each stands alone. */
export const subject = (a) => ({ model: a.model, cluster: a.cluster, isl: a.workload.isl, osl: a.workload.osl, cached_prefix: a.workload.cached_prefix, concurrency: a.workload.concurrency, rate_per_s: a.workload.rate_per_s, target_ttft_ms: a.workload.target_ttft_ms, target_tpot_ms: a.workload.target_tpot_ms, target_e2e_ms: a.workload.target_e2e_ms });

/** A model's name; where it is a file's, what the file says it is. */
function titled(model, fields) {
  if (model !== 'config.json' || !fields.config) return model;
  const own = JSON.parse(fields.config);
  return `${own.architectures?.[0] ?? own.model_type ?? 'your model'} (config.json)`;
}

/** What a person is to know of the best plan before its figures are believed. */
function warnings(a) {
  const best = a.plans[0];
  return [
    best?.verdict === 'marginal' && 'The memory of the best plan is marginal: it may find no room when it starts.',
    best?.practice === 'unusual' && 'The best plan is unusual: no server is known to be launched so.',
  ].filter(Boolean);
}

/** What to deploy where that is more than one plan. */
function together(a) {
  const all = a.deploy && a[a.deploy];
  return all && [h('h2', {}, 'To deploy together'),
    h('p', {}, `${number(all.output_tokens_per_s)} tokens/s, ${number(all.requests_per_s)} requests/s on ${number(all.gpus)} GPUs${all.idle_gpus ? `, ${number(all.idle_gpus)} idle` : ''}; the ranking below is of one plan alone.`),
    table([{ head: 'GPU', kind: 'text', of: (p) => p.gpu }, ...saying(columns.slice(1), all.plans).filter((c) => c.head !== 'GPU')], all.plans, { label: 'Plans together' })];
}

/** The chosen plan operator by operator, and what starts it. */
async function details(box, fields, chosen, which) {
  const asked = request(fields);
  for (const key of ['what_if', 'pareto']) delete asked[key];
  if (which === 'explain') {
    const e = await ask('plan', { ...asked, explain: chosen.rank });
    const phases = ['prompt', 'decode'].filter((name) => e[name]?.operators?.length);
    replace(box, phases.map((name) => {
      const list = e[name].operators;
      const keys = Object.keys(list[0]).filter((k) => list.some((o) => o[k] !== null && typeof o[k] !== 'object'));
      return [h('h3', {}, `One step of ${name}`), table(keys.map((k) => ({ head: words(k), kind: typeof list[0][k] === 'string' ? 'text' : null, of: (o) => o[k] })), list, { label: `Operators of ${name}` })];
    }));
    return;
  }
  const targets = ['command', 'docker', 'k8s', 'llm-d', 'dynamo', 'kserve', 'slurm', 'skypilot', 'ray'];
  const show = async (target) => {
    try {
      const { files } = await ask('emit', { ...asked, rank: chosen.rank, emit: target });
      out.replaceChildren(...files.map((f) => h('div', {}, h('div', { class: 'row' }, h('b', {}, f.name), copying('Copy', () => f.text)), h('pre', { tabindex: '0' }, f.text))));
    } catch (e) {
      out.replaceChildren(fault(e.error ?? { cause: e.message }));
    }
  };
  const out = h('div');
  replace(box, h('div', { class: 'row' }, h('label', { for: 'target' }, 'as'), h('div', {}, h('select', { id: 'target', onchange: (e) => show(e.target.value) }, targets.map((t) => h('option', { value: t }, t))))), out);
  await show('command');
}

/** The question that leaves this plan alone. */
const pinned = (fields, p) => ({ ...fields, engine: p.engine, weights: p.weights, kv: p.kv, ...Object.fromEntries(['tp', 'pp', 'ep', 'attention_dp', 'dcp', 'replicas', 'batch'].map((k) => [k, p[k]])) });

/** What advice says in options of the command line, as a question; nothing where an option is none of the page's. */
function advised(fields, change) {
  const known = groups.flatMap((g) => g.fields.map((f) => f.name));
  const given = [...change.matchAll(/--([a-z-]+) ([^\s)]+)/g)].map(([, name, value]) => [name.replaceAll('-', '_'), value]);
  return given.length > 0 && given.every(([name]) => known.includes(name)) ? { ...fields, ...Object.fromEntries(given) } : null;
}

function chosenPanel(result, a, fields, chosen) {
  const box = h('div');
  const open = (which) => async () => {
    try {
      await details(box, fields, chosen, which);
    } catch (e) {
      replace(box, fault(e.error ?? { cause: e.message }));
    }
  };
  const listed = a.plans.some((p) => p === chosen);
  const facts = [['Requests in flight', chosen.requests_in_flight], ['Requests/s', chosen.requests_per_s], ['Whole answer, ms', chosen.e2e_ms], ['tok/s per user', chosen.output_tokens_per_s_per_user], ['$/h', chosen.price_usd_per_hour], ['W per GPU', chosen.power_w_per_gpu], ['Figures from', chosen.provenance],
    ['TTFT as simulated, ms', chosen.simulated_ttft_ms], ['TPOT as simulated, ms', chosen.simulated_tpot_ms], ['TTFT p95, ms', chosen.simulated_ttft_p95_ms], ['TPOT p95, ms', chosen.simulated_tpot_p95_ms],
    ['TTFT in closed form, ms', chosen.ttft_ms], ['TPOT in closed form, ms', chosen.tpot_ms],
    ['TTFT likely, ms', span(chosen, 'ttft_ms')], ['TPOT likely, ms', span(chosen, 'tpot_ms')], ['tok/s likely', span(chosen, 'output_tokens_per_s')], ['Targets hold, %', chosen.holds_percent], ['Memory', VERDICTS[chosen.verdict]], ['Margin, GiB', chosen.margin_gib], ['Launched', chosen.practice], ['Needs', chosen.needs_flag]]
    .filter(([, value]) => value !== null && value !== undefined);
  return h('section', { 'aria-label': 'The chosen plan' },
    h('h2', {}, `${listed ? `Plan ${chosen.rank}` : 'Plan of the front'}: ${chosen.engine} ${chosen.engine_version ?? ''} ${chosen.weights}, ${layout(chosen)} × ${chosen.replicas}`),
    h('dl', { class: 'facts', 'aria-label': 'Figures of the plan' }, facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, typeof value === 'number' ? number(value) : value)))),
    listed && h('div', { class: 'row' },
      h('button', { type: 'button', class: 'main', 'data-key': 'launch', onclick: open('emit') }, 'Launch command'),
      h('button', { type: 'button', 'data-key': 'explain', onclick: open('explain') }, 'Operator by operator')),
    !listed && !chosen.prefill && h('p', {}, 'In closed form, as all of the front: ', h('a', { href: address('plan', pinned(fields, chosen)) }, 'ask for this plan'), ' to have it simulated and written as a command.'),
    box);
}

function show(result, a, fields, context, quick) {
  a.pareto ??= [];
  let chosen = a.plans[0] ?? a.pareto[0];
  const place = h('div');
  const chart = h('figure');
  const ranking = h('div');
  const memory = h('figure');
  const choose = (p) => {
    chosen = p;
    draw();
    replace(place, chosen && chosenPanel(result, a, fields, chosen));
  };
  // Where a plan was simulated it stands where the simulation puts it.
  const at = (p) => ({ x: decided(p, 'tpot_ms'), y: perGpu(p) });
  const shownColumns = saying(columns, a.plans);
  const draw = () => {
    if (!chosen) return;
    const seen = [...a.pareto.filter((p) => !a.plans.some((q) => sameAs(p, q))), ...a.plans];
    const points = seen.filter((p) => p.tpot_ms > 0).map((p, i) => ({
      ...at(p), label: pointOf(p), key: `dot-${i}`,
      kind: p === chosen ? 'chosen' : a.plans.includes(p) ? 'listed' : '', pick: () => choose(p),
    }));
    replace(chart, h('figcaption', {}, 'Time per token against throughput per GPU'),
      scatter({ points, path: a.pareto.map((p) => at(a.plans.find((q) => sameAs(p, q)) ?? p)), xLabel: 'ms per token', yLabel: 'tokens/s per GPU', xMost: a.workload.target_tpot_ms, label: 'Front of plans' }),
      legend([{ name: 'front', color: 'f1' }, { name: 'listed', color: 'f3' }, { name: 'chosen', color: 'f4' }]));
    replace(ranking, table(shownColumns, a.plans, { label: 'Ranking', chosen: (p) => p === chosen, pick: choose }));
    replace(memory, h('figcaption', {}, 'Memory of a GPU'), ...memoryBars(chosen && !a.plans.includes(chosen) ? [chosen, ...a.plans.slice(0, 5)] : a.plans.slice(0, 6)));
  };
  const why = h('div', { class: 'asked' });
  const whyNot = async (e) => {
    e.preventDefault();
    const text = e.target.elements.layout.value.trim();
    if (!text) return;
    const asked = request(fields);
    for (const key of ['what_if', 'pareto', 'explain']) delete asked[key];
    try {
      const examined = await ask('plan', { ...asked, why_not: text });
      const said = (x) => (x.feasible ? 'an answer' : `${x.reason ? words(x.reason) : 'falls'}: ${x.message ?? ''}`);
      const list = examined.examined ?? examined.plans ?? examined.outcomes ?? [];
      replace(why, list.length ? h('ul', {}, list.map((x) => h('li', {}, `${x.engine ?? ''} ${x.weights ?? ''} ${x.plan && typeof x.plan === 'string' ? x.plan : text}: ${said(x)}`))) : h('pre', { tabindex: '0' }, JSON.stringify(examined, null, 2)));
    } catch (error) {
      replace(why, fault(error.error ?? { cause: error.message }));
    }
  };
  replace(result,
    h('h1', {}, `${titled(a.model, fields)} on ${a.cluster}`),
    h('p', {}, sentence(a), quick && ' To be simulated when the controls rest.'),
    warnings(a).map((w) => h('p', { class: 'warn' }, w)),
    together(a),
    !a.recognised && h('p', { class: 'soft' }, 'Of an unknown family: general rules apply.'),
    a.notes.map((n) => h('p', { class: 'soft' }, n)),
    a.plans.length > 0 && h('div', { class: 'row' }, h('a', { href: address('compare', { q: address('plan', fields).slice(2) }) }, 'Compare with another question')),
    h('div', { class: 'charts' }, chosen && [generates(chosen) && chart, memory], h('figure', {}, h('figcaption', {}, `What fell: ${number(a.space.plans)} plans, ${number(a.space.feasible)} feasible`), funnel(a.space))),
    a.plans.length > 0 && [h('h2', {}, 'Ranking'), a.plans.some((p) => typeof p.simulated_tpot_ms === 'number') && h('p', { class: 'soft' }, 'Times and tokens/s as simulated, which decides whether a target is kept; the closed form stands with the chosen plan.'), ranking],
    place,
    a.advice.length > 0 && [h('h2', {}, 'What would make it work'), table([{ head: 'Change', kind: 'text', of: (x) => { const to = advised(fields, x.change); return to ? h('a', { href: address('plan', to) }, x.change) : x.change; } }, ...of((x) => x.plan, a.advice)], a.advice, { label: 'Advice' })],
    a.what_if.length > 0 && [h('h2', {}, 'What if'), table([{ head: 'GPUs with', kind: 'text', of: (x) => `${x.change} ${x.percent > 0 ? '+' : ''}${x.percent} %` }, ...of((x) => x.plan, a.what_if)], a.what_if, { label: 'What if' })],
    a.rejected.length > 0 && [h('h2', {}, 'Why the others fell'), table([
      { head: 'Reason', kind: 'text', of: (r) => words(r.reason) }, { head: 'Plans', of: (r) => r.count },
      { head: 'Nearest', kind: 'words', mark: () => 'near', of: (r) => r.nearest_miss.plan }, { head: '', kind: 'words', of: (r) => r.nearest_miss.message }], a.rejected, { label: 'Why the others fell' })],
    h('form', { class: 'row', onsubmit: whyNot }, h('label', { for: 'layout' }, 'Why not'), h('div', {}, h('input', { id: 'layout', name: 'layout', placeholder: 'tp=2,pp=1', 'data-key': 'layout', autocomplete: 'off' })), h('button', { type: 'submit' }, 'Ask')),
    why);
  choose(chosen);
  result.append(exporting('plans', () => asText('plan', request(fields)), a.plans.map((p) => ({ ...subject(a), ...p })), result));
}

export const plan = {
  title: 'Plan', groups, start: { model: 'llama-3.1-70b', cluster: '8xh100-sxm', ttft: '1s', tpot: '50ms' },
  quick: true,
  // While a control is on its way the simulation of the best, which takes longest, waits.
  ask: (fields, signal, context, quick) => askBriefly('plan', { ...request(fields), pareto: FRONT, ...(quick && { verify: 0 }) }, signal),
  show, request, spoken: sentence,
};
