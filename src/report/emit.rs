//! A training plan as a framework's own arguments or configuration.

use serde_json::json;

use crate::catalog::{Catalog, Framework};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Lora;
use crate::train::{
    Job, Misfit, Optimizer, Precision, Recompute, Schedule, Sharding, TrainingPlan, Tuning, offload_misfit,
};

/// What a plan can be written for.
pub const TARGETS: [&str; 4] = ["megatron", "torchtitan", "deepspeed", "axolotl"];

/// The one of them whose file says what adapters are trained, and in which format frozen weights lie.
const WITH_ADAPTERS: &str = "axolotl";

/// What a file of a framework's is called.
pub fn emitted_name(target: &str) -> &'static str {
    match target {
        "torchtitan" => "torchtitan.toml",
        "deepspeed" => "deepspeed.json",
        "axolotl" => "axolotl.yaml",
        _ => "megatron.args",
    }
}

/// The plan in a framework's own words.
///
/// # Errors
/// [`Code::UnknownName`] for another framework, [`Code::Usage`] where it lacks what the plan needs.
pub fn emit(
    target: &str,
    job: &Job,
    (plan, lora): (&TrainingPlan, Option<&Lora>),
) -> Result<String, Diagnostic> {
    if job.tuning != Tuning::Full && TARGETS.contains(&target) && target != WITH_ADAPTERS {
        let cause = match target {
            "deepspeed" => {
                "DeepSpeed's configuration says nothing of adapters, which the trainer around it attaches"
            }
            "megatron" => "arguments of Megatron-LM train all weights: they have no adapters",
            _ => "torchtitan's configuration trains all weights: it has no adapters",
        };
        return Err(Diagnostic::new(Code::Usage, format!("{cause} ({} is asked)", job.tuning.name()))
            .at("--emit")
            .help(format!("--emit {WITH_ADAPTERS} writes them; --tuning full trains all weights")));
    }
    // What the file can say of the host's memory is what the framework that reads it can leave there.
    if let Some(framework) = catalog_name(target) {
        let can = Catalog::built_in().framework(framework)?;
        if let Some(misfit) = offload_misfit(&can.offloads, plan) {
            return Err(not_offloaded(&can, &misfit, plan));
        }
    }
    match target {
        WITH_ADAPTERS => axolotl(job, plan, lora),
        "megatron" => megatron(job, plan),
        "torchtitan" => torchtitan(job, plan),
        "deepspeed" => deepspeed(job, plan),
        other => {
            let list = format!("allowed: {}", TARGETS.join(", "));
            Err(Diagnostic::unknown("framework to write for", other, TARGETS, &list))
        }
    }
}

/// The description of who reads a target's files; Axolotl, which trains with FSDP or DeepSpeed, has none of its own.
fn catalog_name(target: &str) -> Option<&'static str> {
    ["megatron", "torchtitan", "deepspeed"].into_iter().find(|name| *name == target)
}

fn not_offloaded(can: &Framework, misfit: &Misfit, plan: &TrainingPlan) -> Diagnostic {
    let cause = misfit.message().replacen("the framework", &can.name, 1);
    Diagnostic::new(Code::Usage, cause)
        .at("--emit")
        .help(format!("--framework {} plans what it can write; the plan is {plan}", can.id))
}

fn lacks(framework: &str, what: &str, plan: &TrainingPlan) -> Diagnostic {
    Diagnostic::new(Code::Usage, format!("{framework} has no {what}, which the plan needs"))
        .at("--emit")
        .help(format!("restrict the search so that it is not needed; the plan is {plan}"))
}

