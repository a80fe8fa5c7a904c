// Plan: every plan for a model on a cluster, ranked.

import { address, ask } from './ask.js';
import { bars, legend, scatter } from './chart.js';
import { question } from './controls.js';
import { fault, h, number, replace, table, words } from './dom.js';
import { exporting } from './export.js';

const modelGroup = { title: 'Model', fields: [
  { name: 'model', label: 'Name', list: 'models', about: 'A name of the catalogue' },
  { name: 'config', label: 'Your config.json', kind: 'config' },
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
    { name: 'concurrency', label: 'In flight', kind: 'number', placeholder: 'as many as are best' },
    { name: 'rate', label: 'Requests/s', placeholder: '5 or 300 req/min' },
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
    { name: 'memory_fraction', label: 'Memory fraction', kind: 'number' },
    { name: 'speculate', label: 'Drafts', placeholder: 'mtp, ngram' },
    { name: 'acceptance', label: 'Acceptance', kind: 'slider', min: 0, max: 1, step: 0.01, value: 0 },
    { name: 'draft_tokens', label: 'Drafted tokens', kind: 'number' },
    { name: 'top', label: 'Plans shown', kind: 'number', placeholder: '10' },
  ] },
  { title: 'What if', folded: true, about: 'GPUs that differ', fields: [
    ...[['hbm', 'HBM size'], ['bandwidth', 'HBM bandwidth'], ['compute', 'Compute'], ['scale-up', 'NVLink'], ['price', 'Price ']].map(([name, label]) =>
      ({ name: `if_${name}`, label, kind: 'slider', min: -50, max: 100, step: 5, value: 0, unit: ' %', local: true })),
  ] },
];

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

export const columns = [
  { head: '#', of: (p) => p.rank ?? '' },
  { head: 'Engine', kind: 'text', of: (p) => p.engine },
  { head: 'Weights', kind: 'text', of: (p) => p.weights },
  { head: 'Layout', kind: 'text', of: layout },
  { head: 'Replicas', of: (p) => p.replicas },
  { head: 'Batch', of: (p) => p.batch },
  { head: 'TTFT ms', of: (p) => p.ttft_ms },
  { head: 'TPOT ms', of: (p) => p.tpot_ms },
  { head: 'tok/s', of: (p) => p.output_tokens_per_s },
  { head: 'tok/s/GPU', of: (p) => p.output_tokens_per_s_per_gpu },
  { head: '$/Mtok', about: 'Dollars per million output tokens', of: (p) => p.cost_usd_per_mtok_output },
  { head: 'GiB/GPU', of: (p) => p.memory.total_gib },
];

const MEMORY = [['weights_gib', 'weights', 'f1'], ['kv_cache_gib', 'KV cache', 'f2'], ['activations_gib', 'activations', 'f3'], ['cuda_graphs_gib', 'CUDA graphs', 'f4'], ['non_torch_gib', 'other', 'f5']];

const memoryBars = (plans) => {
  const rows = plans.map((p) => {
    const parts = MEMORY.map(([key, name, color]) => ({ name, value: p.memory[key] ?? 0, color }));
    const rest = (p.memory.capacity_gib ?? 0) - parts.reduce((sum, x) => sum + x.value, 0);
    parts.push({ name: 'left free', value: Math.max(0, rest), color: 'f6' });
    return { name: `${p.rank ? `#${p.rank} ` : ''}${layout(p)}`.slice(0, 21), parts };
  });
  return [bars(rows, { format: (x) => `${number(x, 3)} GiB`, label: 'Memory of a GPU' }), legend([...MEMORY.map(([, name, color]) => ({ name, color })), { name: 'left free', color: 'f6' }])];
};

const funnel = (s) => {
  const rows = [['walked', s.plans, 'f5'], ['legal', s.plans - s.illegal, 'f4'], ['fit in memory', s.plans - s.illegal - s.out_of_memory, 'f3'], ['keep targets', s.feasible, 'f2']];
  return bars(rows.map(([name, value, color]) => ({ name, parts: [{ name, value, color }], end: number(value) })), { most: s.plans || 1, label: 'What fell' });
};

const sentence = (a) => {
  const best = a.plans[0];
  if (!best) return `Nothing is feasible among ${number(a.space.plans)} plans.`;
  const cost = best.cost_usd_per_mtok_output === null ? '' : `, $${number(best.cost_usd_per_mtok_output, 3)} per million output tokens`;
  return `${best.engine} ${best.weights}, ${layout(best)} × ${best.replicas}, ${number(best.batch)} in flight on each: ${number(best.output_tokens_per_s, 3)} tokens/s, first token after ${number(best.ttft_ms, 3)} ms, then ${number(best.tpot_ms, 3)} ms each${cost}.`;
};

const pointOf = (p) => `${p.engine} ${p.weights} ${layout(p)} × ${p.replicas}, batch ${number(p.batch)}\n${number(p.tpot_ms)} ms per token, ${number(p.ttft_ms)} ms to the first\n${number(p.output_tokens_per_s_per_gpu)} tok/s per GPU`;
const sameAs = (a, b) => a && b && ['engine', 'weights', 'kv', 'tp', 'pp', 'ep', 'attention_dp', 'dcp', 'replicas', 'batch', 'prefill', 'gpu'].every((k) => a[k] === b[k]);

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
      out.replaceChildren(...files.map((f) => h('div', {}, h('div', { class: 'row' }, h('b', {}, f.name), h('button', { type: 'button', onclick: async (e) => { await navigator.clipboard.writeText(f.text); e.target.textContent = 'Copied'; } }, 'Copy')), h('pre', { tabindex: '0' }, f.text))));
    } catch (e) {
      out.replaceChildren(fault(e.error ?? { cause: e.message }));
    }
  };
  const out = h('div');
  replace(box, h('div', { class: 'row' }, h('label', { for: 'target' }, 'as'), h('div', {}, h('select', { id: 'target', onchange: (e) => show(e.target.value) }, targets.map((t) => h('option', { value: t }, t))))), out);
  await show('command');
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
  const facts = [['Requests in flight', chosen.requests_in_flight], ['Requests/s', chosen.requests_per_s], ['Whole answer, ms', chosen.e2e_ms], ['tok/s per user', chosen.output_tokens_per_s_per_user], ['$/h', chosen.price_usd_per_hour], ['W per GPU', chosen.power_w_per_gpu], ['Simulated TTFT, ms', chosen.simulated_ttft_ms], ['Simulated TPOT, ms', chosen.simulated_tpot_ms], ['Figures from', chosen.provenance]];
  return h('section', { 'aria-label': 'The chosen plan' },
    h('h2', {}, `${listed ? `Plan ${chosen.rank}` : 'Plan of the front'}: ${chosen.engine} ${chosen.engine_version ?? ''} ${chosen.weights}, ${layout(chosen)} × ${chosen.replicas}`),
    table(facts.map(([head], i) => ({ head, of: (row) => row[i][1] })), [facts], { label: 'Figures of the plan' }),
    listed && h('div', { class: 'row' },
      h('button', { type: 'button', class: 'main', 'data-key': 'launch', onclick: open('emit') }, 'Launch command'),
      h('button', { type: 'button', 'data-key': 'explain', onclick: open('explain') }, 'Operator by operator')),
    box);
}

