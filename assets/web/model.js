// Model: parameters, FLOPs, memory and intensity, for pretraining, prefill and decode.

import { ask, isStatic, Fault } from './ask.js';
import { bars, legend } from './chart.js';
import { question } from './controls.js';
import { bytes, count, h, number, replace, si, table, words } from './dom.js';
import { exporting } from './export.js';

const POPULAR = ['llama-3.1-8b', 'llama-3.1-70b', 'qwen3-8b', 'qwen3-32b', 'mixtral-8x7b', 'gpt-oss-120b', 'deepseek-v3', 'gemma-3-27b-it'];
const PHASES = ['pretrain', 'prefill', 'decode'];

const groups = [
  { title: 'Model', fields: [
    { name: 'model', label: 'Name', list: 'models', about: 'A name of the catalogue', instead: ['config', 'shape'] },
    { name: 'others', label: 'Compare with', kind: 'list', list: 'models', placeholder: 'qwen3-8b, gemma-2-9b' },
    { name: 'config', label: 'Your config.json', kind: 'config', instead: ['model', 'shape'] },
    { name: 'shape', label: 'Or sizes', instead: ['model', 'config'], placeholder: 'layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256' },
  ] },
  { title: 'What it does', fields: [
    { name: 'batch', label: 'Sequences', kind: 'slider', min: 1, max: 1024, log: true, value: 1 },
    { name: 'seq', label: 'Tokens of each', kind: 'slider', min: 64, max: 131072, log: true, value: 2048 },
    { name: 'gpu', label: 'Roofline of', list: 'gpus', placeholder: 'h100-sxm' },
  ] },
  { title: 'Kernels', fields: [
    { name: 'no_flash_attention', label: 'No flash attention', kind: 'yes' },
    { name: 'no_flash_decoding', label: 'No flash decoding', kind: 'yes' },
  ] },
  { title: 'Formats', fields: [
    { name: 'weights', label: 'Weights', kind: 'choice', options: [['', "the checkpoint's"], ...['bf16', 'fp16', 'fp8', 'int8', 'int4', 'mxfp4', 'nvfp4'].map((x) => [x, x])] },
    { name: 'kv', label: 'KV cache', kind: 'choice', options: [['', 'as activations'], ...['bf16', 'fp16', 'fp8'].map((x) => [x, x])] },
    { name: 'dtype', label: 'Activations', kind: 'choice', options: [['', 'bf16'], ['fp16', 'fp16'], ['fp32', 'fp32']] },
  ] },
];

const share = (part, whole) => (whole ? (100 * part) / whole : 0);
const percent = (x) => `${number(x, 3)} %`;

async function phase(request, mode, signal) {
  if (isStatic) {
    const response = await fetch(`api/v1/inspect/${encodeURIComponent(request.model)}-${mode}.json`, { signal });
    if (!response.ok) throw new Fault({ cause: `${request.model} is not in this export`, help: `there are ${POPULAR.join(', ')}; \`shardfit serve\` answers for the rest` });
    return response.json();
  }
  return ask('inspect', { ...request, mode }, signal);
}

/** Sums of a table of parts by component. */
function byComponent(rows, keys) {
  const out = new Map();
  for (const row of rows) {
    const sum = out.get(row.component) ?? Object.fromEntries(keys.map((k) => [k, 0]));
    for (const k of keys) sum[k] += row[k] ?? 0;
    out.set(row.component, sum);
  }
  return out;
}

/** One row per component, three phases side by side. */
function phasesTable(answers) {
  const seen = answers.map((a) => ({
    flops: byComponent(a.flops.rows, ['flops']), memory: byComponent(a.memory.rows, ['total_bytes']),
    moved: byComponent(a.intensity.rows, ['flops', 'weights_bytes', 'activations_bytes', 'cache_bytes', 'time_us']),
  }));
  const names = [...new Set(seen.flatMap((s) => [...s.flops.keys(), ...s.memory.keys(), ...s.moved.keys()]))];
  const totals = answers.map((a) => ({ flops: a.flops.total.flops, memory: a.memory.total.total_bytes, time: a.intensity.total.time_us }));
  const rows = names.map((name) => ({ name, of: seen.map((s, i) => {
    const moved = s.moved.get(name);
    const traffic = moved ? moved.weights_bytes + moved.activations_bytes + moved.cache_bytes : 0;
    return { flops: s.flops.get(name)?.flops ?? 0, memory: s.memory.get(name)?.total_bytes ?? 0, intensity: traffic ? moved.flops / traffic : 0, total: totals[i] };
  }) }));
  rows.push({ name: 'total', of: answers.map((a, i) => ({ flops: totals[i].flops, memory: totals[i].memory, intensity: a.intensity.total.flops_per_byte, total: totals[i] })) });
  return h('div', { class: 'charts' }, PHASES.map((mode, i) => h('figure', {}, h('figcaption', {}, mode), table([
    { head: 'Part', kind: 'text', of: (r) => words(r.name) },
    { head: 'FLOPs', of: (r) => si(r.of[i].flops) },
    { head: '%', kind: 'share', share: (r) => share(r.of[i].flops, r.of[i].total.flops), of: (r) => percent(share(r.of[i].flops, r.of[i].total.flops)) },
    { head: 'Memory', of: (r) => bytes(r.of[i].memory) },
    { head: '%', kind: 'share', share: (r) => share(r.of[i].memory, r.of[i].total.memory), of: (r) => percent(share(r.of[i].memory, r.of[i].total.memory)) },
    { head: 'FLOP/byte', about: `Arithmetic intensity of ${mode}`, of: (r) => number(r.of[i].intensity, 3) },
  ], rows, { label: mode, total: (r) => r.name === 'total' }))));
}

