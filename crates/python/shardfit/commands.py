# Written by tools/python_api.py from what the compiled module says of itself.
"""The commands: a question as arguments, its answer as an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shardfit.answers import (
    BudgetAnswer,
    EmitAnswer,
    EstimateAnswer,
    FitAnswer,
    InspectAnswer,
    PlanAnswer,
    SimulateAnswer,
    SizeAnswer,
    TrainAnswer,
)
from shardfit.asking import Folders, Model, ask

def plan(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    cluster: str | None = None,
    gpu: str | Sequence[str] | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    isl: int | str | None = None,
    images: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    batch_window: str | None = None,
    osl: int | str | None = None,
    concurrency: int | str | None = None,
    rate: float | str | None = None,
    prefix_hit: float | str | None = None,
    sessions: str | None = None,
    users: int | str | None = None,
    kv_tiers: str | None = None,
    routing: str | None = None,
    allow_long_context: bool | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    e2e: str | None = None,
    speculate: str | Sequence[str] | None = None,
    draft_tokens: int | str | None = None,
    acceptance: float | str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    max_sequences: int | str | Sequence[int] | None = None,
    max_batched_tokens: int | str | Sequence[int] | None = None,
    memory_fraction: float | str | None = None,
    max_model_len: int | str | None = None,
    enforce_eager: bool | None = None,
    max_cudagraph_capture_size: int | str | None = None,
    cudagraph_mode: str | None = None,
    cpu_offload_gb: float | str | None = None,
    kv_cache_memory_bytes: str | None = None,
    block_size: int | str | None = None,
    enable_prefix_caching: bool | None = None,
    language_model_only: bool | None = None,
    limit_mm_per_prompt: int | str | None = None,
    redundant_experts: int | str | None = None,
    scheduling: str | None = None,
    host_speed: float | str | None = None,
    kernels: str | None = None,
    host: str | None = None,
    gpu_layers: int | str | None = None,
    n_cpu_moe: int | str | None = None,
    cpu_moe: bool | None = None,
    tensor_split: str | Sequence[str] | None = None,
    split_mode: str | None = None,
    override_tensor: str | Sequence[str] | None = None,
    tp: int | str | Sequence[int] | None = None,
    pp: int | str | Sequence[int] | None = None,
    ep: int | str | Sequence[int] | None = None,
    attention_dp: int | str | Sequence[int] | None = None,
    dcp: int | str | Sequence[int] | None = None,
    replicas: int | str | Sequence[int] | None = None,
    batch: int | str | Sequence[int] | None = None,
    prefill_tp: int | str | Sequence[int] | None = None,
    prefill_pp: int | str | Sequence[int] | None = None,
    prefill_ep: int | str | Sequence[int] | None = None,
    prefill_attention_dp: int | str | Sequence[int] | None = None,
    electricity: float | str | None = None,
    pue: float | str | None = None,
    host_watts: float | str | None = None,
    objective: str | None = None,
    top: int | str | None = None,
    batches: bool | None = None,
    pareto: str | None = None,
    verify: int | str | None = None,
    percentile: str | None = None,
    confidence: str | None = None,
    what_if: str | Sequence[str] | None = None,
    current: str | None = None,
    tokens_per_user: float | str | None = None,
    min_concurrency: int | str | None = None,
    min_context: int | str | None = None,
    max_gpus: int | str | None = None,
    max_price: float | str | None = None,
    max_cost: float | str | None = None,
    max_power: float | str | None = None,
    mode: str | None = None,
    exhaustive: bool | None = None,
    time_limit: str | None = None,
    launch: str | None = None,
    explain: int | bool | None = None,
    why_not: str | None = None,
    emit: str | Sequence[str] | None = None,
    rank: int | str | None = None,
    catalog: Folders | None = None,
) -> PlanAnswer:
    """Rank every plan for a model on a cluster under a workload.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        cluster: Cluster: ``8xh100-sxm``, ``2x8xh200-sxm``, a name, a YAML file, or several kinds,
            ``8xh100-sxm+8xa100-sxm-80gb``. Of a search also ``any``, a usual server of each GPU
            that has a price, with filters:
            ``any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured``.
        gpu: GPU by name or YAML file: as many as the plan needs; several kinds to choose from where
            a fleet is sized, or a server of each in a search, or ``any`` with filters, as
            ``cluster`` has them.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        isl: Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter
            context.
        images: Images of each prompt, ``8x768x768`` (number, width, height): their tokens come to
            those of ``isl``.
        video: A video of each prompt, ``60s@1fps``, or ``60s@1fps@1280x720``; frames of 640 by 360
            when left out.
        audio: Sound of each prompt, ``30s``.
        task: What answers are made of: ``generate``, ``embed`` or ``rerank``; what the model does
            when left out.
        batch_window: How long an embedding or reranking server holds a batch that is not full for
            more inputs, such as ``5ms``; not at all when left out.
        osl: Output tokens: a number or a distribution, 512 when left out, less in a shorter
            context.
        concurrency: Requests in flight over the whole deployment; without any load, as many as are
            best.
        rate: Requests per second over the whole deployment: a number, or a text such as ``300
            req/min``.
        prefix_hit: Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
        sessions: Sessions of turns in place of lengths:
            ``turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]``, or ``chat``,
            ``coding-agent``, ``rag``, ``deep-research``, each with what differs after it; what is
            in the prefix cache then follows from its size.
        users: Users of sessions over the whole deployment, in place of a load.
        kv_tiers: Tiers below the GPUs' cache: ``cpu=1TiB,nvme=4TB,shared=20TB``, of each node but
            for the shared one, each with ``@BANDWIDTH`` where that is known.
        routing: How turns are sent to replicas: ``prefix-aware`` (when left out), ``round-robin``
            or ``least-load``.
        allow_long_context: Whether prompts and outputs beyond the model's context are accepted.
        ttft: Longest time to first token, such as ``1s`` or ``500ms`` on the mean, ``p95:1s`` at a
            percentile.
        tpot: Longest time per output token after the first, such as ``50ms``.
        e2e: Longest time from request to last token, such as ``20s``.
        speculate: What drafts tokens: ``mtp``, ``eagle3``, ``ngram`` or ``model``; ``off,mtp``
            looks at plans without and with.
        draft_tokens: Tokens to draft for each step; when left out 1, of ``eagle3`` 3.
        acceptance: How likely a drafted token is accepted when those before it were, from 0 to 1;
            as published of ``mtp`` and ``eagle3`` when left out.
        engine: Engines: ``vllm``, a version ``vllm@0.19``, a launch ``sglang@deepep-eplb``,
            several, ``any``, or a YAML file; what runs on the GPU when left out.
        weights: Formats of linear layers and experts, such as ``fp8``; the checkpoint's own when
            left out.
        kv: Types of the KV cache, such as ``fp8``; the engine's when left out.
        max_sequences: Sequences in one batch; the engine's when left out.
        max_batched_tokens: Tokens in one step; the engine's when left out.
        memory_fraction: The engine's memory fraction, above 0 and at most 1; the engine's own when
            left out.
        max_model_len: Tokens of the longest request that the server takes, prompt and output
            together: vLLM refuses to start where one finds no room; the model's context when left
            out.
        enforce_eager: Whether the server starts without CUDA graphs.
        max_cudagraph_capture_size: The largest step with a CUDA graph, in tokens, or sequences of a
            step that only decodes; the engine's when left out.
        cudagraph_mode: Which steps have CUDA graphs: ``none``, ``piecewise``, ``full``,
            ``full_decode_only`` or ``full_and_piecewise``; the engine's when left out.
        cpu_offload_gb: GiB of weights of each GPU that stay in the host's memory and are read from
            there in every step.
        kv_cache_memory_bytes: Memory of the KV cache on each GPU, such as ``49GiB``, in place of
            what the memory fraction leaves.
        block_size: Tokens of a block of the KV cache; the engine's when left out.
        enable_prefix_caching: Whether prefixes are kept; the engine's when left out.
        language_model_only: Whether the server takes text alone and loads no image encoder.
        limit_mm_per_prompt: Images that a prompt may have; 0 for none.
        redundant_experts: Experts of each layer that are held a second time, over all ranks.
        scheduling: How the engine schedules where it was launched otherwise:
            ``arrival_poll_steps=10,prefill_graphs=true``.
        host_speed: How fast the hosts are beside those of the published runs: 0.5 doubles what the
            engine's host adds to steps and requests; 1 when left out.
        kernels: Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted
            forms where they have data.
        host: Memory of each node's host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the
            cluster's when left out.
        gpu_layers: Layers on the GPUs, the output projection counted as one more; all that find
            room when left out.
        n_cpu_moe: First layers whose routed experts stay with the host; as few as find no room when
            left out.
        cpu_moe: Whether all routed experts stay with the host.
        tensor_split: How layers are dealt out over pipeline stages: layers of each, such as
            ``21,19``, of llama.cpp proportions, such as ``3,1``; evenly when left out. It says the
            stages where ``pp`` does not.
        split_mode: How a model is divided over GPUs: ``layer``.
        override_tensor: Routed experts of the first layers that stay with the host, in llama.cpp's
            patterns, such as ``exps=CPU``.
        tp: Tensor parallel: of one plan a degree, of a search also a list or a range; free when
            left out of a search.
        pp: Pipeline stages, as ``tp``.
        ep: Expert parallel, as ``tp``.
        attention_dp: Attention data parallel, as ``tp``.
        dcp: Decode context parallel, as ``tp``.
        replicas: Replicas, between which requests go round, as ``tp``.
        batch: Requests in flight on each replica.
        prefill_tp: Tensor parallel of the prefill workers.
        prefill_pp: Pipeline stages of the prefill workers.
        prefill_ep: Expert parallel of the prefill workers.
        prefill_attention_dp: Attention data parallel of the prefill workers.
        electricity: Electricity in dollars per kWh, added to the rental price, which includes it
            when this is left out.
        pue: Power of the site over power of its computers; 1.54 when left out.
        host_watts: Power of the server beside its GPUs, in watts per GPU; 0 when left out.
        objective: What the best plan is best at: throughput, per-gpu, latency, cost, energy or
            weights ``throughput=2,ttft=1``; of a fleet, cost or gpus.
        top: Plans to keep, one per layout, 10 when left out; of a fleet, of each kind of GPU, 1.
        batches: Whether every feasible batch of the layouts that are kept is listed, and not the
            best of each alone.
        pareto: Measures that the front is drawn over: ``per-gpu,tpot`` when left out.
        verify: Plans from the first that are made sure to hold the targets as simulated, 0 for the
            closed form alone; when left out, the first, and more where that takes little.
        percentile: Percentile that limits on times are on where they say none themselves, such as
            ``p90``; the mean when left out.
        confidence: Chance with which limits on times are to hold on a real server, by those
            measured, such as ``90%``; as estimated when left out.
        what_if: How the best plan moves when GPUs differ: ``hbm=+20%``.
        current: What runs today: ``tp=4,replicas=2``.
        tokens_per_user: Tokens per second that each user sees at least, after the first token.
        min_concurrency: Requests in flight that the deployment holds at least.
        min_context: Tokens of the longest request that must fit in memory, prompt and output
            together.
        max_gpus: GPUs used at most.
        max_price: Dollars per hour for the GPUs used at most.
        max_cost: Dollars per million output tokens at most.
        max_power: Watts that the GPUs used draw at most, all together.
        mode: ``aggregated`` (every replica does everything, when left out), ``split`` (pools of
            prefill and decode workers) or ``any``.
        exhaustive: Whether plans are looked at even where they are proven to be no better than
            others.
        time_limit: Time after which the search stops with the best found by then.
        launch: What starts the server, as text or a file: ``vllm serve …``, a script, manifests.
            Fields that are given win over it.
        explain: Of a search the plan of this rank, of one plan whether it is explained, operator by
            operator, in place of the answer.
        why_not: A layout, such as ``tp=2,pp=1``, and why it is not an answer, in place of the
            ranking.
        emit: What starts the plan, in place of the answer: command, docker, k8s, llm-d, dynamo,
            kserve, slurm, skypilot or ray, or several.
        rank: The plan that ``emit`` writes, by its rank, or where no limit is named by what it is
            best at; when left out 1, or all parts of what several pools, or replicas of different
            sizes, deliver together where that is more.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "cluster": cluster,
        "gpu": gpu,
        "price": price,
        "isl": isl,
        "images": images,
        "video": video,
        "audio": audio,
        "task": task,
        "batch_window": batch_window,
        "osl": osl,
        "concurrency": concurrency,
        "rate": rate,
        "prefix_hit": prefix_hit,
        "sessions": sessions,
        "users": users,
        "kv_tiers": kv_tiers,
        "routing": routing,
        "allow_long_context": allow_long_context,
        "ttft": ttft,
        "tpot": tpot,
        "e2e": e2e,
        "speculate": speculate,
        "draft_tokens": draft_tokens,
        "acceptance": acceptance,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "max_sequences": max_sequences,
        "max_batched_tokens": max_batched_tokens,
        "memory_fraction": memory_fraction,
        "max_model_len": max_model_len,
        "enforce_eager": enforce_eager,
        "max_cudagraph_capture_size": max_cudagraph_capture_size,
        "cudagraph_mode": cudagraph_mode,
        "cpu_offload_gb": cpu_offload_gb,
        "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "block_size": block_size,
        "enable_prefix_caching": enable_prefix_caching,
        "language_model_only": language_model_only,
        "limit_mm_per_prompt": limit_mm_per_prompt,
        "redundant_experts": redundant_experts,
        "scheduling": scheduling,
        "host_speed": host_speed,
        "kernels": kernels,
        "host": host,
        "gpu_layers": gpu_layers,
        "n_cpu_moe": n_cpu_moe,
        "cpu_moe": cpu_moe,
        "tensor_split": tensor_split,
        "split_mode": split_mode,
        "override_tensor": override_tensor,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention_dp": attention_dp,
        "dcp": dcp,
        "replicas": replicas,
        "batch": batch,
        "prefill_tp": prefill_tp,
        "prefill_pp": prefill_pp,
        "prefill_ep": prefill_ep,
        "prefill_attention_dp": prefill_attention_dp,
        "electricity": electricity,
        "pue": pue,
        "host_watts": host_watts,
        "objective": objective,
        "top": top,
        "batches": batches,
        "pareto": pareto,
        "verify": verify,
        "percentile": percentile,
        "confidence": confidence,
        "what_if": what_if,
        "current": current,
        "tokens_per_user": tokens_per_user,
        "min_concurrency": min_concurrency,
        "min_context": min_context,
        "max_gpus": max_gpus,
        "max_price": max_price,
        "max_cost": max_cost,
        "max_power": max_power,
        "mode": mode,
        "exhaustive": exhaustive,
        "time_limit": time_limit,
        "launch": launch,
        "explain": explain,
        "why_not": why_not,
        "emit": emit,
        "rank": rank,
    }
    return PlanAnswer(ask("plan", model, fields, catalog))