function show(result, a, fields, context) {
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
  const draw = () => {
    const seen = [...a.pareto.filter((p) => !a.plans.some((q) => sameAs(p, q))), ...a.plans];
    const points = seen.map((p, i) => ({
      x: p.tpot_ms, y: p.output_tokens_per_s_per_gpu, label: pointOf(p), key: `dot-${i}`,
      kind: p === chosen ? 'chosen' : a.plans.includes(p) ? 'listed' : '', pick: () => choose(p),
    }));
    replace(chart, h('figcaption', {}, 'Time per token against throughput per GPU'),
      scatter({ points, path: a.pareto.map((p) => ({ x: p.tpot_ms, y: p.output_tokens_per_s_per_gpu })), xLabel: 'ms per token', yLabel: 'tokens/s per GPU', xMost: a.workload.target_tpot_ms, label: 'Front of plans' }),
      legend([{ name: 'front', color: 'f1' }, { name: 'listed', color: 'f3' }, { name: 'chosen', color: 'f4' }]));
    replace(ranking, table(columns, a.plans, { label: 'Ranking', chosen: (p) => p === chosen, pick: choose }));
    replace(memory, h('figcaption', {}, 'Memory of a GPU'), ...memoryBars(chosen && !a.plans.includes(chosen) ? [chosen, ...a.plans.slice(0, 5)] : a.plans.slice(0, 6)));
  };
  const why = h('div');
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
    h('h1', {}, `${a.model} on ${a.cluster}`),
    h('p', {}, sentence(a)),
    !a.recognised && h('p', { class: 'soft' }, 'Of an unknown family: general rules apply.'),
    a.notes.map((n) => h('p', { class: 'soft' }, n)),
    a.plans.length > 0 && h('div', { class: 'row' }, h('a', { href: address('compare', { q: address('plan', fields).slice(2) }) }, 'Compare with another question')),
    h('div', { class: 'charts' }, chart, memory, h('figure', {}, h('figcaption', {}, `What fell: ${number(a.space.plans)} plans, ${number(a.space.feasible)} feasible`), funnel(a.space))),
    a.plans.length > 0 && [h('h2', {}, 'Ranking'), ranking],
    place,
    a.advice.length > 0 && [h('h2', {}, 'What would make it work'), table([{ head: 'Change', kind: 'text', of: (x) => x.change }, ...columns.slice(1).map((c) => ({ ...c, of: (x) => c.of(x.plan) }))], a.advice, { label: 'Advice' })],
    a.what_if.length > 0 && [h('h2', {}, 'What if'), table([{ head: 'GPUs with', kind: 'text', of: (x) => `${x.change} ${x.percent > 0 ? '+' : ''}${x.percent} %` }, ...columns.slice(1).map((c) => ({ ...c, of: (x) => (x.plan ? c.of(x.plan) : 'nothing fits') }))], a.what_if, { label: 'What if' })],
    a.rejected.length > 0 && [h('h2', {}, 'Why the others fell'), table([
      { head: 'Reason', kind: 'text', of: (r) => words(r.reason) }, { head: 'Plans', of: (r) => r.count },
      { head: 'Nearest', kind: 'text', of: (r) => r.nearest_miss.plan }, { head: '', kind: 'words', of: (r) => r.nearest_miss.message }], a.rejected, { label: 'Why the others fell' })],
    h('form', { class: 'row', onsubmit: whyNot }, h('label', { for: 'layout' }, 'Why not'), h('div', {}, h('input', { id: 'layout', name: 'layout', placeholder: 'tp=2,pp=1', 'data-key': 'layout', autocomplete: 'off' })), h('button', { type: 'submit' }, 'Ask')),
    why);
  choose(chosen);
  result.append(exporting('plans', a, a.plans, result));
}

export const plan = {
  title: 'Plan', groups, start: { model: 'llama-3.1-70b', cluster: '8xh100-sxm', ttft: '1s', tpot: '50ms' },
  ask: (fields, signal) => ask('plan', request(fields), signal),
  show, request, spoken: sentence,
};
