// The page: answers, one question in detail, time, changes, cases, assumptions.

const data = JSON.parse(byId("data").textContent);
const place = Object.fromEntries(data.columns.map((name, n) => [name, n]));
const get = (row, name) => row[place[name]];
const rowOf = new Map(data.rows.map((row) => [get(row, "case"), row]));
const about = data.about;
const clusterNumber = new Map(about.clusters.map((cluster, n) => [cluster.name, n]));
const dot = (name) => element("span", { class: "dot", style: `background:var(--c${(clusterNumber.get(name) || 0) % 8})` });
const targetsOf = new Map(about.targets.map((targets) => [targets.name, targets]));
const priced = data.answers.some((a) => a.best && known(a.best.cost));
const several = (list) => distinct(list).length > 1;

// `Llama-3.1-8B` for `meta-llama/Llama-3.1-8B`, where no other model is called so.
const tail = (name) => name.split("/").pop();
const tails = about.models.map((model) => tail(model.name));
const short = (name) => (tails.filter((t) => t === tail(name)).length === 1 ? tail(name) : name);
const model = (name) => element("span", { title: name, class: "nowrap" }, short(name));

const confidence = (name) => name && element("span", {
  class: "badge " + ({ fitted: "good", measured: "good", uncalibrated: "warn" }[name] || ""),
}, name);

// What stands beside an answer on a GPU without measurements: the best on one that was measured.
const runnerUp = (a) => (a.best && a.best.provenance === "uncalibrated"
  ? element("div", { class: "sub nowrap" }, a.calibrated
    ? `best with measured kernels: ${[a.calibrated.cluster, a.calibrated.plan, known(a.calibrated.cost) && `${dollars(a.calibrated.cost)}/Mtok`].filter(Boolean).join(", ")}`
    : "no cluster with measured kernels has a plan")
  : "");

const tiles = () => {
  const wins = new Map();
  data.answers.filter((a) => a.best).forEach((a) => wins.set(a.best.cluster, (wins.get(a.best.cluster) || 0) + 1));
  const most = [...wins].sort((a, b) => b[1] - a[1])[0];
  const sure = data.answers.filter((a) => a.best && a.best.provenance !== "uncalibrated").length;
  const all = [
    [`${data.answered} of ${data.questions}`, "questions have an answer within their targets"],
    [data.found.toLocaleString("en-US"), `of ${data.cases.toLocaleString("en-US")} cases have a feasible plan`],
  ];
  const unsure = most && data.answers.filter((a) => a.best && a.best.cluster === most[0] && a.best.provenance === "uncalibrated").length;
  const mark = unsure ? `, uncalibrated in ${unsure}` : "";
  if (most && about.clusters.length > 1) all.push([most[0], `is best most often: ${most[1]} of ${data.answered} answers${mark}`]);
  if (data.answered) all.push([`${Math.round((100 * sure) / Math.min(data.answered, data.answers.length))} %`, "of the answers rest on kernel times measured on their GPU, in part at least"]);
  byId("tiles").replaceChildren(...all.map(([big, small]) => element("div", { class: "tile" }, element("b", {}, big), element("span", {}, small))));
};

// Questions and answers.
let selected = null;
let answersTable = null;

const select = (answer, scroll) => {
  selected = answer;
  if (answersTable) answersTable.draw();
  pickers();
  detail();
  if (scroll) byId("detail-section").scrollIntoView({ behavior: "smooth" });
};

const use = (best) => {
  if (!best || !best.tightest) return "–";
  const percent = Math.min(100, best.tightest_percent);
  return element("span", { style: "white-space:nowrap" },
    element("span", { class: "use" }, element("i", { style: `width:${percent}%`, class: percent >= 90 ? "tight" : null })),
    `${best.tightest.toUpperCase()} ${figure(Math.round(best.tightest_percent))} %`);
};