def estimate(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    cluster: str | None = None,
    gpu: str | Sequence[str] | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    isl: int | str | None = None,
    images: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    batch_window: str | None = None,
    osl: int | str | None = None,
    concurrency: int | str | None = None,
    rate: float | str | None = None,
    prefix_hit: float | str | None = None,
    sessions: str | None = None,
    users: int | str | None = None,
    kv_tiers: str | None = None,
    routing: str | None = None,
    allow_long_context: bool | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    e2e: str | None = None,
    speculate: str | Sequence[str] | None = None,
    draft_tokens: int | str | None = None,
    acceptance: float | str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    max_sequences: int | str | Sequence[int] | None = None,
    max_batched_tokens: int | str | Sequence[int] | None = None,
    memory_fraction: float | str | None = None,
    max_model_len: int | str | None = None,
    enforce_eager: bool | None = None,
    max_cudagraph_capture_size: int | str | None = None,
    cudagraph_mode: str | None = None,
    cpu_offload_gb: float | str | None = None,
    kv_cache_memory_bytes: str | None = None,
    block_size: int | str | None = None,
    enable_prefix_caching: bool | None = None,
    language_model_only: bool | None = None,
    limit_mm_per_prompt: int | str | None = None,
    redundant_experts: int | str | None = None,
    scheduling: str | None = None,
    host_speed: float | str | None = None,
    kernels: str | None = None,
    host: str | None = None,
    gpu_layers: int | str | None = None,
    n_cpu_moe: int | str | None = None,
    cpu_moe: bool | None = None,
    tensor_split: str | Sequence[str] | None = None,
    split_mode: str | None = None,
    override_tensor: str | Sequence[str] | None = None,
    tp: int | str | Sequence[int] | None = None,
    pp: int | str | Sequence[int] | None = None,
    ep: int | str | Sequence[int] | None = None,
    attention_dp: int | str | Sequence[int] | None = None,
    dcp: int | str | Sequence[int] | None = None,
    replicas: int | str | Sequence[int] | None = None,
    prefill: str | None = None,
    decode: str | None = None,
    electricity: float | str | None = None,
    pue: float | str | None = None,
    host_watts: float | str | None = None,
    launch: str | None = None,
    explain: int | bool | None = None,
    emit: str | Sequence[str] | None = None,
    catalog: Folders | None = None,
) -> EstimateAnswer:
    """Work out one plan in every detail.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        cluster: Cluster: ``8xh100-sxm``, ``2x8xh200-sxm``, a name, a YAML file, or several kinds,
            ``8xh100-sxm+8xa100-sxm-80gb``. Of a search also ``any``, a usual server of each GPU
            that has a price, with filters:
            ``any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured``.
        gpu: GPU by name or YAML file: as many as the plan needs; several kinds to choose from where
            a fleet is sized, or a server of each in a search, or ``any`` with filters, as
            ``cluster`` has them.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        isl: Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter
            context.
        images: Images of each prompt, ``8x768x768`` (number, width, height): their tokens come to
            those of ``isl``.
        video: A video of each prompt, ``60s@1fps``, or ``60s@1fps@1280x720``; frames of 640 by 360
            when left out.
        audio: Sound of each prompt, ``30s``.
        task: What answers are made of: ``generate``, ``embed`` or ``rerank``; what the model does
            when left out.
        batch_window: How long an embedding or reranking server holds a batch that is not full for
            more inputs, such as ``5ms``; not at all when left out.
        osl: Output tokens: a number or a distribution, 512 when left out, less in a shorter
            context.
        concurrency: Requests in flight over the whole deployment; without any load, as many as are
            best.
        rate: Requests per second over the whole deployment: a number, or a text such as ``300
            req/min``.
        prefix_hit: Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
        sessions: Sessions of turns in place of lengths:
            ``turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]``, or ``chat``,
            ``coding-agent``, ``rag``, ``deep-research``, each with what differs after it; what is
            in the prefix cache then follows from its size.
        users: Users of sessions over the whole deployment, in place of a load.
        kv_tiers: Tiers below the GPUs' cache: ``cpu=1TiB,nvme=4TB,shared=20TB``, of each node but
            for the shared one, each with ``@BANDWIDTH`` where that is known.
        routing: How turns are sent to replicas: ``prefix-aware`` (when left out), ``round-robin``
            or ``least-load``.
        allow_long_context: Whether prompts and outputs beyond the model's context are accepted.
        ttft: Longest time to first token, such as ``1s`` or ``500ms`` on the mean, ``p95:1s`` at a
            percentile.
        tpot: Longest time per output token after the first, such as ``50ms``.
        e2e: Longest time from request to last token, such as ``20s``.
        speculate: What drafts tokens: ``mtp``, ``eagle3``, ``ngram`` or ``model``; ``off,mtp``
            looks at plans without and with.
        draft_tokens: Tokens to draft for each step; when left out 1, of ``eagle3`` 3.
        acceptance: How likely a drafted token is accepted when those before it were, from 0 to 1;
            as published of ``mtp`` and ``eagle3`` when left out.
        engine: Engines: ``vllm``, a version ``vllm@0.19``, a launch ``sglang@deepep-eplb``,
            several, ``any``, or a YAML file; what runs on the GPU when left out.
        weights: Formats of linear layers and experts, such as ``fp8``; the checkpoint's own when
            left out.
        kv: Types of the KV cache, such as ``fp8``; the engine's when left out.
        max_sequences: Sequences in one batch; the engine's when left out.
        max_batched_tokens: Tokens in one step; the engine's when left out.
        memory_fraction: The engine's memory fraction, above 0 and at most 1; the engine's own when
            left out.
        max_model_len: Tokens of the longest request that the server takes, prompt and output
            together: vLLM refuses to start where one finds no room; the model's context when left
            out.
        enforce_eager: Whether the server starts without CUDA graphs.
        max_cudagraph_capture_size: The largest step with a CUDA graph, in tokens, or sequences of a
            step that only decodes; the engine's when left out.
        cudagraph_mode: Which steps have CUDA graphs: ``none``, ``piecewise``, ``full``,
            ``full_decode_only`` or ``full_and_piecewise``; the engine's when left out.
        cpu_offload_gb: GiB of weights of each GPU that stay in the host's memory and are read from
            there in every step.
        kv_cache_memory_bytes: Memory of the KV cache on each GPU, such as ``49GiB``, in place of
            what the memory fraction leaves.
        block_size: Tokens of a block of the KV cache; the engine's when left out.
        enable_prefix_caching: Whether prefixes are kept; the engine's when left out.
        language_model_only: Whether the server takes text alone and loads no image encoder.
        limit_mm_per_prompt: Images that a prompt may have; 0 for none.
        redundant_experts: Experts of each layer that are held a second time, over all ranks.
        scheduling: How the engine schedules where it was launched otherwise:
            ``arrival_poll_steps=10,prefill_graphs=true``.
        host_speed: How fast the hosts are beside those of the published runs: 0.5 doubles what the
            engine's host adds to steps and requests; 1 when left out.
        kernels: Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted
            forms where they have data.
        host: Memory of each node's host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the
            cluster's when left out.
        gpu_layers: Layers on the GPUs, the output projection counted as one more; all that find
            room when left out.
        n_cpu_moe: First layers whose routed experts stay with the host; as few as find no room when
            left out.
        cpu_moe: Whether all routed experts stay with the host.
        tensor_split: How layers are dealt out over pipeline stages: layers of each, such as
            ``21,19``, of llama.cpp proportions, such as ``3,1``; evenly when left out. It says the
            stages where ``pp`` does not.
        split_mode: How a model is divided over GPUs: ``layer``.
        override_tensor: Routed experts of the first layers that stay with the host, in llama.cpp's
            patterns, such as ``exps=CPU``.
        tp: Tensor parallel: of one plan a degree, of a search also a list or a range; free when
            left out of a search.
        pp: Pipeline stages, as ``tp``.
        ep: Expert parallel, as ``tp``.
        attention_dp: Attention data parallel, as ``tp``.
        dcp: Decode context parallel, as ``tp``.
        replicas: Replicas, between which requests go round, as ``tp``.
        prefill: Workers that compute prompts and hand their cache on, ``tp=2,replicas=3``; beside
            ``decode``, in place of ``tp`` and the like.
        decode: Workers that decode, in the same form; their keys include dcp.
        electricity: Electricity in dollars per kWh, added to the rental price, which includes it
            when this is left out.
        pue: Power of the site over power of its computers; 1.54 when left out.
        host_watts: Power of the server beside its GPUs, in watts per GPU; 0 when left out.
        launch: What starts the server, as text or a file: ``vllm serve …``, a script, manifests.
            Fields that are given win over it.
        explain: Of a search the plan of this rank, of one plan whether it is explained, operator by
            operator, in place of the answer.
        emit: What starts the plan, in place of the answer: command, docker, k8s, llm-d, dynamo,
            kserve, slurm, skypilot or ray, or several.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "cluster": cluster,
        "gpu": gpu,
        "price": price,
        "isl": isl,
        "images": images,
        "video": video,
        "audio": audio,
        "task": task,
        "batch_window": batch_window,
        "osl": osl,
        "concurrency": concurrency,
        "rate": rate,
        "prefix_hit": prefix_hit,
        "sessions": sessions,
        "users": users,
        "kv_tiers": kv_tiers,
        "routing": routing,
        "allow_long_context": allow_long_context,
        "ttft": ttft,
        "tpot": tpot,
        "e2e": e2e,
        "speculate": speculate,
        "draft_tokens": draft_tokens,
        "acceptance": acceptance,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "max_sequences": max_sequences,
        "max_batched_tokens": max_batched_tokens,
        "memory_fraction": memory_fraction,
        "max_model_len": max_model_len,
        "enforce_eager": enforce_eager,
        "max_cudagraph_capture_size": max_cudagraph_capture_size,
        "cudagraph_mode": cudagraph_mode,
        "cpu_offload_gb": cpu_offload_gb,
        "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "block_size": block_size,
        "enable_prefix_caching": enable_prefix_caching,
        "language_model_only": language_model_only,
        "limit_mm_per_prompt": limit_mm_per_prompt,
        "redundant_experts": redundant_experts,
        "scheduling": scheduling,
        "host_speed": host_speed,
        "kernels": kernels,
        "host": host,
        "gpu_layers": gpu_layers,
        "n_cpu_moe": n_cpu_moe,
        "cpu_moe": cpu_moe,
        "tensor_split": tensor_split,
        "split_mode": split_mode,
        "override_tensor": override_tensor,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention_dp": attention_dp,
        "dcp": dcp,
        "replicas": replicas,
        "prefill": prefill,
        "decode": decode,
        "electricity": electricity,
        "pue": pue,
        "host_watts": host_watts,
        "launch": launch,
        "explain": explain,
        "emit": emit,
    }
    return EstimateAnswer(ask("estimate", model, fields, catalog))


def size(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    gpu: str | Sequence[str] | None = None,
    clusters: str | Sequence[str] | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    isl: int | str | None = None,
    images: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    batch_window: str | None = None,
    osl: int | str | None = None,
    rate: float | str | None = None,
    prefix_hit: float | str | None = None,
    sessions: str | None = None,
    users: int | str | None = None,
    kv_tiers: str | None = None,
    routing: str | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    e2e: str | None = None,
    speculate: str | Sequence[str] | None = None,
    draft_tokens: int | str | None = None,
    acceptance: float | str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    max_sequences: int | str | Sequence[int] | None = None,
    max_batched_tokens: int | str | Sequence[int] | None = None,
    memory_fraction: float | str | None = None,
    max_model_len: int | str | None = None,
    enforce_eager: bool | None = None,
    max_cudagraph_capture_size: int | str | None = None,
    cudagraph_mode: str | None = None,
    cpu_offload_gb: float | str | None = None,
    kv_cache_memory_bytes: str | None = None,
    block_size: int | str | None = None,
    enable_prefix_caching: bool | None = None,
    language_model_only: bool | None = None,
    limit_mm_per_prompt: int | str | None = None,
    redundant_experts: int | str | None = None,
    scheduling: str | None = None,
    host_speed: float | str | None = None,
    kernels: str | None = None,
    host: str | None = None,
    gpu_layers: int | str | None = None,
    n_cpu_moe: int | str | None = None,
    cpu_moe: bool | None = None,
    tensor_split: str | Sequence[str] | None = None,
    split_mode: str | None = None,
    override_tensor: str | Sequence[str] | None = None,
    objective: str | None = None,
    top: int | str | None = None,
    percentile: str | None = None,
    confidence: str | None = None,
    unit: int | str | None = None,
    max_replica: int | str | None = None,
    forecast: str | None = None,
    headroom: float | str | None = None,
    spare: int | str | None = None,
    catalog: Folders | None = None,
) -> SizeAnswer:
    """Find the smallest or cheapest fleet for a rate.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        gpu: GPU by name or YAML file: as many as the plan needs; several kinds to choose from where
            a fleet is sized, or a server of each in a search, or ``any`` with filters, as
            ``cluster`` has them.
        clusters: Clusters to choose from, bought whole.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        isl: Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter
            context.
        images: Images of each prompt, ``8x768x768`` (number, width, height): their tokens come to
            those of ``isl``.
        video: A video of each prompt, ``60s@1fps``, or ``60s@1fps@1280x720``; frames of 640 by 360
            when left out.
        audio: Sound of each prompt, ``30s``.
        task: What answers are made of: ``generate``, ``embed`` or ``rerank``; what the model does
            when left out.
        batch_window: How long an embedding or reranking server holds a batch that is not full for
            more inputs, such as ``5ms``; not at all when left out.
        osl: Output tokens: a number or a distribution, 512 when left out, less in a shorter
            context.
        rate: Requests per second over the whole deployment: a number, or a text such as ``300
            req/min``.
        prefix_hit: Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
        sessions: Sessions of turns in place of lengths:
            ``turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]``, or ``chat``,
            ``coding-agent``, ``rag``, ``deep-research``, each with what differs after it; what is
            in the prefix cache then follows from its size.
        users: Users of sessions over the whole deployment, in place of a load.
        kv_tiers: Tiers below the GPUs' cache: ``cpu=1TiB,nvme=4TB,shared=20TB``, of each node but
            for the shared one, each with ``@BANDWIDTH`` where that is known.
        routing: How turns are sent to replicas: ``prefix-aware`` (when left out), ``round-robin``
            or ``least-load``.
        ttft: Longest time to first token, such as ``1s`` or ``500ms`` on the mean, ``p95:1s`` at a
            percentile.
        tpot: Longest time per output token after the first, such as ``50ms``.
        e2e: Longest time from request to last token, such as ``20s``.
        speculate: What drafts tokens: ``mtp``, ``eagle3``, ``ngram`` or ``model``; ``off,mtp``
            looks at plans without and with.
        draft_tokens: Tokens to draft for each step; when left out 1, of ``eagle3`` 3.
        acceptance: How likely a drafted token is accepted when those before it were, from 0 to 1;
            as published of ``mtp`` and ``eagle3`` when left out.
        engine: Engines: ``vllm``, a version ``vllm@0.19``, a launch ``sglang@deepep-eplb``,
            several, ``any``, or a YAML file; what runs on the GPU when left out.
        weights: Formats of linear layers and experts, such as ``fp8``; the checkpoint's own when
            left out.
        kv: Types of the KV cache, such as ``fp8``; the engine's when left out.
        max_sequences: Sequences in one batch; the engine's when left out.
        max_batched_tokens: Tokens in one step; the engine's when left out.
        memory_fraction: The engine's memory fraction, above 0 and at most 1; the engine's own when
            left out.
        max_model_len: Tokens of the longest request that the server takes, prompt and output
            together: vLLM refuses to start where one finds no room; the model's context when left
            out.
        enforce_eager: Whether the server starts without CUDA graphs.
        max_cudagraph_capture_size: The largest step with a CUDA graph, in tokens, or sequences of a
            step that only decodes; the engine's when left out.
        cudagraph_mode: Which steps have CUDA graphs: ``none``, ``piecewise``, ``full``,
            ``full_decode_only`` or ``full_and_piecewise``; the engine's when left out.
        cpu_offload_gb: GiB of weights of each GPU that stay in the host's memory and are read from
            there in every step.
        kv_cache_memory_bytes: Memory of the KV cache on each GPU, such as ``49GiB``, in place of
            what the memory fraction leaves.
        block_size: Tokens of a block of the KV cache; the engine's when left out.
        enable_prefix_caching: Whether prefixes are kept; the engine's when left out.
        language_model_only: Whether the server takes text alone and loads no image encoder.
        limit_mm_per_prompt: Images that a prompt may have; 0 for none.
        redundant_experts: Experts of each layer that are held a second time, over all ranks.
        scheduling: How the engine schedules where it was launched otherwise:
            ``arrival_poll_steps=10,prefill_graphs=true``.
        host_speed: How fast the hosts are beside those of the published runs: 0.5 doubles what the
            engine's host adds to steps and requests; 1 when left out.
        kernels: Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted
            forms where they have data.
        host: Memory of each node's host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the
            cluster's when left out.
        gpu_layers: Layers on the GPUs, the output projection counted as one more; all that find
            room when left out.
        n_cpu_moe: First layers whose routed experts stay with the host; as few as find no room when
            left out.
        cpu_moe: Whether all routed experts stay with the host.
        tensor_split: How layers are dealt out over pipeline stages: layers of each, such as
            ``21,19``, of llama.cpp proportions, such as ``3,1``; evenly when left out. It says the
            stages where ``pp`` does not.
        split_mode: How a model is divided over GPUs: ``layer``.
        override_tensor: Routed experts of the first layers that stay with the host, in llama.cpp's
            patterns, such as ``exps=CPU``.
        objective: What the best plan is best at: throughput, per-gpu, latency, cost, energy or
            weights ``throughput=2,ttft=1``; of a fleet, cost or gpus.
        top: Plans to keep, one per layout, 10 when left out; of a fleet, of each kind of GPU, 1.
        percentile: Percentile that limits on times are on where they say none themselves, such as
            ``p90``; the mean when left out.
        confidence: Chance with which limits on times are to hold on a real server, by those
            measured, such as ``90%``; as estimated when left out.
        unit: GPUs that are bought together; 1 when left out.
        max_replica: Most GPUs of one replica, up to four usual servers, as many when left out.
        forecast: CSV file with the columns month and rate_per_s, in place of a rate: the fleet of
            each month.
        headroom: Capacity above the rate, such as ``20%``; 25 % when left out.
        spare: Replicas beyond those needed; none when left out.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "gpu": gpu,
        "clusters": clusters,
        "price": price,
        "isl": isl,
        "images": images,
        "video": video,
        "audio": audio,
        "task": task,
        "batch_window": batch_window,
        "osl": osl,
        "rate": rate,
        "prefix_hit": prefix_hit,
        "sessions": sessions,
        "users": users,
        "kv_tiers": kv_tiers,
        "routing": routing,
        "ttft": ttft,
        "tpot": tpot,
        "e2e": e2e,
        "speculate": speculate,
        "draft_tokens": draft_tokens,
        "acceptance": acceptance,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "max_sequences": max_sequences,
        "max_batched_tokens": max_batched_tokens,
        "memory_fraction": memory_fraction,
        "max_model_len": max_model_len,
        "enforce_eager": enforce_eager,
        "max_cudagraph_capture_size": max_cudagraph_capture_size,
        "cudagraph_mode": cudagraph_mode,
        "cpu_offload_gb": cpu_offload_gb,
        "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "block_size": block_size,
        "enable_prefix_caching": enable_prefix_caching,
        "language_model_only": language_model_only,
        "limit_mm_per_prompt": limit_mm_per_prompt,
        "redundant_experts": redundant_experts,
        "scheduling": scheduling,
        "host_speed": host_speed,
        "kernels": kernels,
        "host": host,
        "gpu_layers": gpu_layers,
        "n_cpu_moe": n_cpu_moe,
        "cpu_moe": cpu_moe,
        "tensor_split": tensor_split,
        "split_mode": split_mode,
        "override_tensor": override_tensor,
        "objective": objective,
        "top": top,
        "percentile": percentile,
        "confidence": confidence,
        "unit": unit,
        "max_replica": max_replica,
        "forecast": forecast,
        "headroom": headroom,
        "spare": spare,
    }
    return SizeAnswer(ask("size", model, fields, catalog))


