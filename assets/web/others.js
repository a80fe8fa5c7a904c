// Size, Train, Budget, Simulate.

import { ask, Fault } from './ask.js';
import { bars, legend, lines } from './chart.js';
import { question } from './controls.js';
import { count, fault, h, number, replace, si, table, words } from './dom.js';
import { exporting } from './export.js';
import { caveats, layout, saying } from './plan.js';

const modelGroup = { title: 'Model', fields: [{ name: 'model', label: 'Name', list: 'models', instead: ['config'] }, { name: 'config', label: 'Your config.json', kind: 'config', instead: ['model'] }] };
const lengths = [
  { name: 'isl', label: 'Prompt tokens', kind: 'slider', min: 64, max: 131072, log: true, value: 2048 },
  { name: 'osl', label: 'Output tokens', kind: 'slider', min: 16, max: 16384, log: true, value: 512 },
];
const targets = { title: 'Targets', fields: [{ name: 'ttft', label: 'First token', placeholder: '1s' }, { name: 'tpot', label: 'Per token', placeholder: '50ms' }, { name: 'e2e', label: 'Whole answer', placeholder: '20s' }] };

const sizeGroups = [modelGroup,
  { title: 'Demand', fields: [{ name: 'rate', label: 'Requests/s', placeholder: '20 or 300 req/min' }, ...lengths, { name: 'headroom', label: 'Headroom', placeholder: '20%' }, { name: 'spare', label: 'Spare replicas', kind: 'number' }] },
  targets,
  { title: 'Hardware', fields: [{ name: 'gpu', label: 'Kinds of GPU', kind: 'list', list: 'gpus', placeholder: 'l40s, h100-sxm' }, { name: 'unit', label: 'Bought together', kind: 'number' }, { name: 'price', label: 'Price', placeholder: 'h100-sxm=2.10' }, { name: 'engine', label: 'Engine', list: 'engines' }, { name: 'weights', label: 'Weights' }, { name: 'objective', label: 'Least of', kind: 'choice', options: [['', 'cost'], ['gpus', 'GPUs']] }] }];

const holding = (p) => (typeof p.holds_percent === 'number' ? ` Of servers like it, ${number(p.holds_percent, 2)} % would keep these targets.` : '');

const fleets = (a) => a.fleets.filter((f) => f.replica);

export const size = {
  title: 'Size', groups: sizeGroups, start: { model: 'llama-3.1-8b', gpu: 'l40s,h100-sxm', rate: '20', ttft: '1s', tpot: '40ms' },
  ask: (fields, signal) => ask('size', question(sizeGroups, fields), signal),
  show(result, a) {
    const found = fleets(a);
    const replicas = found.map((f) => f.replica);
    const said = saying(caveats, replicas).map((c) => ({ ...c, of: (f) => c.of(f.replica), mark: (f) => c.mark?.(f.replica) }));
    replace(result, h('h1', {}, `${a.model} at ${number(a.rate_per_s)} requests/s`),
      h('p', {}, found.length ? `The best fleet has ${number(found[0].bought_gpus)} × ${found[0].replica.gpu}: ${number(found[0].fleet_replicas)} replicas of ${layout(found[0].replica)}, $${number(found[0].cost_usd_per_month, 3)} a month.${holding(found[0].replica)}` : 'No fleet serves this.'),
      found.length > 0 && h('figure', {}, h('figcaption', {}, 'Dollars a month'), bars(found.map((f) => ({ name: f.replica.gpu, parts: [{ name: f.replica.gpu, value: f.cost_usd_per_month ?? 0, color: 'f1' }], end: `$${number(f.cost_usd_per_month, 3)}` })), { label: 'Dollars a month' })),
      found.length > 0 && table([
        { head: 'GPU', kind: 'text', of: (f) => f.replica.gpu }, { head: 'GPUs', of: (f) => f.bought_gpus }, { head: 'Replicas', of: (f) => f.fleet_replicas },
        { head: 'Replica', kind: 'text', of: (f) => `${f.replica.engine} ${f.replica.weights} ${layout(f.replica)}` }, { head: 'Used %', of: (f) => f.utilisation_percent },
        { head: 'TTFT ms', of: (f) => f.replica.ttft_ms }, { head: 'TPOT ms', of: (f) => f.replica.tpot_ms }, ...said, { head: '$/h', of: (f) => f.cost_usd_per_hour }, { head: '$/Mtok', of: (f) => f.cost_usd_per_mtok_output_fleet }], found, { label: 'Fleets' }),
      a.none?.length > 0 && [h('h2', {}, 'What serves nothing'), table([{ head: 'Cluster', kind: 'text', of: (n) => n.cluster }, { head: 'Reason', kind: 'text', of: (n) => words(n.reason ?? '') }, { head: 'The nearest plan', kind: 'words', of: (n) => n.message }], a.none, { label: 'What serves nothing' })],
      a.notes.map((n) => h('p', { class: 'soft' }, n)));
    result.append(exporting('fleets', a, a.fleets, result));
  },
  spoken: (a) => `${fleets(a).length} fleets`,
};