const answers = () => {
  const of = (name) => (a) => (a.best ? a.best[name] : null);
  const columns = [
    { name: "Model", of: (a) => a.model, show: model },
    { name: "Workload", of: (a) => a.workload },
    { name: "Targets", of: (a) => a.targets },
    several(data.answers.map((a) => a.objective)) && { name: "Objective", of: (a) => a.objective },
    {
      name: "Best on", of: of("cluster"), text: (a) => (a.best ? `${a.best.cluster} ${a.best.plan}` : "none"),
      show: (name, a) => (name
        ? [element("b", { style: "white-space:nowrap" }, dot(name), name), " ", a.best.provenance === "uncalibrated" ? confidence("uncalibrated") : "",
          element("div", { class: "sub nowrap" }, a.best.plan), runnerUp(a)]
        : element("span", { class: "badge bad" }, "none")),
    },
    { name: "GPUs", of: of("gpus"), kind: "n" },
    priced && { name: "$/Mtok", of: of("cost"), kind: "n", show: dollars, about: "dollars per million output tokens" },
    priced && { name: "$/month", of: of("monthly"), kind: "n", show: dollars },
    { name: "TTFT", of: of("ttft"), kind: "n", show: time },
    { name: "TPOT", of: of("tpot"), kind: "n", show: time },
    { name: "tok/s", of: of("output"), kind: "n", about: "output tokens per second" },
    { name: "Target used", of: of("tightest_percent"), show: (_, a) => use(a.best), about: "how much of its tightest target the plan uses" },
    { name: "Confidence", of: of("provenance"), show: confidence },
    { name: "What would change it", of: (a) => a.change, kind: "wide", show: (change) => element("span", { class: "sub" }, change) },
  ].filter(Boolean);
  const measures = distinct(data.answers.map((a) => a.measure)).join(", or ");
  byId("answers-note").textContent =
    `For each model, workload and targets the best plan on each cluster was sought; the cluster below has the lowest ${measures}. ` +
    "Choose a row to see it in detail." +
    (data.answers.length < data.questions ? ` The first ${data.answers.length} of ${data.questions} questions are here; results.csv has all.` : "");
  answersTable = sortableTable(byId("answers"), columns, data.answers, {
    page: 40, filters: byId("answers-filters"), more: byId("answers-more"),
    choices: [
      { name: "Model", of: (a) => a.model }, { name: "Workload", of: (a) => a.workload },
      { name: "Targets", of: (a) => a.targets }, { name: "Best on", of: (a) => (a.best ? a.best.cluster : "none") },
    ],
    pick: (answer) => select(answer, true), picked: (answer) => answer === selected,
  });
};

const pickers = () => {
  const want = { model: selected.model, workload: selected.workload, targets: selected.targets, objective: selected.objective };
  const of = (name, label) => {
    const values = distinct(data.answers.map((a) => a[name]));
    if (values.length < 2) return null;
    const made = picker(label, values, null, (value) => {
      want[name] = value;
      const score = (a) => ["model", "workload", "targets", "objective"].filter((key) => a[key] === want[key]).length + (a[name] === value ? 4 : 0);
      select(data.answers.reduce((best, a) => (score(a) > score(best) ? a : best)), false);
    });
    made.select.value = selected[name];
    return made.label;
  };
  byId("detail-pick").replaceChildren(...[of("model", "Model"), of("workload", "Workload"), of("targets", "Targets"), of("objective", "Objective")].filter(Boolean));
};

// One question.
const verdict = (rows) => {
  const holder = byId("verdict");
  const best = selected.best;
  holder.classList.toggle("none", !best);
  const workload = about.workloads.find((w) => w.name === selected.workload);
  const words = workload ? element("div", { class: "sub" }, workload.words + (workload.comment ? ` – ${workload.comment}` : "")) : null;
  if (!best) {
    const why = rows.map((row) => element("li", {}, element("b", { style: "font-size:inherit" }, get(row, "cluster")), " ", get(row, "reason") || ""));
    holder.replaceChildren(element("b", {}, "No cluster keeps these targets"), element("div", {}, selected.change), words || "", element("ul", { class: "sub" }, why));
    return;
  }
  const parts = [`${figure(best.gpus)} GPUs`, best.plan];
  if (known(best.cost)) parts.push(`${dollars(best.cost)} per million output tokens`, `${dollars(best.monthly)} a month`);
  const lead = known(selected.lead) ? `${figure(Math.round(selected.lead))} % ahead of the next cluster in ${selected.measure}` : `the only cluster with a plan`;
  const left = known(best.headroom) ? `; ${figure(Math.round(best.headroom))} % more load before a target or memory gives way` : "";
  holder.replaceChildren(
    element("b", {}, dot(best.cluster), best.cluster, ": ", parts.join(", ")), " ", confidence(best.provenance) || "", runnerUp(selected),
    element("div", {}, `${lead}${left}. What would change it: ${selected.change}.`), words || "");
};