/// Arguments of Megatron-LM (`megatron/training/arguments.py`).
fn megatron(job: &Job, plan: &TrainingPlan) -> Result<String, Diagnostic> {
    let s = &plan.split;
    if plan.schedule != Schedule::OneForwardOneBackward {
        return Err(lacks("Megatron-LM", plan.schedule.name(), plan));
    }
    let mut args: Vec<String> = Vec::new();
    let mut size = |flag: &str, n: u64| args.push(format!("--{flag} {n}"));
    size("tensor-model-parallel-size", s.tp.into());
    size("pipeline-model-parallel-size", s.pp.into());
    if plan.chunks > 1 {
        size("num-virtual-stages-per-pipeline-rank", plan.chunks.into());
    }
    size("context-parallel-size", s.cp.into());
    if job.model.is_moe() {
        size("expert-model-parallel-size", s.ep.into());
        size("expert-tensor-parallel-size", s.expert_tp.into());
    }
    size("micro-batch-size", plan.micro_batch.into());
    size("global-batch-size", job.global_batch);
    size("seq-length", job.sequence);
    let layers = job.model.layers();
    // All layers but one, the most that it takes.
    let offloaded = format!("--cpu-offloading-num-layers {}", layers.saturating_sub(1));
    let mut flags: Vec<&str> = vec![if plan.precision == Precision::Fp16 { "--fp16" } else { "--bf16" }];
    if s.tp > 1 && plan.transfers != crate::train::TensorTransfers::AllReduce {
        flags.extend(["--sequence-parallel", "--tp-comm-overlap"]);
    }
    let pieces = u64::from(s.pp) * u64::from(plan.chunks);
    if s.pp > 1 && !layers.is_multiple_of(pieces) && (layers + 2).is_multiple_of(pieces) {
        flags.extend(["--account-for-embedding-in-pipeline-split", "--account-for-loss-in-pipeline-split"]);
    }
    flags.extend(match plan.sharding {
        Sharding::None => &["--overlap-grad-reduce"][..],
        Sharding::Optimizer | Sharding::Gradients => {
            &["--use-distributed-optimizer", "--overlap-grad-reduce", "--overlap-param-gather"]
        }
        Sharding::Parameters | Sharding::Hybrid => {
            &["--use-megatron-fsdp", "--data-parallel-sharding-strategy optim_grads_params"]
        }
    });
    flags.extend(match plan.recompute {
        Recompute::None => &[][..],
        Recompute::Selective => &["--recompute-granularity selective", "--recompute-modules core_attn"],
        Recompute::Light => {
            &["--recompute-granularity selective", "--recompute-modules layernorm moe_act mla_up_proj"]
        }
        Recompute::Operators => {
            &["--recompute-granularity selective", "--recompute-modules core_attn layernorm mlp"]
        }
        Recompute::Full => {
            &["--recompute-granularity full", "--recompute-method uniform", "--recompute-num-layers 1"]
        }
    });
    flags.extend(match plan.precision {
        Precision::Bf16 | Precision::Fp16 => &[][..],
        Precision::Fp8 => &["--fp8-format hybrid", "--fp8-recipe tensorwise"],
        Precision::Mxfp8 => &["--fp8-format e4m3", "--fp8-recipe mxfp8"],
        Precision::Nvfp4 => &["--fp4-format e2m1", "--fp4-recipe nvfp4"],
    });
    if plan.offload.optimizer {
        // It reuses the code of the precision-aware optimizer, which is a distributed one.
        if plan.sharding == Sharding::None {
            flags.push("--use-distributed-optimizer");
        }
        flags.extend([
            "--optimizer-cpu-offload",
            "--use-precision-aware-optimizer",
            "--overlap-cpu-optimizer-d2h-h2d",
        ]);
    }
    if plan.offload.activations {
        flags.push(&offloaded);
    }
    args.extend(flags.into_iter().map(str::to_owned));
    Ok(args.join(" \\\n") + "\n")
}