const trainGroups = [modelGroup,
  { title: 'Training', fields: [
    { name: 'cluster', label: 'Cluster', list: 'clusters' }, { name: 'global_batch', label: 'Global batch', kind: 'slider', min: 1, max: 8192, log: true, value: 0 }, { name: 'seq', label: 'Sequence', kind: 'slider', min: 128, max: 131072, log: true, value: 0 },
    { name: 'tokens', label: 'Tokens of the run', placeholder: '15T' }, { name: 'framework', label: 'Framework', list: 'frameworks' },
    { name: 'optimizer', label: 'Optimizer', kind: 'choice', options: [['', 'adam'], ...['adam-bf16', 'adam-8bit', 'adafactor', 'sgd', 'muon'].map((x) => [x, x])] },
    { name: 'precision', label: 'Products', placeholder: 'bf16, fp8' },
    { name: 'tuning', label: 'Trained', kind: 'choice', options: [['', 'all weights'], ['lora', 'LoRA'], ['qlora', 'QLoRA']], brings: { lora: 'rank=16' }, ends: ['lora'] }, { name: 'lora', label: 'LoRA', placeholder: 'rank=16', brings: { tuning: 'lora' }, ends: ['tuning'] }] },
  { title: 'Pinned', folded: true, about: 'degrees, sharding, recomputation', fields: ['tp', 'pp', 'cp', 'ep', 'micro_batch', 'vp', 'schedule', 'sharding', 'recompute', 'offload', 'host'].map((name) => ({ name, label: words(name) })) }];

/** Degrees of a training plan; those of one that may be left out are. */
const placed = (p) => ['tp', 'pp', 'cp', 'ep', 'dp'].filter((k) => p[k] > 1 || ['tp', 'dp'].includes(k)).map((k) => `${k}=${p[k]}`).join(' ');

const TRAINED = [['weights', 'f1'], ['gradients', 'f2'], ['optimizer', 'f3'], ['activations', 'f4'], ['transient', 'f5'], ['fragmentation', 'f6'], ['outside', 'f6']];

export const train = {
  title: 'Train', groups: trainGroups, start: { model: 'llama-3.1-8b', cluster: '8xh100-sxm', global_batch: '64', seq: '8192' },
  ask: (fields, signal) => ask('train', question(trainGroups, fields), signal),
  show(result, a) {
    const best = a.plans[0];
    replace(result, h('h1', {}, `Training ${a.model} on ${a.cluster}`),
      h('p', {}, best ? `tp=${best.tp} pp=${best.pp} cp=${best.cp} dp=${best.dp}, ${best.sharding}, microbatches of ${best.micro_batch}, recompute ${best.recompute}: ${number(best.step_s, 3)} s a step, ${number(best.tokens_per_s_per_gpu, 3)} tokens/s per GPU, MFU ${number(best.mfu_percent, 3)} %.` : 'Nothing is feasible.'),
      best && h('div', { class: 'charts' }, h('figure', {}, h('figcaption', {}, 'Memory of a GPU, GiB'), bars(a.plans.slice(0, 6).map((p) => ({ name: `#${p.rank} ${placed(p)}`, parts: TRAINED.map(([name, color]) => ({ name, color, value: p.memory_gib[name] ?? 0 })), end: number(p.memory_gib.total, 3) })), { format: (x) => `${number(x, 3)} GiB`, label: 'Memory of a GPU' }), legend(TRAINED.slice(0, 6).map(([name, color]) => ({ name, color }))))),
      best && table(['rank', 'tp', 'pp', 'cp', 'dp', 'ep', 'micro_batch', 'schedule', 'sharding', 'recompute', 'precision', 'step_s', 'tokens_per_s_per_gpu', 'mfu_percent', 'bubble_percent', 'exposed_percent', 'peak_memory_gib', 'days', 'cost_usd'].map((k) => ({ head: words(k), kind: typeof best[k] === 'string' ? 'text' : null, of: (p) => p[k] })), a.plans, { label: 'Training plans' }),
      a.rejected.length > 0 && [h('h2', {}, 'Why the others fell'), table([{ head: 'Reason', kind: 'text', of: (r) => words(r.reason) }, { head: 'Plans', of: (r) => r.count }, { head: 'Nearest', kind: 'text', of: (r) => r.nearest }, { head: '', kind: 'words', of: (r) => r.message }], a.rejected, { label: 'Why the others fell' })]);
    result.append(exporting('training', a, a.plans, result));
  },
  spoken: (a) => `${a.plans.length} training plans`,
};