const pareto = (rows) => {
  const targets = targetsOf.get(selected.targets) || {};
  const late = (p) => known(targets.ttft_ms) && p[2] > targets.ttft_ms;
  const fronts = data.fronts.filter((f) => f[0] === selected.model && f[2] === selected.workload);
  let lists = fronts.map(([, cluster, , points]) => ({
    name: cluster, n: clusterNumber.get(cluster) || 0, points: points.filter((p) => known(p[0]) && known(p[1])),
  }));
  const given = lists.length === 0;
  if (given) {
    lists = rows.filter((row) => known(get(row, "tpot_ms"))).map((row) => ({
      name: get(row, "cluster"), n: clusterNumber.get(get(row, "cluster")) || 0,
      points: [[1000 / get(row, "tpot_ms"), get(row, "output_tokens_per_s_per_gpu"), get(row, "ttft_ms"), get(row, "cost_usd_per_mtok_output"), get(row, "batch"), get(row, "engine")]],
    }));
  }
  const edge = known(targets.tpot_ms) ? 1000 / targets.tpot_ms : NaN;
  byId("pareto-note").textContent = given ? "the best plan on each cluster at this load" :
    "each line: what a cluster can trade, without targets";
  legend(byId("pareto-legend"), lists.map((list) => [list.name, list.n]));
  const far = Math.max(...lists.flatMap((list) => list.points.map((p) => p[0])), known(edge) ? edge * 1.15 : 0);
  const high = Math.max(...lists.flatMap((list) => list.points.map((p) => p[1])));
  lines(byId("pareto"), lists,
    { x: { time: false, range: [0, far * 1.05] }, y: { range: [0, high * 1.08] } },
    () => [axis("tokens per second and user"), axis("tokens per second and GPU")],
    {
      plugins: [shaded(edge, known(edge) ? `TPOT ≤ ${time(targets.tpot_ms)}` : "")],
      describe: (list, p) => [
        list.name, p[5] || "", `${figure(p[0])} tok/s per user, ${figure(p[1])} per GPU`,
        `TTFT ${time(p[2])}${late(p) ? ", beyond the target" : ""}`, known(p[3]) ? `${dollars(p[3])} per Mtok` : "", known(p[4]) ? `${figure(p[4])} in flight` : "",
      ].filter(Boolean),
    });
};

// A plan's replicas each take a share of the load: the GPUs grow in steps with it.
const cost = (rows) => {
  const plans = rows.filter((row) => known(get(row, "capacity_requests_per_s")) && get(row, "capacity_requests_per_s") > 0);
  const money = plans.length > 0 && plans.every((row) => known(get(row, "cost_usd_per_hour")));
  const far = Math.max(...plans.map((row) => get(row, "capacity_requests_per_s")), 0) * 1.1;
  const lists = plans.map((row) => {
    const [replicas, gpus, capacity] = ["replicas", "gpus", "capacity_requests_per_s"].map((name) => get(row, name));
    const [each, size] = [capacity / replicas, gpus / replicas];
    const points = [];
    for (let i = 1; i <= 240; i++) {
      const rate = (far * i) / 240;
      const needed = size * Math.ceil(rate / each - 1e-9);
      const value = money ? ((needed * get(row, "cost_usd_per_hour")) / gpus / (rate * get(row, "osl") * 3600)) * 1e6 : needed;
      points.push([rate, value, needed]);
    }
    return { name: get(row, "cluster"), n: clusterNumber.get(get(row, "cluster")) || 0, points, marks: false };
  });
  byId("cost-note").textContent = money ? "as many replicas of the cluster's best plan as the load needs" : "no price is known: GPUs that the load needs";
  legend(byId("cost-legend"), lists.map((list) => [list.name, list.n]));
  const values = lists.flatMap((list) => list.points.map((p) => p[1])).filter((x) => x > 0);
  const low = Math.min(...values);
  const y = money ? { distr: 3, range: () => [low * 0.85, Math.min(Math.max(...values), low * 60)] } : { range: (u, min, max) => [0, max * 1.08] };
  const log = (u, splits) => splits.map((x) => (x === null || !/^[125](\.0*)?e/.test(x.toExponential()) ? "" : compact(x)));
  lines(byId("cost"), lists, { x: { time: false, range: [0, far] }, y },
    () => [axis("requests per second"), axis(money ? "$ per million output tokens" : "GPUs", money ? log : undefined)],
    { describe: (list, p) => [list.name, `${figure(p[0])} req/s`, `${figure(p[2])} GPUs`, money ? `${dollars(p[1])} per Mtok` : ""].filter(Boolean) });
};