def simulate(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    cluster: str | None = None,
    gpu: str | Sequence[str] | None = None,
    isl: int | str | None = None,
    images: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    batch_window: str | None = None,
    osl: int | str | None = None,
    concurrency: int | str | None = None,
    rate: float | str | None = None,
    prefix_hit: float | str | None = None,
    sessions: str | None = None,
    users: int | str | None = None,
    kv_tiers: str | None = None,
    routing: str | None = None,
    allow_long_context: bool | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    e2e: str | None = None,
    speculate: str | Sequence[str] | None = None,
    draft_tokens: int | str | None = None,
    acceptance: float | str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    max_sequences: int | str | Sequence[int] | None = None,
    max_batched_tokens: int | str | Sequence[int] | None = None,
    memory_fraction: float | str | None = None,
    max_model_len: int | str | None = None,
    enforce_eager: bool | None = None,
    max_cudagraph_capture_size: int | str | None = None,
    cudagraph_mode: str | None = None,
    cpu_offload_gb: float | str | None = None,
    kv_cache_memory_bytes: str | None = None,
    block_size: int | str | None = None,
    enable_prefix_caching: bool | None = None,
    language_model_only: bool | None = None,
    limit_mm_per_prompt: int | str | None = None,
    redundant_experts: int | str | None = None,
    scheduling: str | None = None,
    host_speed: float | str | None = None,
    kernels: str | None = None,
    host: str | None = None,
    gpu_layers: int | str | None = None,
    n_cpu_moe: int | str | None = None,
    cpu_moe: bool | None = None,
    tensor_split: str | Sequence[str] | None = None,
    split_mode: str | None = None,
    override_tensor: str | Sequence[str] | None = None,
    tp: int | str | Sequence[int] | None = None,
    pp: int | str | Sequence[int] | None = None,
    ep: int | str | Sequence[int] | None = None,
    attention_dp: int | str | Sequence[int] | None = None,
    dcp: int | str | Sequence[int] | None = None,
    replicas: int | str | Sequence[int] | None = None,
    prefill: str | None = None,
    decode: str | None = None,
    burstiness: float | str | None = None,
    trace: str | None = None,
    columns: str | None = None,
    no_prefix_cache: bool | None = None,
    speed: float | str | None = None,
    protocol: str | None = None,
    requests: int | str | None = None,
    warmup: int | str | None = None,
    seed: int | str | None = None,
    launch: str | None = None,
    catalog: Folders | None = None,
) -> SimulateAnswer:
    """Run one plan in discrete events: percentiles, goodput, queues.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        cluster: Cluster: ``8xh100-sxm``, ``2x8xh200-sxm``, a name, a YAML file, or several kinds,
            ``8xh100-sxm+8xa100-sxm-80gb``. Of a search also ``any``, a usual server of each GPU
            that has a price, with filters:
            ``any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured``.
        gpu: GPU by name or YAML file: as many as the plan needs; several kinds to choose from where
            a fleet is sized, or a server of each in a search, or ``any`` with filters, as
            ``cluster`` has them.
        isl: Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter
            context.
        images: Images of each prompt, ``8x768x768`` (number, width, height): their tokens come to
            those of ``isl``.
        video: A video of each prompt, ``60s@1fps``, or ``60s@1fps@1280x720``; frames of 640 by 360
            when left out.
        audio: Sound of each prompt, ``30s``.
        task: What answers are made of: ``generate``, ``embed`` or ``rerank``; what the model does
            when left out.
        batch_window: How long an embedding or reranking server holds a batch that is not full for
            more inputs, such as ``5ms``; not at all when left out.
        osl: Output tokens: a number or a distribution, 512 when left out, less in a shorter
            context.
        concurrency: Requests in flight over the whole deployment; without any load, as many as are
            best.
        rate: Requests per second over the whole deployment: a number, or a text such as ``300
            req/min``.
        prefix_hit: Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
        sessions: Sessions of turns in place of lengths:
            ``turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]``, or ``chat``,
            ``coding-agent``, ``rag``, ``deep-research``, each with what differs after it; what is
            in the prefix cache then follows from its size.
        users: Users of sessions over the whole deployment, in place of a load.
        kv_tiers: Tiers below the GPUs' cache: ``cpu=1TiB,nvme=4TB,shared=20TB``, of each node but
            for the shared one, each with ``@BANDWIDTH`` where that is known.
        routing: How turns are sent to replicas: ``prefix-aware`` (when left out), ``round-robin``
            or ``least-load``.
        allow_long_context: Whether prompts and outputs beyond the model's context are accepted.
        ttft: Longest time to first token, such as ``1s`` or ``500ms`` on the mean, ``p95:1s`` at a
            percentile.
        tpot: Longest time per output token after the first, such as ``50ms``.
        e2e: Longest time from request to last token, such as ``20s``.
        speculate: What drafts tokens: ``mtp``, ``eagle3``, ``ngram`` or ``model``; ``off,mtp``
            looks at plans without and with.
        draft_tokens: Tokens to draft for each step; when left out 1, of ``eagle3`` 3.
        acceptance: How likely a drafted token is accepted when those before it were, from 0 to 1;
            as published of ``mtp`` and ``eagle3`` when left out.
        engine: Engines: ``vllm``, a version ``vllm@0.19``, a launch ``sglang@deepep-eplb``,
            several, ``any``, or a YAML file; what runs on the GPU when left out.
        weights: Formats of linear layers and experts, such as ``fp8``; the checkpoint's own when
            left out.
        kv: Types of the KV cache, such as ``fp8``; the engine's when left out.
        max_sequences: Sequences in one batch; the engine's when left out.
        max_batched_tokens: Tokens in one step; the engine's when left out.
        memory_fraction: The engine's memory fraction, above 0 and at most 1; the engine's own when
            left out.
        max_model_len: Tokens of the longest request that the server takes, prompt and output
            together: vLLM refuses to start where one finds no room; the model's context when left
            out.
        enforce_eager: Whether the server starts without CUDA graphs.
        max_cudagraph_capture_size: The largest step with a CUDA graph, in tokens, or sequences of a
            step that only decodes; the engine's when left out.
        cudagraph_mode: Which steps have CUDA graphs: ``none``, ``piecewise``, ``full``,
            ``full_decode_only`` or ``full_and_piecewise``; the engine's when left out.
        cpu_offload_gb: GiB of weights of each GPU that stay in the host's memory and are read from
            there in every step.
        kv_cache_memory_bytes: Memory of the KV cache on each GPU, such as ``49GiB``, in place of
            what the memory fraction leaves.
        block_size: Tokens of a block of the KV cache; the engine's when left out.
        enable_prefix_caching: Whether prefixes are kept; the engine's when left out.
        language_model_only: Whether the server takes text alone and loads no image encoder.
        limit_mm_per_prompt: Images that a prompt may have; 0 for none.
        redundant_experts: Experts of each layer that are held a second time, over all ranks.
        scheduling: How the engine schedules where it was launched otherwise:
            ``arrival_poll_steps=10,prefill_graphs=true``.
        host_speed: How fast the hosts are beside those of the published runs: 0.5 doubles what the
            engine's host adds to steps and requests; 1 when left out.
        kernels: Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted
            forms where they have data.
        host: Memory of each node's host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the
            cluster's when left out.
        gpu_layers: Layers on the GPUs, the output projection counted as one more; all that find
            room when left out.
        n_cpu_moe: First layers whose routed experts stay with the host; as few as find no room when
            left out.
        cpu_moe: Whether all routed experts stay with the host.
        tensor_split: How layers are dealt out over pipeline stages: layers of each, such as
            ``21,19``, of llama.cpp proportions, such as ``3,1``; evenly when left out. It says the
            stages where ``pp`` does not.
        split_mode: How a model is divided over GPUs: ``layer``.
        override_tensor: Routed experts of the first layers that stay with the host, in llama.cpp's
            patterns, such as ``exps=CPU``.
        tp: Tensor parallel: of one plan a degree, of a search also a list or a range; free when
            left out of a search.
        pp: Pipeline stages, as ``tp``.
        ep: Expert parallel, as ``tp``.
        attention_dp: Attention data parallel, as ``tp``.
        dcp: Decode context parallel, as ``tp``.
        replicas: Replicas, between which requests go round, as ``tp``.
        prefill: Workers that compute prompts and hand their cache on, ``tp=2,replicas=3``; beside
            ``decode``, in place of ``tp`` and the like.
        decode: Workers that decode, in the same form; their keys include dcp.
        burstiness: Gamma shape of the gaps under a rate: 1 (when left out) is Poisson, less is
            burstier.
        trace: File of requests, in place of lengths and a load.
        columns: Columns of the trace: ``arrival=…,prompt=…,output=…[,session=…]``, ``arrival_ms``
            for milliseconds; those of published traces are known.
        no_prefix_cache: Whether every prompt of a trace is computed whole, though it says what
            prompts have in common.
        speed: How many times as fast the trace is played; 1 when left out.
        protocol: How the server is driven: steady (when left out), inferencex, trtllm-bench or
            mlperf-server.
        requests: Requests to send; the protocol's when left out, of a trace all.
        warmup: Requests in the beginning that do not count; the protocol's when left out.
        seed: Seed of what is drawn; 1 when left out.
        launch: What starts the server, as text or a file: ``vllm serve …``, a script, manifests.
            Fields that are given win over it.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "cluster": cluster,
        "gpu": gpu,
        "isl": isl,
        "images": images,
        "video": video,
        "audio": audio,
        "task": task,
        "batch_window": batch_window,
        "osl": osl,
        "concurrency": concurrency,
        "rate": rate,
        "prefix_hit": prefix_hit,
        "sessions": sessions,
        "users": users,
        "kv_tiers": kv_tiers,
        "routing": routing,
        "allow_long_context": allow_long_context,
        "ttft": ttft,
        "tpot": tpot,
        "e2e": e2e,
        "speculate": speculate,
        "draft_tokens": draft_tokens,
        "acceptance": acceptance,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "max_sequences": max_sequences,
        "max_batched_tokens": max_batched_tokens,
        "memory_fraction": memory_fraction,
        "max_model_len": max_model_len,
        "enforce_eager": enforce_eager,
        "max_cudagraph_capture_size": max_cudagraph_capture_size,
        "cudagraph_mode": cudagraph_mode,
        "cpu_offload_gb": cpu_offload_gb,
        "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "block_size": block_size,
        "enable_prefix_caching": enable_prefix_caching,
        "language_model_only": language_model_only,
        "limit_mm_per_prompt": limit_mm_per_prompt,
        "redundant_experts": redundant_experts,
        "scheduling": scheduling,
        "host_speed": host_speed,
        "kernels": kernels,
        "host": host,
        "gpu_layers": gpu_layers,
        "n_cpu_moe": n_cpu_moe,
        "cpu_moe": cpu_moe,
        "tensor_split": tensor_split,
        "split_mode": split_mode,
        "override_tensor": override_tensor,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention_dp": attention_dp,
        "dcp": dcp,
        "replicas": replicas,
        "prefill": prefill,
        "decode": decode,
        "burstiness": burstiness,
        "trace": trace,
        "columns": columns,
        "no_prefix_cache": no_prefix_cache,
        "speed": speed,
        "protocol": protocol,
        "requests": requests,
        "warmup": warmup,
        "seed": seed,
        "launch": launch,
    }
    return SimulateAnswer(ask("simulate", model, fields, catalog))


def inspect(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    others: str | Sequence[str] | None = None,
    mode: str | None = None,
    table: str | None = None,
    batch: int | str | None = None,
    seq: int | str | Sequence[int] | None = None,
    weights: str | None = None,
    kv: str | None = None,
    dtype: str | None = None,
    flash_attention: bool | None = None,
    no_flash_attention: bool | None = None,
    no_flash_decoding: bool | None = None,
    query_block: int | str | None = None,
    splits: int | str | None = None,
    capacity_factor: float | str | None = None,
    dropout: bool | None = None,
    gpu: str | None = None,
    tp: int | str | None = None,
    pp: int | str | None = None,
    ep: int | str | None = None,
    attention_dp: int | str | None = None,
    engine: str | None = None,
    ram: str | None = None,
    framework: str | None = None,
    optimizer: str | None = None,
    precision: str | None = None,
    tuning: str | None = None,
    recompute: str | None = None,
    sharding: str | None = None,
    schedule: str | None = None,
    dp: int | str | None = None,
    cp: int | str | None = None,
    expert_tp: int | str | None = None,
    vp: int | str | None = None,
    microbatches: int | str | None = None,
    no_sequence_parallel: bool | None = None,
    mtp: bool | None = None,
    catalog: Folders | None = None,
) -> InspectAnswer:
    """Take models apart: parameters, storage, KV cache, FLOPs, what bounds each part.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        others: More models, to compare with the first.
        mode: What the model does: pretrain, prefill or decode; prefill, where a table needs one,
            when left out.
        table: params, memory, flops, intensity, precision, context, training, known or all; params
            when left out, all with ``mode``.
        batch: Sequences; 1 when left out.
        seq: Tokens of each sequence: prompt (prefill), training sequence, or context (decode);
            2,048 when left out. Several are shown one below the other.
        weights: Format of linear layers and experts; the checkpoint's own when left out, of
            training ``dtype``.
        kv: Type of the KV cache; that of activations when left out.
        dtype: Type of activations, and of weights that ``weights`` does not name: bf16 (when left
            out), fp16 or fp32.
        flash_attention: Whether one attention kernel never stores the scores, which it does not
            when left out.
        no_flash_attention: Whether all attention scores are written and read.
        no_flash_decoding: Whether each sequence is decoded in one pass instead of in splits.
        query_block: Queries that share one pass over keys and values; 128 when left out.
        splits: Splits of the context in flash decoding; the kernel's own choice when left out, with
            ``gpu``.
        capacity_factor: Rows that each expert computes, in multiples of an even share; dropless
            when left out.
        dropout: Whether training keeps dropout masks.
        gpu: GPU whose roofline and memory count, by name or YAML file.
        tp: Tensor parallel, for the contexts that fit and for training; 1 when left out.
        pp: Pipeline stages, for the same.
        ep: Expert parallel, for the same.
        attention_dp: Attention data parallel, for the contexts that fit.
        engine: Engine whose memory rule counts for the contexts that fit; vllm when left out.
        ram: Memory of a host, such as ``32GB``: warns where the model does not fit.
        framework: Training framework, by name or YAML file; when left out megatron, or with
            adapters one that has them.
        optimizer: adam (when left out), adam-bf16, adam-8bit, adafactor, sgd or muon.
        precision: Number format of products: bf16 (when left out), fp8, mxfp8, nvfp4.
        tuning: full, lora or qlora, which train the adapters of ``lora``; full when left out, lora
            with ``lora``.
        recompute: none (when left out), selective, light, operators, full.
        sharding: ddp, zero1, zero2, zero3 (FSDP), hsdp; ddp when left out, zero1 with ``dp`` or
            ``cp``.
        schedule: Order of microbatches: 1f1b (when left out), zero-bubble, zero-bubble-h2,
            dualpipe.
        dp: Data parallel; 1 when left out.
        cp: Context parallel; 1 when left out.
        expert_tp: Tensor parallel inside experts; 1 when left out.
        vp: Chunks of layers on each rank of a pipeline; 1 when left out.
        microbatches: Microbatches of a step; two for each stage of a pipeline when left out.
        no_sequence_parallel: Whether the sequence is left whole between tensor-parallel regions.
        mtp: Whether multi-token prediction is trained too, where the model has it.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "others": others,
        "mode": mode,
        "table": table,
        "batch": batch,
        "seq": seq,
        "weights": weights,
        "kv": kv,
        "dtype": dtype,
        "flash_attention": flash_attention,
        "no_flash_attention": no_flash_attention,
        "no_flash_decoding": no_flash_decoding,
        "query_block": query_block,
        "splits": splits,
        "capacity_factor": capacity_factor,
        "dropout": dropout,
        "gpu": gpu,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention_dp": attention_dp,
        "engine": engine,
        "ram": ram,
        "framework": framework,
        "optimizer": optimizer,
        "precision": precision,
        "tuning": tuning,
        "recompute": recompute,
        "sharding": sharding,
        "schedule": schedule,
        "dp": dp,
        "cp": cp,
        "expert_tp": expert_tp,
        "vp": vp,
        "microbatches": microbatches,
        "no_sequence_parallel": no_sequence_parallel,
        "mtp": mtp,
    }
    return InspectAnswer(ask("inspect", model, fields, catalog))