const budgetGroups = [
  { title: 'Budget', fields: [{ name: 'flops', label: 'FLOPs', placeholder: '5.76e23', instead: ['gpu_hours', 'dollars'] }, { name: 'gpu_hours', label: 'or GPU-hours', placeholder: '1e6', instead: ['flops', 'dollars'] }, { name: 'dollars', label: 'or dollars', placeholder: '1e6', instead: ['flops', 'gpu_hours'] }, { name: 'gpu', label: 'GPU', list: 'gpus' }, { name: 'gpus', label: 'GPUs', kind: 'number' }, { name: 'mfu', label: 'MFU', kind: 'share', placeholder: 'estimated; 40%' }, { name: 'inference_tokens', label: 'Tokens served', placeholder: '10T' }] }];

export const budget = {
  title: 'Budget', groups: budgetGroups, start: { flops: '5.76e23' },
  ask: (fields, signal) => ask('budget', question(budgetGroups, fields), signal),
  show(result, a) {
    replace(result, h('h1', {}, `${si(a.flops, 'FLOP')} of training`),
      a.gpu_hours !== null && h('p', {}, `${number(a.gpu_hours, 3)} GPU-hours${a.cost_usd === null ? '' : `, $${number(a.cost_usd, 3)}`}.`),
      table([{ head: 'Law', kind: 'text', of: (x) => x.about }, { head: 'Parameters', of: (x) => count(x.parameters) }, { head: 'Tokens', of: (x) => count(x.tokens) }, { head: 'Tokens per parameter', of: (x) => number(x.tokens_per_parameter, 3) }, { head: 'Loss', of: (x) => number(x.loss, 4) }], a.approaches, { label: 'Sizes by law' }),
      a.longer?.length > 0 && [h('h2', {}, 'Smaller, trained longer'), table(Object.keys(a.longer[0]).map((k) => ({ head: words(k), of: (x) => (typeof x[k] === 'number' && x[k] > 1e6 ? count(x[k]) : x[k]) })), a.longer, { label: 'Smaller models trained longer' })]);
    result.append(exporting('budget', a, a.approaches, result));
  },
  spoken: () => 'answered',
};

const simulateGroups = [modelGroup,
  { title: 'Plan', fields: [{ name: 'gpu', label: 'GPU', list: 'gpus' }, ...['tp', 'pp', 'ep', 'attention_dp', 'replicas'].map((name) => ({ name, label: words(name), kind: 'number', placeholder: '1' })), { name: 'engine', label: 'Engine', list: 'engines' }, { name: 'weights', label: 'Weights' }] },
  { title: 'Load', fields: [{ name: 'concurrency', label: 'Clients', kind: 'number', instead: ['rate'] }, { name: 'rate', label: 'or requests/s', instead: ['concurrency'] }, { name: 'isl', label: 'Prompt tokens', placeholder: '2048, uniform:100..900' }, { name: 'osl', label: 'Output tokens', placeholder: '512, lognormal:200,0.8' }, { name: 'requests', label: 'Requests', kind: 'number' }, { name: 'burstiness', label: 'Burstiness', kind: 'number', placeholder: '1' }, { name: 'protocol', label: 'Protocol', kind: 'choice', options: [['', 'steady'], ['inferencex', 'inferencex'], ['trtllm-bench', 'trtllm-bench'], ['mlperf-server', 'mlperf-server']] }, { name: 'seed', label: 'Seed', kind: 'number', placeholder: '1' }] },
  targets];