const PARTS = [["weights_gib", "weights"], ["kv_cache_gib", "KV cache"], ["activations_gib", "activations"], ["non_torch_gib", "libraries and buffers"], ["cuda_graphs_gib", "CUDA graphs"]];

const memory = (rows) => {
  const plans = rows.filter((row) => known(get(row, "capacity_gib")));
  if (plans.length === 0) return byId("memory").replaceChildren(element("p", { class: "empty" }, "nothing to show"));
  const most = Math.max(...plans.map((row) => get(row, "capacity_gib")));
  const bars = plans.flatMap((row) => {
    const capacity = get(row, "capacity_gib");
    const parts = PARTS.map(([name, label], n) => element("i", {
      style: `width:${(100 * get(row, name)) / capacity}%;background:var(--m${n})`, title: `${label}: ${figure(get(row, name))} GiB`,
    }));
    const used = PARTS.reduce((sum, [name]) => sum + (get(row, name) || 0), 0);
    return [
      element("span", {}, dot(get(row, "cluster")), get(row, "cluster")),
      element("div", { class: "bar", style: `width:${(100 * capacity) / most}%` }, parts),
      element("span", { class: "n sub" }, `${figure(used)} of ${figure(capacity)}, ${figure(get(row, "headroom_gib"))} of the cache unused`),
    ];
  });
  const key = PARTS.map(([, label], n) => element("span", {}, element("span", { class: "dot", style: `background:var(--m${n})` }), label));
  byId("memory").replaceChildren(element("div", { class: "bars" }, bars), element("div", { class: "legend" }, key));
};

const detail = () => {
  const rows = selected.cases.map((number) => rowOf.get(number)).filter(Boolean);
  verdict(rows);
  pareto(rows);
  cost(rows);
  memory(rows);
};

// `Feb`, with the year below the first and every January.
const monthName = (month, first) => {
  const [year, number] = month.split("-").map(Number);
  const name = new Date(Date.UTC(year, number - 1)).toLocaleString("en-US", { month: "short", timeZone: "UTC" });
  return first || number === 1 ? `${name}\n${year}` : name;
};

// Months of a forecast.
const overTime = () => {
  const rows = data.rows.filter((row) => get(row, "month"));
  if (rows.length === 0) return;
  byId("time-section").hidden = false;
  const entry = (row) => get(row, "workload").slice(0, -(get(row, "month").length + 1));
  const keys = { model: (row) => get(row, "model"), workload: entry, targets: (row) => get(row, "targets"), objective: (row) => get(row, "objective") };
  const chosen = Object.fromEntries(Object.entries(keys).map(([name, of]) => [name, of(rows[0])]));
  const months = distinct(rows.map((row) => get(row, "month"))).sort();
  const draw = () => {
    const own = rows.filter((row) => Object.entries(keys).every(([name, of]) => of(row) === chosen[name]));
    const clusters = distinct(own.map((row) => get(row, "cluster")));
    const lists = (column) => clusters.map((cluster) => ({
      name: cluster, n: clusterNumber.get(cluster) || 0, stepped: false,
      points: own.filter((row) => get(row, "cluster") === cluster && known(get(row, column)))
        .map((row) => [months.indexOf(get(row, "month")), get(row, column), get(row, "rate_per_s"), get(row, "gpus"), get(row, "cost_usd_per_month")]),
    }));
    const axes = (label) => () => [
      { ...axis("", (u, splits) => splits.map((x, n) => monthName(months[x], n === 0))), size: 44, labelSize: 4, splits: () => months.map((_, n) => n).filter((n) => months.length <= 12 || n % Math.ceil(months.length / 12) === 0), space: 20 },
      { ...axis(label), incrs: [1, 2, 4, 5, 8, 10, 16, 20].flatMap((x) => [x, 10 * x, 100 * x, 1e3 * x, 1e4 * x, 1e5 * x, 1e6 * x, 1e7 * x]).sort((a, b) => a - b) },
    ];
    const scales = { x: { time: false, range: [-0.3, months.length - 0.7] }, y: { range: (u, min, max) => [0, max * 1.1] } };
    const describe = (list, p) => [`${list.name}, ${months[p[0]]}`, `${figure(p[2])} req/s`, `${figure(p[3])} GPUs`, `${dollars(p[4])} a month`];
    lines(byId("time-gpus"), lists("gpus"), scales, axes("GPUs"), { describe });
    lines(byId("time-cost"), lists("cost_usd_per_month"), scales, axes("$ per month"), { describe });
    legend(byId("time-legend"), clusters.map((cluster) => [cluster, clusterNumber.get(cluster) || 0]));
    legend(byId("time-cost-legend"), clusters.map((cluster) => [cluster, clusterNumber.get(cluster) || 0]));
  };
  byId("time-pick").replaceChildren(...Object.entries(keys).map(([name, of]) => {
    const values = distinct(rows.map(of));
    return values.length < 2 ? null : picker(name[0].toUpperCase() + name.slice(1), values, null, (value) => { chosen[name] = value; draw(); }).label;
  }).filter(Boolean));
  draw();
};

