# Written by tools/python_api.py from what the compiled module says of itself.
"""The rows of answers: what each figure means, with its unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shardfit.records import Record

class PlanMemory(Record):
    """The object ``memory`` of a ``Plan``.

    Attributes:
        weights_gib: Weights of the fullest rank.
        kv_cache_gib: KV cache that the engine allocates.
        kv_cache_tokens: Tokens that it holds.
        one_request_gib: KV cache that one request of the longest length needs.
        activations_gib: Activation peak.
        non_torch_gib: Context, libraries, communication buffers.
        cuda_graphs_gib: CUDA graphs.
        total_gib: Sum of the parts.
        host_gib: Weights in the host's memory, where some are left there.
        capacity_gib: Physical memory.
    """

    __slots__ = ()

    weights_gib: float | None
    kv_cache_gib: float | None
    kv_cache_tokens: int | None
    one_request_gib: float | None
    activations_gib: float | None
    non_torch_gib: float | None
    cuda_graphs_gib: float | None
    total_gib: float | None
    host_gib: float | None
    capacity_gib: float | None


class Plan(Record):
    """A deployment with its figures.

    Attributes:
        rank: Place in the ranking.
        gpu: GPU that it runs on.
        engine: Serving engine.
        engine_version: Its version, whose defaults apply.
        mode: Aggregated, or split into prefill and decode pools.
        weights: Format of most weights.
        kv: Type of the KV cache.
        max_sequences: Most sequences in one batch, as launched.
        max_batched_tokens: Most tokens in one step, as launched.
        draft_tokens: Tokens drafted for each step.
        tp: Tensor parallel.
        pp: Pipeline stages.
        ep: Expert parallel.
        attention_dp: Attention data parallel.
        dcp: Decode context parallel.
        expert_tp: Tensor parallel inside each expert.
        gpu_layers: Layers on the GPUs and the output projection, where some are with the host.
        n_cpu_moe: First layers whose experts are with the host.
        tensor_split: Layers of each stage, of llama.cpp proportions of its GPUs, where they are
            dealt out unevenly.
        replicas: Independent copies of the engine.
        prefill: Prefill workers and the split of one; other columns are of decode workers.
        prefill_replicas: Prefill workers.
        prefill_gpu: GPU of a prefill worker.
        prefill_tp: Tensor parallel of a prefill worker.
        prefill_pp: Its pipeline stages.
        prefill_ep: Expert parallel of a prefill worker.
        prefill_attention_dp: Attention data parallel of a prefill worker.
        prefill_load: Share of its time that a prefill worker computes.
        kv_transfer_ms: What a first token waits for the transfer of the cache.
        gpus: GPUs used.
        idle_gpus: GPUs of the cluster left idle.
        batch: Requests in flight on each replica.
        max_batch: Most requests in flight on a replica.
        ttft_ms: Time to first token, mean.
        encoder_ms: Encoding the images and sound of one prompt, where it brings any.
        tpot_ms: Time per output token after the first, mean.
        e2e_ms: Request to last token, mean.
        output_tokens_per_s: Output tokens per second, all replicas.
        output_tokens_per_s_per_gpu: The same per GPU used.
        output_tokens_per_s_per_user: Tokens per second of one stream after the first.
        requests_in_flight: Requests in flight over the deployment.
        prefix_hit: Share of the prompt tokens that are in the prefix cache, where some are.
        prefix_loaded: Share of the prompt tokens that is loaded from tiers below the GPUs' cache.
        prefix_residence_s: How long what was said stays in the GPUs' cache, of sessions.
        users: Users of sessions, all replicas.
        price_usd_per_hour: Dollars per hour, GPUs used.
        requests_per_s: Requests per second, all replicas.
        requests_per_s_per_gpu: The same per GPU used, of embedding and reranking.
        input_tokens_per_s: Input tokens per second, of embedding and reranking.
        cost_usd_per_million_requests: Dollars per million requests of embedding and reranking.
        cost_usd_per_mtok_output: Dollars per million output tokens, GPUs used.
        cost_usd_per_mtok_total: Dollars per million tokens, input and output.
        power_w_per_gpu: Power of one GPU used, mean.
        energy_j_per_output_token: Joules per output token, GPUs used.
        energy_j_per_token: Joules per token, input and output.
        energy_kwh_per_mtok_output: KWh of the GPUs used per million output tokens.
        electricity_usd_per_mtok_output: Part of the cost that electricity makes, if priced.
        closed_ttft_ms: Mean time to first token in closed form, of a plan that was simulated.
        closed_tpot_ms: The same of the time per output token.
        closed_e2e_ms: The same of request to last token.
        closed_output_tokens_per_s: Output tokens per second in closed form, the same.
        simulated_ttft_ms: Time to first token as simulated, if it was, on what its limit is on.
        simulated_tpot_ms: Time per output token as simulated, the same.
        simulated_e2e_ms: Request to last token as simulated, the same.
        simulated_ttft_p50_ms: Median time to first token as simulated.
        simulated_ttft_p95_ms: Its 95th percentile.
        simulated_ttft_p99_ms: Its 99th percentile.
        simulated_tpot_p50_ms: Median time per output token as simulated.
        simulated_tpot_p95_ms: Its 95th percentile.
        simulated_tpot_p99_ms: Its 99th percentile.
        simulated_e2e_p50_ms: Median request to last token as simulated.
        simulated_e2e_p95_ms: Its 95th percentile.
        simulated_e2e_p99_ms: Its 99th percentile.
        simulated_output_tokens_per_s: Output tokens per second as simulated.
        simulated_requests_per_s: Requests per second of embedding and reranking as simulated.
        holds_percent: Chance that a server keeps every limit on a time, by those measured.
        holds_ttft_percent: Chance that it keeps the limit on the time to first token.
        holds_tpot_percent: The same of the time per output token.
        holds_e2e_percent: The same of the time from request to last token.
        headroom_gib: KV cache left over at this batch.
        margin_gib: Memory beside weights and one request of full length, before it runs out.
        cache_left_percent: Share of the KV cache that the batch leaves.
        verdict: Fits, marginal or does_not_fit.
        needs_flag: What it does not start without, where the whole context finds no room.
        practice: Usual, or unusual: no server is known to be launched so.
        ttft_ms_low: Eight of ten measured servers of such a model and engine lie from here.
        ttft_ms_high: To here.
        tpot_ms_low: The same of the time per output token.
        tpot_ms_high: To here.
        output_tokens_per_s_low: The throughput that follows from both.
        output_tokens_per_s_high: To here.
        provenance: Measured, fitted, mixed or uncalibrated kernel times.
        delta_output_tokens_per_s_percent: Output tokens per second against today.
        delta_ttft_percent: Time to first token against today.
        delta_tpot_percent: Time per output token against today.
        delta_cost_percent: Dollars per output token against today.
        delta_energy_percent: Joules per output token against today.
        delta_gpus_percent: GPUs used against today.
        memory: See ``PlanMemory``.
    """

    __slots__ = ()

    rank: int | None
    gpu: str | None
    engine: str | None
    engine_version: str | None
    mode: str | None
    weights: str | None
    kv: str | None
    max_sequences: int | None
    max_batched_tokens: int | None
    draft_tokens: int | None
    tp: int | None
    pp: int | None
    ep: int | None
    attention_dp: int | None
    dcp: int | None
    expert_tp: int | None
    gpu_layers: int | None
    n_cpu_moe: int | None
    tensor_split: str | None
    replicas: int | None
    prefill: str | None
    prefill_replicas: int | None
    prefill_gpu: str | None
    prefill_tp: int | None
    prefill_pp: int | None
    prefill_ep: int | None
    prefill_attention_dp: int | None
    prefill_load: float | None
    kv_transfer_ms: float | None
    gpus: int | None
    idle_gpus: int | None
    batch: float | None
    max_batch: int | None
    ttft_ms: float | None
    encoder_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    output_tokens_per_s: float | None
    output_tokens_per_s_per_gpu: float | None
    output_tokens_per_s_per_user: float | None
    requests_in_flight: float | None
    prefix_hit: float | None
    prefix_loaded: float | None
    prefix_residence_s: float | None
    users: float | None
    price_usd_per_hour: float | None
    requests_per_s: float | None
    requests_per_s_per_gpu: float | None
    input_tokens_per_s: float | None
    cost_usd_per_million_requests: float | None
    cost_usd_per_mtok_output: float | None
    cost_usd_per_mtok_total: float | None
    power_w_per_gpu: float | None
    energy_j_per_output_token: float | None
    energy_j_per_token: float | None
    energy_kwh_per_mtok_output: float | None
    electricity_usd_per_mtok_output: float | None
    closed_ttft_ms: float | None
    closed_tpot_ms: float | None
    closed_e2e_ms: float | None
    closed_output_tokens_per_s: float | None
    simulated_ttft_ms: float | None
    simulated_tpot_ms: float | None
    simulated_e2e_ms: float | None
    simulated_ttft_p50_ms: float | None
    simulated_ttft_p95_ms: float | None
    simulated_ttft_p99_ms: float | None
    simulated_tpot_p50_ms: float | None
    simulated_tpot_p95_ms: float | None
    simulated_tpot_p99_ms: float | None
    simulated_e2e_p50_ms: float | None
    simulated_e2e_p95_ms: float | None
    simulated_e2e_p99_ms: float | None
    simulated_output_tokens_per_s: float | None
    simulated_requests_per_s: float | None
    holds_percent: float | None
    holds_ttft_percent: float | None
    holds_tpot_percent: float | None
    holds_e2e_percent: float | None
    headroom_gib: float | None
    margin_gib: float | None
    cache_left_percent: float | None
    verdict: str | None
    needs_flag: str | None
    practice: str | None
    ttft_ms_low: float | None
    ttft_ms_high: float | None
    tpot_ms_low: float | None
    tpot_ms_high: float | None
    output_tokens_per_s_low: float | None
    output_tokens_per_s_high: float | None
    provenance: str | None
    delta_output_tokens_per_s_percent: float | None
    delta_ttft_percent: float | None
    delta_tpot_percent: float | None
    delta_cost_percent: float | None
    delta_energy_percent: float | None
    delta_gpus_percent: float | None
    memory: PlanMemory

    _parts: ClassVar[Mapping[str, type[Record]]] = {"memory": PlanMemory}


class Fleet(Record):
    """Replicas that serve a rate.

    Attributes:
        cluster: Cluster that it stands in.
        fleet_replicas: Replicas of the fleet.
        fleet_gpus: GPUs that they use.
        bought_gpus: GPUs that are bought for them.
        capacity_requests_per_s_per_replica: Most requests per second that a replica serves within
            the targets.
        utilisation_percent: Share of the fleet's capacity that the demand takes.
        cost_usd_per_hour: Dollars per hour, GPUs bought.
        cost_usd_per_month: Dollars per month of 730 hours, GPUs bought.
        cost_usd_per_mtok_output_fleet: Dollars per million output tokens of the demand, GPUs
            bought.
        cost_usd_per_million_requests_fleet: Dollars per million requests of the demand, GPUs
            bought, of embedding and reranking.
        tpot_uncertainty_percent: Half the range of eight of ten measured servers of the class, over
            its middle.
    """

    __slots__ = ()

    cluster: str | None
    fleet_replicas: int | None
    fleet_gpus: int | None
    bought_gpus: int | None
    capacity_requests_per_s_per_replica: float | None
    utilisation_percent: float | None
    cost_usd_per_hour: float | None
    cost_usd_per_month: float | None
    cost_usd_per_mtok_output_fleet: float | None
    cost_usd_per_million_requests_fleet: float | None
    tpot_uncertainty_percent: float | None


class RunningModel(Record):
    """A model that runs on a machine, and how.

    Attributes:
        rank: Place among the models that run.
        model: Catalogue name of the model.
        parameters_b: Parameters, in billions.
        active_parameters_b: Parameters that one token uses, in billions.
        score: Published score by the measure that is ranked by.
        score_interval: Half the width of its 95 % interval.
        weights: Format of most weights.
        origin: Own checkpoint, another checkpoint, made on_loading by the engine, or made by
            others.
        checkpoint: Catalogue name of the checkpoint that the weights are, or are made of.
        loss_percent: How much the format raises the perplexity of Llama 3 8B, where published.
        engine: Engine that would run it.
        engine_version: Its version.
        kv: Type of the KV cache.
        gpu: GPU that it runs on, or the cards of a replica where they are of several kinds.
        tp: Tensor parallel.
        pp: Pipeline stages.
        replicas: Copies of the model.
        gpu_layers: Layers on the GPUs and the output projection, where some are with the host.
        n_cpu_moe: First layers whose experts are with the host.
        tokens_per_s: Tokens per second of one user after the first, alone on the machine.
        prompt_tokens_per_s: Prompt tokens over the time to the first token of one user.
        ttft_ms: Time to first token of one user.
        users: Users at a time whose conversations find room, as many as the engine takes.
        output_tokens_per_s: Output tokens per second of all of them.
        room_tokens: Tokens of the longest conversation that one user has room for.
        memory_gib: Memory of the fullest GPU for weights, one conversation and the engine.
        margin_gib: Room that is left beside that.
        host_gib: Weights in the host's memory.
        verdict: Fits, or marginal: inside the uncertainty of memory.
        license: Licence, as the Hugging Face hub calls it.
        released: Day of release.
        provenance: Measured, fitted, mixed or uncalibrated kernel times.
        on_front: Yes where no other model has both a better score and more tokens per second.
    """

    __slots__ = ()

    rank: int | None
    model: str | None
    parameters_b: float | None
    active_parameters_b: float | None
    score: float | None
    score_interval: float | None
    weights: str | None
    origin: str | None
    checkpoint: str | None
    loss_percent: float | None
    engine: str | None
    engine_version: str | None
    kv: str | None
    gpu: str | None
    tp: int | None
    pp: int | None
    replicas: int | None
    gpu_layers: int | None
    n_cpu_moe: int | None
    tokens_per_s: float | None
    prompt_tokens_per_s: float | None
    ttft_ms: float | None
    users: int | None
    output_tokens_per_s: float | None
    room_tokens: int | None
    memory_gib: float | None
    margin_gib: float | None
    host_gib: float | None
    verdict: str | None
    license: str | None
    released: str | None
    provenance: str | None
    on_front: str | None


class TrainingPlan(Record):
    """A way to divide training over GPUs, with its figures.

    Attributes:
        rank: Place in the ranking.
        tp: Tensor parallel.
        pp: Pipeline stages.
        cp: Context parallel.
        dp: Data parallel.
        ep: Expert parallel.
        expert_tp: Tensor parallel inside each expert.
        micro_batch: Sequences of a microbatch.
        chunks: Chunks of layers that each stage interleaves.
        microbatches: Microbatches of a step.
        schedule: Order in which stages take microbatches.
        sharding: What data-parallel ranks divide.
        recompute: What a backward pass computes again.
        transfers: How tensor-parallel ranks exchange activations.
        offload_weights: Whether weights lie with the host.
        offload_optimizer: Whether the optimizer's states do.
        offload_activations: Whether activations do.
        offload: What lies in the host's memory: weights, optimizer, activations.
        precision: Number formats of products and states.
        step_s: Seconds of a step.
        tokens_per_s_per_gpu: Tokens per second of a GPU.
        tflops_per_gpu: Model TFLOP per second of a GPU.
        mfu_percent: Share of the peak that model FLOPs make.
        hfu_percent: Share of the peak that all computed FLOPs make.
        bubble_percent: Share of the step that stages wait for each other.
        exposed_percent: Share of the step that transfers are waited for.
        peak_memory_gib: Memory of the fullest stage.
        host_gib: Memory that the GPUs of the fullest node take of its host.
        checkpoint_gib: Size of a checkpoint.
        checkpoint_write_s: Seconds to write one.
        goodput_percent: Share of the run that is kept.
        provenance: Fitted, mixed or uncalibrated kernel times.
        days: Days of the run.
        cost_usd: Dollars of the run.
    """

    __slots__ = ()

    rank: int | None
    tp: int | None
    pp: int | None
    cp: int | None
    dp: int | None
    ep: int | None
    expert_tp: int | None
    micro_batch: int | None
    chunks: int | None
    microbatches: int | None
    schedule: str | None
    sharding: str | None
    recompute: str | None
    transfers: str | None
    offload_weights: str | None
    offload_optimizer: str | None
    offload_activations: str | None
    offload: str | None
    precision: str | None
    step_s: float | None
    tokens_per_s_per_gpu: float | None
    tflops_per_gpu: float | None
    mfu_percent: float | None
    hfu_percent: float | None
    bubble_percent: float | None
    exposed_percent: float | None
    peak_memory_gib: float | None
    host_gib: float | None
    checkpoint_gib: float | None
    checkpoint_write_s: float | None
    goodput_percent: float | None
    provenance: str | None
    days: float | None
    cost_usd: float | None