const format = (key, value) => (value === null || value === undefined ? '–' : /(^|_)bytes(_per_sequence)?$/.test(key) ? bytes(value) : key.startsWith('flops') && key !== 'flops_per_byte' ? si(value) : key.includes('percent') ? percent(value) : typeof value === 'number' ? number(value) : String(value));

function sectionTable(name, section) {
  if (!section?.rows?.length) return null;
  const keys = Object.keys(section.rows[0]);
  const rows = section.total ? [...section.rows, section.total] : section.rows;
  return [h('h3', {}, words(name)), table(keys.map((k) => ({
    head: words(k.replace(/_bytes$/, '')), kind: typeof section.rows[0][k] === 'string' ? 'text' : k === 'percent' ? 'share' : null, share: (r) => r[k], of: (r) => format(k, r[k] === '' ? ' ' : r[k]),
  })), rows, { label: words(name), total: (r) => r === section.total }), (section.remarks ?? []).map((r) => h('p', { class: 'soft' }, r))];
}

const PARTS = ['embedding', 'lm_head', 'attention', 'mlp', 'experts', 'router', 'norm', 'ssm', 'other'];

function parameters(a) {
  const rows = PARTS.filter((k) => a.params[k] > 0);
  return table([
    { head: 'Part', kind: 'text', of: (k) => words(k) },
    { head: 'Parameters', of: (k) => number(k === 'total' ? a.params.total : a.params[k]) },
    { head: '%', kind: 'share', share: (k) => share(a.params[k], a.params.total), of: (k) => percent(share(a.params[k], a.params.total)) },
    { head: 'Stored', of: (k) => bytes(k === 'total' ? a.checkpoint_bytes : a.stored_bytes[k]) },
  ], [...rows, 'total'], { label: 'Parameters', total: (k) => k === 'total' });
}

function comparison(models) {
  const facts = [['Parameters', (m) => count(m.params.total)], ['Active', (m) => count(m.params.active)], ['Layers', (m) => number(m.layers)], ['Hidden', (m) => number(m.hidden)], ['Vocabulary', (m) => number(m.vocabulary)], ['Context', (m) => number(m.max_context)], ['Weights', (m) => m.weights], ['Checkpoint', (m) => bytes(m.checkpoint_bytes)], ['KV cache of a token', (m) => bytes(m.kv_cache_bytes_per_token)]];
  return table([{ head: '', kind: 'text', of: ([name]) => name }, ...models.map((m) => ({ head: m.model.split('/').pop(), of: ([, of]) => of(m), mark: ([, of]) => (of(m) !== of(models[0]) ? 'differs' : null) }))], facts, { label: 'Models compared' });
}

function show(result, { models, phases }) {
  const [a] = models;
  const answers = phases.map((p) => [].concat(p)[0]);
  const parts = PARTS.filter((k) => a.params[k] > 0).map((k, i) => ({ name: words(k), value: a.params[k], color: `f${(i % 6) + 1}` }));
  replace(result,
    h('h1', {}, a.model),
    h('p', {}, `${count(a.params.total)} parameters${a.params.active !== a.params.total ? `, ${count(a.params.active)} active` : ''}, ${a.layers} layers of ${number(a.hidden)}, ${a.family}${a.recognised ? '' : ' (unknown family: general rules)'}; ${bytes(a.checkpoint_bytes)} in ${a.weights}, ${bytes(a.kv_cache_bytes_per_token)} of cache a token.`),
    a.warnings.map((w) => h('p', { class: 'soft' }, w)), a.notes.map((w) => h('p', { class: 'soft' }, w)),
    models.length > 1 && [h('h2', {}, 'Compared'), comparison(models)],
    h('h2', {}, 'Parameters'),
    h('figure', {}, bars([{ name: a.model.split('/').pop(), parts }], { format: count, label: 'Parameters' }), legend(parts)),
    parameters(a),
    h('h2', {}, 'Pretraining, prefill, decode'),
    phasesTable(answers),
    answers.map((x, i) => h('details', { 'data-key': PHASES[i] }, h('summary', {}, `${PHASES[i]}, part by part`), sectionTable('memory', x.memory), sectionTable('flops', x.flops), sectionTable('intensity', x.intensity), PHASES[i] === 'pretrain' && [sectionTable('training memory', x.training_memory), sectionTable('training activations', x.training_activations)])),
    sectionTable('contexts that fit', answers[2].context_ladder));
  result.append(exporting('model', { models, phases }, phasesRows(answers), result));
}

const phasesRows = (answers) => answers.flatMap((a, i) => a.flops.rows.map((r) => ({ phase: PHASES[i], ...r })));

export const model = {
  title: 'Model', groups: isStatic ? [{ title: 'Model', fields: [{ name: 'model', label: 'Name', kind: 'choice', options: POPULAR.map((x) => [x, x]) }] }] : groups, start: { model: 'llama-3.1-8b', ...(isStatic ? {} : { gpu: 'h100-sxm' }) },
  before: (context) => h('div', { class: 'chips', role: 'group', 'aria-label': 'Popular models' }, POPULAR.map((name) =>
    h('button', { type: 'button', onclick: () => { const { config, shape, ...rest } = context.fields(); context.replaceFields({ ...rest, model: name }); context.rebuild(); } }, name))),
  async ask(fields, signal) {
    const request = question(groups, fields);
    if (request.shape) delete request.model;
    const phases = await Promise.all(PHASES.map((mode) => phase(request, mode, signal)));
    return { models: [].concat(phases[2]), phases };
  },
  show, spoken: ({ models }) => `${models[0].model}: ${count(models[0].params.total)} parameters`,
};