const changes = () => {
  if (!data.comparison) return;
  byId("changes-section").hidden = false;
  byId("changes-note").textContent = data.comparison.summary + "." +
    (data.comparison.left_out ? ` The ${data.comparison.changes.length} largest changes are here.` : "");
  const step = (then, now) => {
    if (!known(then) && !known(now)) return "–";
    if (!known(then)) return element("span", { class: "badge good" }, `new: ${figure(now)}`);
    if (!known(now)) return element("span", { class: "badge bad" }, `was ${figure(then)}`);
    const percent = 100 * (now / then - 1);
    return Math.abs(percent) < 0.5 ? figure(now) : [`${figure(now)} `, element("span", { class: "sub" }, `${percent > 0 ? "+" : ""}${figure(Math.round(percent))} %`)];
  };
  const heads = ["Model", "Cluster", "Workload", "Targets"].map((name) => ({ name }))
    .concat(["GPUs", "$/Mtok", "tok/s", "TTFT ms", "TPOT ms"].map((name) => ({ name, kind: "n" })));
  plainTable(byId("changes"), heads, data.comparison.changes.map((c) => [model(c.key[0]), ...c.key.slice(1, 4), ...c.then.map((then, n) => step(then, c.now[n]))]));
};

const cases = () => {
  const of = (name) => (row) => get(row, name);
  const plan = (row) => (get(row, "tp") === null ? null :
    [["tp", 0], ["pp", 1], ["ep", 1], ["attention_dp", 1]].filter(([name, usual]) => get(row, name) !== usual)
      .map(([name]) => `${name === "attention_dp" ? "adp" : name}=${get(row, name)}`).join(" ") + ` ×${get(row, "replicas")}`);
  const remark = (row) => get(row, "reason") || get(row, "comment") || "";
  const reason = (row) => (get(row, "status") === "found" ? null : get(row, "reason"));
  const status = { found: ["good", "found"], nothing_feasible: ["bad", "nothing feasible"], context_exceeded: ["warn", "context exceeded"] };
  const columns = [
    { name: "#", of: of("case"), kind: "n" },
    { name: "Model", of: of("model"), show: model }, { name: "Cluster", of: of("cluster"), kind: "nowrap", show: (name) => element("span", {}, dot(name), name) },
    { name: "Workload", of: of("workload") }, { name: "Targets", of: of("targets") },
    several(data.rows.map(of("objective"))) && { name: "Objective", of: of("objective") },
    { name: "Status", of: of("status"), text: (row) => `${get(row, "status")} ${get(row, "reason") || ""}`, show: (name) => element("span", { class: "badge " + status[name][0] }, status[name][1]) },
    { name: "Engine", of: of("engine") }, { name: "Plan", of: plan, kind: "nowrap" },
    { name: "GPUs", of: of("gpus"), kind: "n" }, { name: "In flight", of: of("batch"), kind: "n", about: "requests in flight on each replica" },
    { name: "TTFT", of: of("ttft_ms"), kind: "n", show: time }, { name: "TPOT", of: of("tpot_ms"), kind: "n", show: time },
    { name: "tok/s", of: of("output_tokens_per_s"), kind: "n" }, { name: "tok/s/GPU", of: of("output_tokens_per_s_per_gpu"), kind: "n" },
    priced && { name: "$/Mtok", of: of("cost_usd_per_mtok_output"), kind: "n", show: dollars },
    { name: "J/token", of: of("energy_j_per_output_token"), kind: "n", about: "joules per output token" },
    { name: "Memory", of: of("verdict"), show: (name) => name && element("span", { class: "badge " + (name === "fits" ? "good" : "warn") }, name) },
    { name: "Confidence", of: of("provenance"), show: confidence },
    data.rows.some((row) => remark(row) && !reason(row)) && { name: "Remark", of: remark, kind: "wide", show: (text) => element("span", { class: "sub" }, text) },
  ].filter(Boolean);
  byId("cases-note").textContent = data.rows.length < data.cases
    ? `The first ${data.rows.length.toLocaleString("en-US")} of ${data.cases.toLocaleString("en-US")} cases are here; results.csv has all.` : "Every column is in results.csv.";
  sortableTable(byId("cases"), columns, data.rows, {
    said: reason, from: "Engine",
    page: 50, filters: byId("cases-filters"), more: byId("cases-more"),
    choices: ["model", "cluster", "workload", "targets", "status"].map((name) => ({ name: name[0].toUpperCase() + name.slice(1), of: of(name) })),
  });
};