def train(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    cluster: str | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    global_batch: int | str | None = None,
    seq: int | str | None = None,
    framework: str | None = None,
    optimizer: str | None = None,
    precision: str | Sequence[str] | None = None,
    tuning: str | None = None,
    mtp: bool | None = None,
    axes: str | None = None,
    tp: int | str | Sequence[int] | None = None,
    pp: int | str | Sequence[int] | None = None,
    cp: int | str | Sequence[int] | None = None,
    ep: int | str | Sequence[int] | None = None,
    expert_tp: int | str | Sequence[int] | None = None,
    micro_batch: int | str | Sequence[int] | None = None,
    vp: int | str | Sequence[int] | None = None,
    schedule: str | Sequence[str] | None = None,
    sharding: str | Sequence[str] | None = None,
    recompute: str | Sequence[str] | None = None,
    offload: str | Sequence[str] | None = None,
    host: str | None = None,
    tokens: float | str | None = None,
    mtbf: str | None = None,
    restart: str | None = None,
    storage: str | None = None,
    top: int | str | None = None,
    explain: int | str | None = None,
    why_not: str | None = None,
    emit: str | None = None,
    flops: str | None = None,
    catalog: Folders | None = None,
) -> TrainAnswer:
    """Rank every plan to train a model on a cluster.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        cluster: Cluster: a name, ``8xh100-sxm``, ``2048xh100-sxm`` or a YAML file.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        global_batch: Sequences of one step, over all GPUs.
        seq: Tokens of a sequence.
        framework: Training framework, by name or YAML file; when left out megatron-bridge, or where
            that does not run or tune so one that does.
        optimizer: adam (when left out), adam-bf16, adam-8bit, adafactor, sgd or muon.
        precision: Number formats of products that compete: bf16 (when left out, or fp16 where the
            GPU has no BF16), fp16 with the loss scaled, fp8, mxfp8, nvfp4.
        tuning: full (when left out), lora or qlora; the last two train the adapters of ``lora``.
        mtp: Whether multi-token prediction is trained too, where the model has it.
        axes: Which plans: usual (when left out: what frameworks offer) or calculon (the axes of
            Calculon's exhaustive search).
        tp: Tensor parallel: a value, a list or a range; all inside a node that divide when left
            out.
        pp: Pipeline stages, as ``tp``.
        cp: Context parallel; 1, 2, 4 and 8 when left out.
        ep: Expert parallel, as ``tp``.
        expert_tp: Tensor parallel inside experts; 1 when left out.
        micro_batch: Sequences of a microbatch; 1, 2, 4 and 8 when left out.
        vp: Chunks of layers on each rank of a pipeline.
        schedule: 1f1b, zero-bubble, zero-bubble-h2, dualpipe; 1f1b when left out, interleaved where
            ``vp`` is above 1.
        sharding: ddp, zero1, zero2, zero3 (FSDP), hsdp; zero1 and zero3 when left out.
        recompute: none, selective, light, operators, full; all when left out.
        offload: What may lie in the host's memory: weights, optimizer, activations; nothing when
            left out.
        host: Memory of each node's host, such as ``memory=256GiB,bandwidth=307GB/s``: plans that
            leave more there are none; the cluster's when left out, if its file says.
        tokens: Tokens of the whole run, such as ``15T``: days and dollars.
        mtbf: Mean time between failures of one GPU, such as ``50000 h``; that of Llama 3's training
            when left out.
        restart: From a failure to the next step; 10 min when left out.
        storage: Bandwidth of each node to storage; 2 GB/s when left out.
        top: Splits to keep; 10 when left out.
        explain: The plan of this rank operator by operator, in place of the ranking.
        why_not: Why plans with these degrees are not the best, such as ``tp=2,pp=1``, in place of
            the ranking.
        emit: The best plan as the files of megatron, torchtitan or deepspeed, in place of the
            ranking.
        flops: What TFLOP/s and MFU count: model (when left out: causal attention), whole-square,
            recomputed (forward twice) or 6n.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "cluster": cluster,
        "price": price,
        "global_batch": global_batch,
        "seq": seq,
        "framework": framework,
        "optimizer": optimizer,
        "precision": precision,
        "tuning": tuning,
        "mtp": mtp,
        "axes": axes,
        "tp": tp,
        "pp": pp,
        "cp": cp,
        "ep": ep,
        "expert_tp": expert_tp,
        "micro_batch": micro_batch,
        "vp": vp,
        "schedule": schedule,
        "sharding": sharding,
        "recompute": recompute,
        "offload": offload,
        "host": host,
        "tokens": tokens,
        "mtbf": mtbf,
        "restart": restart,
        "storage": storage,
        "top": top,
        "explain": explain,
        "why_not": why_not,
        "emit": emit,
        "flops": flops,
    }
    return TrainAnswer(ask("train", model, fields, catalog))


def budget(
    *,
    flops: float | str | None = None,
    gpu_hours: float | str | None = None,
    dollars: float | str | None = None,
    days: float | str | None = None,
    gpu: str | None = None,
    gpus: int | str | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    mfu: float | str | None = None,
    framework: str | None = None,
    precision: str | None = None,
    approach: str | None = None,
    inference_tokens: float | str | None = None,
    catalog: Folders | None = None,
) -> BudgetAnswer:
    """How large a model a budget buys: parameters, tokens, loss.

    Args:
        flops: FLOPs of training, such as 1e24.
        gpu_hours: Hours of one GPU, such as 1e6.
        dollars: Dollars of rent.
        days: Days on ``gpus`` GPUs.
        gpu: GPU, by name or YAML file: GPU-hours, dollars and days; h100-sxm for those when left
            out.
        gpus: GPUs that the MFU is estimated on; 64 when left out.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        mfu: Model FLOPs utilisation, above 0 and at most 1; that of the best plan for a model of
            the size when left out.
        framework: Training framework that the MFU is estimated for; when left out megatron-bridge,
            or where that does not run one that does.
        precision: Number format of products: bf16 (when left out), fp8, mxfp8, nvfp4.
        approach: The law that curves follow: 1, 2, 3 (as published) or 3-corrected (when left out).
        inference_tokens: Tokens that the model will serve, such as ``10T``: smaller models trained
            longer, to the same loss.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "flops": flops,
        "gpu_hours": gpu_hours,
        "dollars": dollars,
        "days": days,
        "gpu": gpu,
        "gpus": gpus,
        "price": price,
        "mfu": mfu,
        "framework": framework,
        "precision": precision,
        "approach": approach,
        "inference_tokens": inference_tokens,
    }
    return BudgetAnswer(ask("budget", None, fields, catalog))