/// A configuration of torchtitan (`torchtitan/config/job_config.py`).
fn torchtitan(job: &Job, plan: &TrainingPlan) -> Result<String, Diagnostic> {
    let s = &plan.split;
    if s.expert_tp > 1 && s.expert_tp != s.tp {
        return Err(lacks("torchtitan", "tensor parallelism of another degree inside experts", plan));
    }
    let schedule = match (plan.schedule, plan.chunks) {
        (Schedule::OneForwardOneBackward, 1) => "1F1B",
        (Schedule::OneForwardOneBackward, _) => "Interleaved1F1B",
        (Schedule::ZeroBubble, _) => "InterleavedZeroBubble",
        (Schedule::ZeroBubble2, _) => return Err(lacks("torchtitan", plan.schedule.name(), plan)),
        (Schedule::DualPipe, _) => "DualPipeV",
    };
    let (shard, replicate) = match plan.sharding {
        Sharding::None => (1, s.dp),
        Sharding::Hybrid => {
            let inside = (job.machine.per_node() / s.tp).clamp(1, s.dp);
            (inside, s.dp / inside)
        }
        Sharding::Parameters => (s.dp, 1),
        Sharding::Optimizer | Sharding::Gradients => {
            let cause = format!("torchtitan has no {}, which the plan needs", plan.sharding.name());
            return Err(Diagnostic::new(Code::Usage, cause).at("--emit").help(
                "--framework torchtitan leaves out what it does not have; --sharding zero3 names what it has",
            ));
        }
    };
    let (mode, option) = match plan.recompute {
        Recompute::None => ("none", ""),
        Recompute::Light => {
            return Err(lacks("torchtitan", "recomputation of norms and activations alone", plan));
        }
        Recompute::Selective | Recompute::Operators => ("selective", "selective_ac_option = \"op\"\n"),
        Recompute::Full => ("full", ""),
    };
    let host = if plan.offload.weights { "enable_cpu_offload = true\n" } else { "" };
    let local = u64::from(plan.micro_batch) * if s.pp > 1 { job.global_batch / u64::from(s.dp) } else { 1 }
        / u64::from(if s.pp > 1 { plan.micro_batch } else { 1 });
    let converters = match plan.precision {
        Precision::Bf16 => "",
        // training.mixed_precision_param is bfloat16 or float32.
        Precision::Fp16 => return Err(lacks("torchtitan", "mixed precision in FP16", plan)),
        Precision::Fp8 => "\n[model]\nconverters = [\"quantize.linear.float8\"]\n",
        Precision::Mxfp8 => "\n[model]\nconverters = [\"quantize.linear.mx\"]\n",
        Precision::Nvfp4 => return Err(lacks("torchtitan", "NVFP4 training", plan)),
    };
    Ok(format!(
        "[training]\nlocal_batch_size = {local}\nglobal_batch_size = {}\nseq_len = {}\n{host}\n\
         [parallelism]\ndata_parallel_replicate_degree = {replicate}\ndata_parallel_shard_degree = {shard}\n\
         tensor_parallel_degree = {}\ncontext_parallel_degree = {}\npipeline_parallel_degree = {}\n\
         pipeline_parallel_schedule = \"{schedule}\"\npipeline_parallel_microbatch_size = {}\n\
         expert_parallel_degree = {}\n\n[activation_checkpoint]\nmode = \"{mode}\"\n{option}{converters}",
        job.global_batch, job.sequence, s.tp, s.cp, s.pp, plan.micro_batch, s.ep
    ))
}