const assumptions = () => {
  const n = (name) => ({ name, kind: "n" });
  const source = (text) => element("span", { class: "sub" }, text);
  const link = (text) => (/^https?:/.test(text) ? element("a", { href: text, rel: "noreferrer", style: "color:inherit" }, text) : text);
  const sources = (list) => source([...new Set(list || [])].flatMap((s, i) => (i ? [element("br"), link(s)] : [link(s)])));
    plainTable(byId("workloads"), [{ name: "Workload" }, { name: "Lengths and load" }, { name: "Remark" }], about.workloads.map((w) => [w.name, w.words, w.comment || ""]));
  plainTable(byId("targets"), [{ name: "Targets" }, n("TTFT"), n("TPOT"), n("End to end")], about.targets.map((t) => [t.name, time(t.ttft_ms), time(t.tpot_ms), time(t.e2e_ms)]));
  plainTable(byId("models"), [{ name: "Model" }, { name: "Identifier" }, n("Parameters"), n("Active"), { name: "Weights" }, { name: "KV cache" }, n("Context")],
    about.models.map((m) => [m.name, source(m.id + (m.recognised ? "" : ": unknown family, read by the general rules")), compact(m.parameters), compact(m.active), m.weights, m.kv || "the engine's default", known(m.max_context) ? m.max_context.toLocaleString("en-US") : "–"]));
  const prices = (cluster) => cluster.pools.map((p) => dollars(p.price_usd_per_gpu_h)).join(" + ");
  plainTable(byId("clusters"), [{ name: "Cluster" }, { name: "GPUs" }, n("$ per GPU and hour")], about.clusters.map((c) => [element("span", {}, dot(c.name), c.name), c.pools.map((p) => `${p.gpus} × ${p.gpu}${p.nodes > 1 ? ` in ${p.nodes} nodes` : ""}`).join(" + "), prices(c)]));
  plainTable(byId("gpus"), [{ name: "GPU" }, n("Memory GiB"), { name: "List price" }, { name: "Kernel times" }, { name: "Sources" }],
    about.gpus.map((g) => [g.name, figure(g.memory_gib), source(known(g.price_usd_per_h) ? [`${dollars(g.price_usd_per_h)}/h`, g.price_source, g.price_date].filter(Boolean).join(", ") : "unknown"), source(g.kernels || "borrowed from a relative or its class"), sources(g.sources)]));
  plainTable(byId("engines"), [{ name: "Engine" }, { name: "Version" }, { name: "Sources" }], about.engines.map((e) => [e.name, e.version, sources(e.sources)]));
};

byId("about").textContent = about.about || "";
byId("colophon").textContent = `shardfit ${about.version}. Estimates, not measurements. ` + (data.shard ? `Shard ${data.shard} of the run. ` : "") + "Charts: uPlot, MIT licence.";
tiles();
selected = data.answers.find((a) => a.best) || data.answers[0] || null;
answers();
overTime();
if (selected) select(selected, false);
else byId("detail-section").hidden = true;
changes();
cases();
assumptions();
document.documentElement.dataset.ready = "true";
