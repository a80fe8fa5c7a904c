// Fit: which models run on a machine.

import { address, ask } from './ask.js';
import { scatter } from './chart.js';
import { question } from './controls.js';
import { h, number, replace, table, words } from './dom.js';
import { exporting } from './export.js';

const groups = [
  { title: 'Machine', fields: [
    { name: 'cluster', label: 'Cluster', list: 'clusters', placeholder: '1xrtx-4090' },
    { name: 'host', label: 'Host memory', placeholder: 'memory=64GiB,bandwidth=83.2GB/s' },
    { name: 'engine', label: 'Engines', kind: 'list', list: 'engines', placeholder: 'llama.cpp, vllm, sglang' }] },
  { title: 'Use', fields: [
    { name: 'task', label: 'Task', kind: 'choice', options: [['', 'any'], ...['chat', 'code', 'vision', 'reasoning', 'embedding'].map((x) => [x, x])] },
    { name: 'context', label: 'Context', kind: 'slider', min: 1024, max: 262144, log: true, value: 8192 },
    { name: 'isl', label: 'Prompt tokens', kind: 'slider', min: 64, max: 131072, log: true, value: 2048 },
    { name: 'min_tokens', label: 'Least tokens/s', kind: 'number', placeholder: '5' },
    { name: 'max_memory', label: 'Most memory', placeholder: '16GiB' }] },
  { title: 'Models', fields: [
    { name: 'family', label: 'Family', kind: 'list', placeholder: 'qwen3, gemma' },
    { name: 'license', label: 'Licence', kind: 'list', placeholder: 'permissive' },
    { name: 'since', label: 'Released since', placeholder: '2025-06' },
    { name: 'weights', label: 'Formats', kind: 'list', placeholder: 'q4_k_m, q8_0' },
    { name: 'all_formats', label: 'Every way', kind: 'yes' },
    { name: 'top', label: 'Models', kind: 'number', placeholder: '20' }] },
];

const short = (model) => model.split('/').pop();
const where = (m) => [m.tp > 1 && `tp=${m.tp}`, m.pp > 1 && `pp=${m.pp}`, m.replicas > 1 && `${m.replicas} copies`, m.gpu_layers !== null && `-ngl ${m.gpu_layers}`, m.n_cpu_moe !== null && `--n-cpu-moe ${m.n_cpu_moe}`].filter(Boolean).join(' ');

/** A plan of the model as it runs here. */
const planned = (a, m, fields) => address('plan', Object.fromEntries(Object.entries({ model: m.checkpoint, cluster: a.cluster, host: fields.host, engine: m.engine, weights: m.origin === 'checkpoint' ? '' : m.weights }).filter(([, value]) => value)));

export const fit = {
  title: 'Fit', groups, start: { cluster: '1xrtx-4090' },
  ask: (fields, signal) => ask('fit', question(groups, fields), signal),
  show(result, a, fields) {
    const scored = a.models.filter((m) => m.score !== null && m.tokens_per_s !== null);
    const onFront = (m) => m.on_front === 'yes';
    replace(result, h('h1', {}, a.running ? `${number(a.running)} of ${number(a.considered)} models run on ${a.cluster}` : `No model runs on ${a.cluster}`),
      h('p', {}, `${number(a.gpus)} × ${a.gpu}, ${number(a.gpu_memory_gib, 3)} GiB each${a.host_memory_gib === null ? '' : `, host ${number(a.host_memory_gib, 3)} GiB`}; room for ${number(a.context)} tokens, ${number(a.min_tokens_per_s)} tokens/s at least.`),
      scored.length > 1 && h('figure', {}, h('figcaption', {}, `${a.measure.title} against tokens/s of one user`), scatter({
        points: scored.map((m) => ({ x: m.tokens_per_s, y: m.score, kind: onFront(m) ? 'listed' : '', key: `${m.model} ${m.weights} ${m.engine}`, label: `${short(m.model)} ${m.weights}\n${number(m.score)}, ${number(m.tokens_per_s, 3)} tokens/s` })),
        path: scored.filter(onFront).map((m) => ({ x: m.tokens_per_s, y: m.score })), xLabel: 'tokens/s', yLabel: 'score', yLeast: Math.min(...scored.map((m) => m.score)) - 20, label: 'Score and speed' })),
      a.models.length > 0 && table([
        { head: '#', of: (m) => m.rank }, { head: 'Model', kind: 'text', of: (m) => h('a', { href: planned(a, m, fields) }, short(m.model)) }, { head: 'Params B', of: (m) => number(m.parameters_b, 3) },
        { head: 'Score', of: (m) => m.score }, { head: 'Format', kind: 'text', of: (m) => m.weights }, { head: 'Loss %', about: 'perplexity over 16 bits', of: (m) => number(m.loss_percent, 2) },
        { head: 'Engine', kind: 'text', of: (m) => m.engine }, { head: 'Placed', kind: 'text', of: where }, { head: 'tok/s', of: (m) => number(m.tokens_per_s, 3) },
        { head: 'TTFT ms', of: (m) => number(m.ttft_ms, 3) }, { head: 'Users', of: (m) => m.users }, { head: 'tok/s of all', of: (m) => number(m.output_tokens_per_s, 3) },
        { head: 'Room tokens', of: (m) => m.room_tokens }, { head: 'GiB', of: (m) => number(m.memory_gib, 3) }, { head: 'Margin GiB', of: (m) => number(m.margin_gib, 3) },
        { head: 'Licence', kind: 'text', of: (m) => m.license }, { head: 'Front', about: 'no other has both a better score and more tokens/s', of: (m) => (onFront(m) ? 'yes' : '') }], a.models, { label: 'Models' }),
      a.next_better.length > 0 && [h('h2', {}, 'The next better, and what would make it run'), a.next_better.map((b) => h('div', {},
        h('p', {}, h('b', {}, short(b.model)), ` (${number(b.score)}): ${b.message}.`),
        h('ul', {}, b.suggestions.map((s) => h('li', {}, `${s.change}: ${s.way.weights} with ${s.way.engine}, ${number(s.way.tokens_per_s, 3)} tokens/s, room for ${number(s.way.room_tokens)} tokens`)))))],
      a.fallen.length > 0 && h('p', { class: 'soft' }, `Do not run: ${a.fallen.map((f) => `${number(f.count)} ${words(f.reason)}`).join(', ')}.`),
      a.notes.map((note) => h('p', { class: 'soft' }, note)));
    result.append(exporting('models', a, a.models, result));
  },
  spoken: (a) => `${a.running} models run`,
};