/// A configuration of Axolotl (`docs/config-reference`, `docs/nd_parallelism`, 0.12 and newer): FSDP2, tensor and context
/// parallel over the Hugging Face model, adapters of PEFT.
fn axolotl(job: &Job, plan: &TrainingPlan, lora: Option<&Lora>) -> Result<String, Diagnostic> {
    let s = &plan.split;
    for (missing, what) in [
        (s.pp > 1, "pipeline stages"),
        (s.ep > 1, "expert parallelism"),
        (!plan.precision.is_wide(), plan.precision.name()),
        (
            !matches!(plan.recompute, Recompute::None | Recompute::Full),
            "recomputation of a part of each layer",
        ),
        (
            plan.offload.activations && plan.recompute != Recompute::Full,
            "activations in the host's memory without recomputation of layers",
        ),
        (
            plan.offload.weights != plan.offload.optimizer,
            "weights or optimizer states alone in the host's memory: FSDP and its DeepSpeed files move both",
        ),
        (
            plan.offload.weights
                && s.dp > 1
                && !matches!(plan.sharding, Sharding::Parameters | Sharding::Hybrid),
            "weights in the host's memory without sharding of parameters",
        ),
        (
            plan.offload.weights && s.dp == 1 && s.tp * s.cp > 1,
            "weights in the host's memory without data-parallel ranks",
        ),
        // Its file for that is zero3_bf16_cpuoffload_all.json.
        (
            plan.offload.weights && s.dp == 1 && plan.precision == Precision::Fp16,
            "file for weights in the host's memory of one rank in FP16",
        ),
    ] {
        if missing {
            return Err(lacks("Axolotl", what, plan));
        }
    }
    let optimizer = match job.optimizer {
        Optimizer::Adam | Optimizer::AdamBf16 => "adamw_torch_fused",
        Optimizer::Adam8bit => "adamw_8bit",
        Optimizer::Adafactor => "adafactor",
        Optimizer::Muon => "muon",
        Optimizer::Sgd => return Err(lacks("Axolotl", job.optimizer.name(), plan)),
    };
    let mut config = serde_json::Map::new();
    let mut say = |key: &str, value: serde_json::Value| {
        config.insert(key.to_owned(), value);
    };
    say("base_model", json!(job.model.id));
    match job.tuning {
        Tuning::Full => {}
        Tuning::Lora | Tuning::Qlora => {
            let lora = lora.ok_or_else(|| lacks("Axolotl", "adapters without a rank", plan))?;
            let quantised = job.tuning == Tuning::Qlora;
            say("adapter", json!(job.tuning.name()));
            say("load_in_4bit", json!(quantised));
            say("lora_r", json!(lora.rank));
            // Twice the rank is what PEFT's guides scale by; it takes no memory or time.
            say("lora_alpha", json!(lora.rank * 2));
            match lora.targets.is_empty() {
                true => say("lora_target_linear", json!(true)),
                false => say("lora_target_modules", json!(modules(lora))),
            }
        }
    }
    say("sequence_len", json!(job.sequence));
    say("sample_packing", json!(true));
    say("micro_batch_size", json!(plan.micro_batch));
    let at_once = u64::from(s.dp) * u64::from(plan.micro_batch);
    say("gradient_accumulation_steps", json!(job.global_batch / at_once.max(1)));
    say("optimizer", json!(optimizer));
    say(plan.precision.name(), json!(true));
    // FlashAttention-2 asks for the GPUs that have BF16, Ampere and newer.
    let flash = job.machine.multiplies(Precision::Bf16);
    say(if flash { "flash_attention" } else { "sdp_attention" }, json!(true));
    say("gradient_checkpointing", json!(plan.recompute == Recompute::Full));
    if plan.offload.activations {
        say("activation_offloading", json!("hidden_states"));
    }
    if s.tp > 1 {
        say("tensor_parallel_size", json!(s.tp));
    }
    if s.cp > 1 {
        say("context_parallel_size", json!(s.cp));
    }
    let inside = (job.machine.per_node() / s.tp).clamp(1, s.dp);
    match plan.sharding {
        // A single rank has no FSDP: DeepSpeed's stage 3 moves what it holds all the same.
        Sharding::None if plan.offload.weights => {
            say("deepspeed", json!("deepspeed_configs/zero3_bf16_cpuoffload_all.json"));
        }
        Sharding::None if s.dp > 1 => say("dp_replicate_size", json!(s.dp)),
        Sharding::None => {}
        Sharding::Optimizer => say("deepspeed", json!("deepspeed_configs/zero1.json")),
        Sharding::Gradients => say("deepspeed", json!("deepspeed_configs/zero2.json")),
        Sharding::Parameters => say("dp_shard_size", json!(s.dp)),
        Sharding::Hybrid => {
            say("dp_shard_size", json!(inside));
            say("dp_replicate_size", json!(s.dp / inside));
        }
    }
    if matches!(plan.sharding, Sharding::Parameters | Sharding::Hybrid) {
        say("fsdp_version", json!(2));
        say(
            "fsdp_config",
            json!({
                "offload_params": plan.offload.weights,
                "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
                "state_dict_type": "FULL_STATE_DICT",
                "reshard_after_forward": true,
            }),
        );
    }
    say("datasets", json!([{ "path": "/data/train.jsonl", "type": "chat_template" }]));
    say("output_dir", json!("./outputs"));
    let head = format!(
        "# shardfit {}: {plan}\n# needs: the data at the path below\n# start it with: axolotl train axolotl.yaml\n",
        env!("CARGO_PKG_VERSION")
    );
    Ok(head + &crate::load::to_yaml(&serde_json::Value::Object(config))?)
}