def fit(
    *,
    cluster: str | None = None,
    host: str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | None = None,
    context: int | str | None = None,
    isl: int | str | None = None,
    osl: int | str | None = None,
    task: str | None = None,
    min_tokens: float | str | None = None,
    max_memory: str | None = None,
    license: str | Sequence[str] | None = None,
    family: str | Sequence[str] | None = None,
    since: str | None = None,
    all_formats: bool | None = None,
    top: int | str | None = None,
    models: str | Sequence[str] | None = None,
    catalog: Folders | None = None,
) -> FitAnswer:
    """Which models run on a machine: in which formats, how fast, how well.

    Args:
        cluster: Machine: ``1xrtx-4090``, a name, or a YAML file.
        host: Memory of the host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the cluster's
            when left out.
        engine: Engines: ``llama.cpp``, a version ``vllm@0.19``, several, or ``any``; llama.cpp,
            vLLM and SGLang where they run when left out.
        weights: Formats of weights to look at, such as ``q4_k_m``; all when left out.
        kv: Type of the KV cache, such as ``fp8``, for engines that have it; the engine's when left
            out.
        context: Tokens of the longest conversation that must find room; 8,192 when left out, less
            of models made for less.
        isl: Prompt tokens of the speeds, 2,048 when left out.
        osl: Output tokens of the speeds, 512 when left out.
        task: What models are for: chat, code, vision, embedding or reasoning; all but embedding
            when left out.
        min_tokens: Fewest tokens per second of one user; 5 when left out, about as fast as people
            read.
        max_memory: Most memory of each GPU that a model and one conversation may take, such as
            ``16GiB``.
        license: Licences, such as ``apache-2.0``, or ``permissive`` for all that let everybody use,
            change and sell a model.
        family: Families: parts of names or model types, such as ``qwen3``.
        since: First day of release: ``2025``, ``2025-06`` or ``2025-06-30``.
        all_formats: Whether every way that runs is listed, and not one for each model.
        top: Models to list; 20 when left out.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "cluster": cluster,
        "host": host,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "context": context,
        "isl": isl,
        "osl": osl,
        "task": task,
        "min_tokens": min_tokens,
        "max_memory": max_memory,
        "license": license,
        "family": family,
        "since": since,
        "all_formats": all_formats,
        "top": top,
        "models": models,
    }
    return FitAnswer(ask("fit", None, fields, catalog))


def emit(
    model: Model | None = None,
    *,
    shape: str | None = None,
    models: str | Sequence[str] | None = None,
    scope: str | None = None,
    lora: str | None = None,
    draft_model: str | None = None,
    offline: bool | None = None,
    cluster: str | None = None,
    gpu: str | Sequence[str] | None = None,
    price: Mapping[str, float] | str | Sequence[str] | None = None,
    isl: int | str | None = None,
    images: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    task: str | None = None,
    batch_window: str | None = None,
    osl: int | str | None = None,
    concurrency: int | str | None = None,
    rate: float | str | None = None,
    prefix_hit: float | str | None = None,
    sessions: str | None = None,
    users: int | str | None = None,
    kv_tiers: str | None = None,
    routing: str | None = None,
    allow_long_context: bool | None = None,
    ttft: str | None = None,
    tpot: str | None = None,
    e2e: str | None = None,
    speculate: str | Sequence[str] | None = None,
    draft_tokens: int | str | None = None,
    acceptance: float | str | None = None,
    engine: str | Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    kv: str | Sequence[str] | None = None,
    max_sequences: int | str | Sequence[int] | None = None,
    max_batched_tokens: int | str | Sequence[int] | None = None,
    memory_fraction: float | str | None = None,
    max_model_len: int | str | None = None,
    enforce_eager: bool | None = None,
    max_cudagraph_capture_size: int | str | None = None,
    cudagraph_mode: str | None = None,
    cpu_offload_gb: float | str | None = None,
    kv_cache_memory_bytes: str | None = None,
    block_size: int | str | None = None,
    enable_prefix_caching: bool | None = None,
    language_model_only: bool | None = None,
    limit_mm_per_prompt: int | str | None = None,
    redundant_experts: int | str | None = None,
    scheduling: str | None = None,
    host_speed: float | str | None = None,
    kernels: str | None = None,
    host: str | None = None,
    gpu_layers: int | str | None = None,
    n_cpu_moe: int | str | None = None,
    cpu_moe: bool | None = None,
    tensor_split: str | Sequence[str] | None = None,
    split_mode: str | None = None,
    override_tensor: str | Sequence[str] | None = None,
    tp: int | str | Sequence[int] | None = None,
    pp: int | str | Sequence[int] | None = None,
    ep: int | str | Sequence[int] | None = None,
    attention_dp: int | str | Sequence[int] | None = None,
    dcp: int | str | Sequence[int] | None = None,
    replicas: int | str | Sequence[int] | None = None,
    batch: int | str | Sequence[int] | None = None,
    prefill_tp: int | str | Sequence[int] | None = None,
    prefill_pp: int | str | Sequence[int] | None = None,
    prefill_ep: int | str | Sequence[int] | None = None,
    prefill_attention_dp: int | str | Sequence[int] | None = None,
    prefill: str | None = None,
    decode: str | None = None,
    electricity: float | str | None = None,
    pue: float | str | None = None,
    host_watts: float | str | None = None,
    objective: str | None = None,
    top: int | str | None = None,
    batches: bool | None = None,
    pareto: str | None = None,
    verify: int | str | None = None,
    percentile: str | None = None,
    confidence: str | None = None,
    what_if: str | Sequence[str] | None = None,
    current: str | None = None,
    tokens_per_user: float | str | None = None,
    min_concurrency: int | str | None = None,
    min_context: int | str | None = None,
    max_gpus: int | str | None = None,
    max_price: float | str | None = None,
    max_cost: float | str | None = None,
    max_power: float | str | None = None,
    mode: str | None = None,
    exhaustive: bool | None = None,
    time_limit: str | None = None,
    launch: str | None = None,
    explain: int | bool | None = None,
    why_not: str | None = None,
    emit: str | Sequence[str] | None = None,
    rank: int | str | None = None,
    catalog: Folders | None = None,
) -> EmitAnswer:
    """Write what starts a plan: commands and manifests.

    Args:
        model: Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF
            file, or ``org/name[@revision]`` on the Hugging Face hub; or what a config.json holds,
            or a configuration of Transformers.
        shape: Sizes in place of a model, such as
            ``layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256``.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at before the
            catalogue.
        scope: Part of a multimodal model: ``full`` (when left out) or ``text``.
        lora: Room for LoRA adapters: ``rank=N[,targets=q,k,v,o|all-linear][,count=N]``.
        draft_model: Model that drafts tokens, named as ``model`` is.
        offline: Whether no hub may be asked.
        cluster: Cluster: ``8xh100-sxm``, ``2x8xh200-sxm``, a name, a YAML file, or several kinds,
            ``8xh100-sxm+8xa100-sxm-80gb``. Of a search also ``any``, a usual server of each GPU
            that has a price, with filters:
            ``any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured``.
        gpu: GPU by name or YAML file: as many as the plan needs; several kinds to choose from where
            a fleet is sized, or a server of each in a search, or ``any`` with filters, as
            ``cluster`` has them.
        price: Price per GPU and hour in dollars, over the catalogue's: ``{"h100-sxm": 2.10}``.
        isl: Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter
            context.
        images: Images of each prompt, ``8x768x768`` (number, width, height): their tokens come to
            those of ``isl``.
        video: A video of each prompt, ``60s@1fps``, or ``60s@1fps@1280x720``; frames of 640 by 360
            when left out.
        audio: Sound of each prompt, ``30s``.
        task: What answers are made of: ``generate``, ``embed`` or ``rerank``; what the model does
            when left out.
        batch_window: How long an embedding or reranking server holds a batch that is not full for
            more inputs, such as ``5ms``; not at all when left out.
        osl: Output tokens: a number or a distribution, 512 when left out, less in a shorter
            context.
        concurrency: Requests in flight over the whole deployment; without any load, as many as are
            best.
        rate: Requests per second over the whole deployment: a number, or a text such as ``300
            req/min``.
        prefix_hit: Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
        sessions: Sessions of turns in place of lengths:
            ``turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]``, or ``chat``,
            ``coding-agent``, ``rag``, ``deep-research``, each with what differs after it; what is
            in the prefix cache then follows from its size.
        users: Users of sessions over the whole deployment, in place of a load.
        kv_tiers: Tiers below the GPUs' cache: ``cpu=1TiB,nvme=4TB,shared=20TB``, of each node but
            for the shared one, each with ``@BANDWIDTH`` where that is known.
        routing: How turns are sent to replicas: ``prefix-aware`` (when left out), ``round-robin``
            or ``least-load``.
        allow_long_context: Whether prompts and outputs beyond the model's context are accepted.
        ttft: Longest time to first token, such as ``1s`` or ``500ms`` on the mean, ``p95:1s`` at a
            percentile.
        tpot: Longest time per output token after the first, such as ``50ms``.
        e2e: Longest time from request to last token, such as ``20s``.
        speculate: What drafts tokens: ``mtp``, ``eagle3``, ``ngram`` or ``model``; ``off,mtp``
            looks at plans without and with.
        draft_tokens: Tokens to draft for each step; when left out 1, of ``eagle3`` 3.
        acceptance: How likely a drafted token is accepted when those before it were, from 0 to 1;
            as published of ``mtp`` and ``eagle3`` when left out.
        engine: Engines: ``vllm``, a version ``vllm@0.19``, a launch ``sglang@deepep-eplb``,
            several, ``any``, or a YAML file; what runs on the GPU when left out.
        weights: Formats of linear layers and experts, such as ``fp8``; the checkpoint's own when
            left out.
        kv: Types of the KV cache, such as ``fp8``; the engine's when left out.
        max_sequences: Sequences in one batch; the engine's when left out.
        max_batched_tokens: Tokens in one step; the engine's when left out.
        memory_fraction: The engine's memory fraction, above 0 and at most 1; the engine's own when
            left out.
        max_model_len: Tokens of the longest request that the server takes, prompt and output
            together: vLLM refuses to start where one finds no room; the model's context when left
            out.
        enforce_eager: Whether the server starts without CUDA graphs.
        max_cudagraph_capture_size: The largest step with a CUDA graph, in tokens, or sequences of a
            step that only decodes; the engine's when left out.
        cudagraph_mode: Which steps have CUDA graphs: ``none``, ``piecewise``, ``full``,
            ``full_decode_only`` or ``full_and_piecewise``; the engine's when left out.
        cpu_offload_gb: GiB of weights of each GPU that stay in the host's memory and are read from
            there in every step.
        kv_cache_memory_bytes: Memory of the KV cache on each GPU, such as ``49GiB``, in place of
            what the memory fraction leaves.
        block_size: Tokens of a block of the KV cache; the engine's when left out.
        enable_prefix_caching: Whether prefixes are kept; the engine's when left out.
        language_model_only: Whether the server takes text alone and loads no image encoder.
        limit_mm_per_prompt: Images that a prompt may have; 0 for none.
        redundant_experts: Experts of each layer that are held a second time, over all ranks.
        scheduling: How the engine schedules where it was launched otherwise:
            ``arrival_poll_steps=10,prefill_graphs=true``.
        host_speed: How fast the hosts are beside those of the published runs: 0.5 doubles what the
            engine's host adds to steps and requests; 1 when left out.
        kernels: Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted
            forms where they have data.
        host: Memory of each node's host: ``memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]``; the
            cluster's when left out.
        gpu_layers: Layers on the GPUs, the output projection counted as one more; all that find
            room when left out.
        n_cpu_moe: First layers whose routed experts stay with the host; as few as find no room when
            left out.
        cpu_moe: Whether all routed experts stay with the host.
        tensor_split: How layers are dealt out over pipeline stages: layers of each, such as
            ``21,19``, of llama.cpp proportions, such as ``3,1``; evenly when left out. It says the
            stages where ``pp`` does not.
        split_mode: How a model is divided over GPUs: ``layer``.
        override_tensor: Routed experts of the first layers that stay with the host, in llama.cpp's
            patterns, such as ``exps=CPU``.
        tp: Tensor parallel: of one plan a degree, of a search also a list or a range; free when
            left out of a search.
        pp: Pipeline stages, as ``tp``.
        ep: Expert parallel, as ``tp``.
        attention_dp: Attention data parallel, as ``tp``.
        dcp: Decode context parallel, as ``tp``.
        replicas: Replicas, between which requests go round, as ``tp``.
        batch: Requests in flight on each replica.
        prefill_tp: Tensor parallel of the prefill workers.
        prefill_pp: Pipeline stages of the prefill workers.
        prefill_ep: Expert parallel of the prefill workers.
        prefill_attention_dp: Attention data parallel of the prefill workers.
        prefill: Workers that compute prompts and hand their cache on, ``tp=2,replicas=3``; beside
            ``decode``, in place of ``tp`` and the like.
        decode: Workers that decode, in the same form; their keys include dcp.
        electricity: Electricity in dollars per kWh, added to the rental price, which includes it
            when this is left out.
        pue: Power of the site over power of its computers; 1.54 when left out.
        host_watts: Power of the server beside its GPUs, in watts per GPU; 0 when left out.
        objective: What the best plan is best at: throughput, per-gpu, latency, cost, energy or
            weights ``throughput=2,ttft=1``; of a fleet, cost or gpus.
        top: Plans to keep, one per layout, 10 when left out; of a fleet, of each kind of GPU, 1.
        batches: Whether every feasible batch of the layouts that are kept is listed, and not the
            best of each alone.
        pareto: Measures that the front is drawn over: ``per-gpu,tpot`` when left out.
        verify: Plans from the first that are made sure to hold the targets as simulated, 0 for the
            closed form alone; when left out, the first, and more where that takes little.
        percentile: Percentile that limits on times are on where they say none themselves, such as
            ``p90``; the mean when left out.
        confidence: Chance with which limits on times are to hold on a real server, by those
            measured, such as ``90%``; as estimated when left out.
        what_if: How the best plan moves when GPUs differ: ``hbm=+20%``.
        current: What runs today: ``tp=4,replicas=2``.
        tokens_per_user: Tokens per second that each user sees at least, after the first token.
        min_concurrency: Requests in flight that the deployment holds at least.
        min_context: Tokens of the longest request that must fit in memory, prompt and output
            together.
        max_gpus: GPUs used at most.
        max_price: Dollars per hour for the GPUs used at most.
        max_cost: Dollars per million output tokens at most.
        max_power: Watts that the GPUs used draw at most, all together.
        mode: ``aggregated`` (every replica does everything, when left out), ``split`` (pools of
            prefill and decode workers) or ``any``.
        exhaustive: Whether plans are looked at even where they are proven to be no better than
            others.
        time_limit: Time after which the search stops with the best found by then.
        launch: What starts the server, as text or a file: ``vllm serve …``, a script, manifests.
            Fields that are given win over it.
        explain: Of a search the plan of this rank, of one plan whether it is explained, operator by
            operator, in place of the answer.
        why_not: A layout, such as ``tp=2,pp=1``, and why it is not an answer, in place of the
            ranking.
        emit: What starts the plan, in place of the answer: command, docker, k8s, llm-d, dynamo,
            kserve, slurm, skypilot or ray, or several.
        rank: The plan that ``emit`` writes, by its rank, or where no limit is named by what it is
            best at; when left out 1, or all parts of what several pools, or replicas of different
            sizes, deliver together where that is more.
        catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/,
            over those built in.

    Raises:
        InputError: What is wrong with the question, where, and what would mend it.
    """
    fields: dict[str, Any] = {
        "shape": shape,
        "models": models,
        "scope": scope,
        "lora": lora,
        "draft_model": draft_model,
        "offline": offline,
        "cluster": cluster,
        "gpu": gpu,
        "price": price,
        "isl": isl,
        "images": images,
        "video": video,
        "audio": audio,
        "task": task,
        "batch_window": batch_window,
        "osl": osl,
        "concurrency": concurrency,
        "rate": rate,
        "prefix_hit": prefix_hit,
        "sessions": sessions,
        "users": users,
        "kv_tiers": kv_tiers,
        "routing": routing,
        "allow_long_context": allow_long_context,
        "ttft": ttft,
        "tpot": tpot,
        "e2e": e2e,
        "speculate": speculate,
        "draft_tokens": draft_tokens,
        "acceptance": acceptance,
        "engine": engine,
        "weights": weights,
        "kv": kv,
        "max_sequences": max_sequences,
        "max_batched_tokens": max_batched_tokens,
        "memory_fraction": memory_fraction,
        "max_model_len": max_model_len,
        "enforce_eager": enforce_eager,
        "max_cudagraph_capture_size": max_cudagraph_capture_size,
        "cudagraph_mode": cudagraph_mode,
        "cpu_offload_gb": cpu_offload_gb,
        "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "block_size": block_size,
        "enable_prefix_caching": enable_prefix_caching,
        "language_model_only": language_model_only,
        "limit_mm_per_prompt": limit_mm_per_prompt,
        "redundant_experts": redundant_experts,
        "scheduling": scheduling,
        "host_speed": host_speed,
        "kernels": kernels,
        "host": host,
        "gpu_layers": gpu_layers,
        "n_cpu_moe": n_cpu_moe,
        "cpu_moe": cpu_moe,
        "tensor_split": tensor_split,
        "split_mode": split_mode,
        "override_tensor": override_tensor,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention_dp": attention_dp,
        "dcp": dcp,
        "replicas": replicas,
        "batch": batch,
        "prefill_tp": prefill_tp,
        "prefill_pp": prefill_pp,
        "prefill_ep": prefill_ep,
        "prefill_attention_dp": prefill_attention_dp,
        "prefill": prefill,
        "decode": decode,
        "electricity": electricity,
        "pue": pue,
        "host_watts": host_watts,
        "objective": objective,
        "top": top,
        "batches": batches,
        "pareto": pareto,
        "verify": verify,
        "percentile": percentile,
        "confidence": confidence,
        "what_if": what_if,
        "current": current,
        "tokens_per_user": tokens_per_user,
        "min_concurrency": min_concurrency,
        "min_context": min_context,
        "max_gpus": max_gpus,
        "max_price": max_price,
        "max_cost": max_cost,
        "max_power": max_power,
        "mode": mode,
        "exhaustive": exhaustive,
        "time_limit": time_limit,
        "launch": launch,
        "explain": explain,
        "why_not": why_not,
        "emit": emit,
        "rank": rank,
    }
    return EmitAnswer(ask("emit", model, fields, catalog))