/** Runs a job: its progress as it comes, cancelled with the signal. */
async function job(command, request, signal, progress) {
  const begun = await fetch('/api/v1/jobs', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ command, request }), signal });
  const { id, error } = await begun.json();
  if (error) throw new Fault(error);
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/api/v1/jobs/${id}/events`);
    const end = () => events.close();
    signal.addEventListener('abort', () => {
      end();
      fetch(`/api/v1/jobs/${id}`, { method: 'DELETE' }).catch(() => {});
      reject(new DOMException('cancelled', 'AbortError'));
    });
    events.onmessage = (e) => {
      const at = JSON.parse(e.data);
      if (at.state === 'running') return progress(at);
      end();
      if (at.state === 'done') resolve(at);
      else reject(new Fault(at.error));
    };
    events.onerror = () => {
      end();
      reject(new Fault({ cause: 'the job was lost', help: 'ask again' }));
    };
  });
}

const TIMES = [['ttft_ms', 'time to first token'], ['tpot_ms', 'time per output token'], ['itl_ms', 'between two tokens'], ['e2e_ms', 'whole answer']];

export const simulate = {
  title: 'Simulate', groups: simulateGroups, start: { model: 'llama-3.1-8b', gpu: 'h100-sxm', concurrency: '32' },
  ask(fields, signal, context) {
    const result = document.getElementById('result');
    const bar = h('progress', { 'aria-label': 'Requests answered' });
    const said = h('span', { class: 'soft' });
    const shown = h('div', { class: 'row fault' }, bar, said, h('button', { type: 'button', onclick: () => context.cancelled() }, 'Cancel'));
    const later = setTimeout(() => { result.querySelectorAll('.fault').forEach((f) => f.remove()); result.prepend(shown); }, 200);
    const over = () => { clearTimeout(later); shown.remove(); };
    signal.addEventListener('abort', over);
    return job('simulate', question(simulateGroups, fields), signal, ({ done, of }) => {
      if (of) { bar.max = of; bar.value = done; }
      said.textContent = `${number(done)}${of ? ` of ${number(of)}` : ''} requests`;
    }).finally(over);
  },
  show(result, { answer: a, timeline }) {
    if (a.feasible === false) {
      replace(result, h('h1', {}, 'It does not fit'), fault({ cause: a.message, place: words(a.reason) }));
      return;
    }
    const quantiles = ['mean', 'p50', 'p90', 'p95', 'p99'];
    replace(result, h('h1', {}, `${a.model} on ${a.cluster}: ${a.engine}, tp=${a.tp} × ${a.replicas}`),
      h('p', {}, `${a.drive}; ${number(a.requests)} requests count.`),
      a.overloaded && h('p', { class: 'fault' }, 'Overloaded: requests come faster than they are answered, and the queue grows for as long as the load lasts.'),
      h('p', {}, `${number(a.output_tokens_per_s, 4)} tokens/s, ${number(a.output_tokens_per_s_per_gpu, 4)} per GPU; ${number(a.requests_per_s, 4)} requests/s, ${number(a.goodput_requests_per_s, 4)} of them within every target; ${number(a.preemptions)} preemptions.`),
      table([{ head: 'Milliseconds', kind: 'text', of: ([, name]) => name }, ...quantiles.map((q) => ({ head: q, of: ([key]) => a[key][q] }))], TIMES, { label: 'Percentiles' }),
      h('div', { class: 'charts' }, TIMES.map(([key, name]) => h('figure', {}, h('figcaption', {}, `${name}, ms`), bars(quantiles.map((q) => ({ name: q, parts: [{ name: q, value: a[key][q] ?? 0, color: q === 'mean' ? 'f2' : 'f1' }], end: number(a[key][q], 3) })), { label: name })))));
    const series = [{ name: 'running', color: 'f1', of: (r) => r.running }, { name: 'waiting', color: 'f3', of: (r) => r.waiting }, { name: 'KV cache %', color: 'f2', of: (r) => r.kv_cache_percent }];
    if (timeline?.length > 1) {
      const peak = (s) => number(Math.max(...timeline.map(s.of)), 3);
      result.querySelector('.charts').prepend(h('figure', {}, h('figcaption', {}, 'The first replica over time, each line against its largest'), lines(timeline, series, { x: (r) => r.start_s, xLabel: 'seconds', label: 'Queue and cache' }), legend(series.map((s) => ({ color: s.color, name: `${s.name}, up to ${peak(s)}` })))));
    }
    result.append(exporting('simulation', a, TIMES.map(([key]) => ({ metric: key, ...a[key] })), result));
  },
  spoken: ({ answer: a }) => (a.feasible === false ? 'it does not fit' : `${number(a.output_tokens_per_s)} tokens per second`),
};