/// Targets of adapters as the modules of Hugging Face models are called.
fn modules(lora: &Lora) -> Vec<String> {
    let short = ["q", "k", "v", "o", "gate", "up", "down"];
    let whole = |target: &String| match short.contains(&target.as_str()) {
        true => format!("{target}_proj"),
        false => target.clone(),
    };
    lora.targets.iter().map(whole).collect()
}

/// A configuration of DeepSpeed (`deepspeed/runtime/config.py`).
fn deepspeed(job: &Job, plan: &TrainingPlan) -> Result<String, Diagnostic> {
    let s = &plan.split;
    for (missing, what) in [
        (s.cp > 1, "context parallelism"),
        // It is said in the model's code (`deepspeed.moe.layer.MoE`, `ep_size`), which the file does not reach.
        (s.ep > 1, "key in its configuration for expert parallelism"),
        (plan.chunks > 1, "interleaved stages"),
        (plan.schedule != Schedule::OneForwardOneBackward, plan.schedule.name()),
        (!plan.precision.is_wide(), plan.precision.name()),
        // The model's code says what is checkpointed: whole layers, where the trainer around it does.
        (
            !matches!(plan.recompute, Recompute::None | Recompute::Full),
            "recomputation of a part of each layer",
        ),
        (
            s.pp > 1
                && matches!(plan.sharding, Sharding::Gradients | Sharding::Parameters | Sharding::Hybrid),
            "ZeRO-2 or ZeRO-3 with pipeline stages",
        ),
    ] {
        if missing {
            return Err(lacks("DeepSpeed", what, plan));
        }
    }
    let stage = match plan.sharding {
        // One rank divides nothing; stages are what moves states (2) and weights (3) to the host.
        Sharding::None if plan.offload.weights => 3,
        Sharding::None if plan.offload.optimizer => 2,
        Sharding::None => 0,
        Sharding::Optimizer => 1,
        Sharding::Gradients => 2,
        Sharding::Parameters | Sharding::Hybrid => 3,
    };
    let at_once = u64::from(s.dp) * u64::from(plan.micro_batch);
    let mut zero = json!({ "stage": stage, "overlap_comm": plan.hiding.data, "contiguous_gradients": true });
    if plan.offload.optimizer {
        zero["offload_optimizer"] = json!({ "device": "cpu", "pin_memory": true });
    }
    if plan.offload.weights {
        zero["offload_param"] = json!({ "device": "cpu", "pin_memory": true });
    }
    if plan.sharding == Sharding::Hybrid {
        zero["zero_hpz_partition_size"] = json!(job.machine.per_node());
    }
    let optimizer = match job.optimizer {
        Optimizer::Adam | Optimizer::AdamBf16 | Optimizer::Adam8bit => "AdamW",
        Optimizer::Muon => "Muon",
        Optimizer::Sgd | Optimizer::Adafactor => return Err(lacks("DeepSpeed", job.optimizer.name(), plan)),
    };
    // A loss scale of 0 is a dynamic one.
    let precise = match plan.precision {
        Precision::Fp16 => json!({ "enabled": true, "loss_scale": 0, "initial_scale_power": 16 }),
        _ => json!({ "enabled": true }),
    };
    let config = json!({
        "train_batch_size": job.global_batch,
        "train_micro_batch_size_per_gpu": plan.micro_batch,
        "gradient_accumulation_steps": job.global_batch / at_once.max(1),
        plan.precision.name(): precise,
        "optimizer": { "type": optimizer },
        "zero_optimization": zero,
        "tensor_parallel": { "autotp_size": s.tp },
        "activation_checkpointing": {
            "partition_activations": s.tp > 1,
            "cpu_checkpointing": plan.offload.activations,
        },
    });
    Ok(format!("{config:#}\n"))
}
