//! The breakdown of models against the closed forms of the literature.

use serde_json::{Map, Value, json};
use shardfit::catalog::{self, Kind};
use shardfit::dtype::DType;
use shardfit::estimate::breakdown::{
    AttentionKernels, Breakdown, Device, Mode, Routing, Setting, ladder_contexts, memory_parts, precisions,
    recommended_memory,
};
use shardfit::model::{self, Component, Model, Scope, Task};
use shardfit::units::Bytes;

fn named(name: &str) -> Model {
    model::find(name, &[], Scope::Text).unwrap()
}

/// GPT with multi-head attention, a `4h` GELU feed-forward layer and a tied head.
fn gpt(hidden: u64, layers: u64, heads: u64, vocabulary: u64) -> Model {
    let config: Value = json!({
        "model_type": "gpt2", "torch_dtype": "float16", "vocab_size": vocabulary, "n_positions": 2048,
        "n_embd": hidden, "n_layer": layers, "n_head": heads,
    });
    let map: &Map<String, Value> = config.as_object().unwrap();
    model::from_config(map, "gpt", Scope::Full).unwrap()
}

fn materialised(mode: Mode) -> Setting {
    let attention = AttentionKernels { flash: false, ..AttentionKernels::DEFAULT };
    Setting { attention, ..Setting::new(mode) }
}

#[test]
fn activations_of_training_are_those_of_korthikanti_et_al() {
    // arXiv:2205.05198, §4.1, equation 1: s·b·h·(34 + 5·a·s/h) a layer; §4.3: the last norm and the head
    // keep 4·s·b·h·(1 + v/h). Models of their table 3, without parallelism.
    let (s, v) = (2048u64, 51_200u64);
    for (h, layers, a, b) in [(6144u64, 48u64, 64u64, 4u64), (12_288, 96, 96, 1), (20_480, 105, 128, 1)] {
        let setting = Setting { batch: b, tokens: s, dropout: true, ..materialised(Mode::Pretrain) };
        let breakdown = Breakdown::of(&gpt(h, layers, a, v), &setting, None);
        let layer = 34 * s * b * h + 5 * a * s * s * b;
        let expected = layers * layer + 4 * s * b * h + 4 * s * b * v;
        assert_eq!(breakdown.saved().get(), expected as f64, "h = {h}");
    }
}

#[test]
fn flops_of_training_are_those_of_narayanan_et_al() {
    // arXiv:2104.04473, appendix, without recomputation (3 passes for their 4):
    // 72·B·s·l·h²·(1 + s/(6h)) + 6·B·s·h·V.
    let (s, v, h, layers, a, b) = (2048.0, 51_200u64, 12_288u64, 96u64, 96u64, 8u64);
    let setting = Setting { batch: b, ..materialised(Mode::Pretrain) };
    let breakdown = Breakdown::of(&gpt(h, layers, a, v), &setting, None);
    let (hf, tokens) = (h as f64, b as f64 * s);
    let expected =
        72.0 * tokens * layers as f64 * hf * hf * (1.0 + s / (6.0 * hf)) + 6.0 * tokens * hf * v as f64;
    let loss: f64 = breakdown.parts.iter().filter(|p| p.name == "loss").map(|p| p.flops.get()).sum();
    let ours = breakdown.flops().get() - loss;
    assert!((ours / expected - 1.0).abs() < 1e-12, "{ours} and {expected}");
}

#[test]
fn adam_in_mixed_precision_takes_sixteen_bytes_a_parameter() {
    let model = named("llama-3.1-8b");
    let setting = Setting::new(Mode::Pretrain);
    let (_, total) = memory_parts(&model, &setting, &Breakdown::of(&model, &setting, None));
    let states = total.weights + total.gradients + total.optimizer;
    assert_eq!(states.get(), 16 * 8_030_261_248);
}

/// Models whose weights are not used once for each token.
const NOT_ONCE: [(&str, &str); 7] = [
    ("Zyphra/Zamba-7B-v1", "one attention block serves many layers"),
    ("facebook/opt-125m", "learned positions are looked up, over 1 % of so small a model"),
    ("google/gemma-4-E2B-it", "embeddings of every layer are looked up, half of the model"),
    ("google/gemma-4-E4B-it", "embeddings of every layer are looked up"),
    ("meta-llama/Llama-3.2-11B-Vision", "layers of cross-attention run where there is an image"),
    ("meta-llama/Llama-3.2-11B-Vision-Instruct", "as its base model"),
    ("meta-llama/Llama-3.2-90B-Vision-Instruct", "layers of cross-attention run where there is an image"),
];

/// FLOPs of the products per `6ND`; `N` are active parameters less an embedding that is only looked up.
fn share_of_rule(model: &Model) -> f64 {
    let setting = Setting::new(Mode::Pretrain);
    let breakdown = Breakdown::of(model, &setting, None);
    let count = model.parameters().unwrap();
    let looked_up = if model.tied_head().is_some() { 0 } else { count.of(Component::Embedding) };
    let loss: f64 = breakdown.parts.iter().filter(|p| p.name == "loss").map(|p| p.flops.get()).sum();
    let products = breakdown.flops().get() - breakdown.flops_between_tokens().get() - loss;
    products / (6.0 * (count.active - looked_up) as f64 * setting.computed_tokens())
}

#[test]
fn flops_agree_with_six_n_d_but_for_attention_between_tokens() {
    let mut off = Vec::new();
    for entry in catalog::entries(Kind::Model) {
        let model = named(entry.id);
        // Encoders hold tables of positions and heads that no token is multiplied by.
        if matches!(model.task, Task::Embedding | Task::Classification) {
            continue;
        }
        let share = share_of_rule(&model);
        if !(0.99..=1.01).contains(&share) {
            off.push(entry.id);
        }
    }
    assert_eq!(off, NOT_ONCE.map(|(model, _)| model));
}

#[test]
fn a_decode_step_of_a_dense_model_reads_every_weight_but_the_embedding_once() {
    let model = named("llama-3.1-8b");
    let step = Breakdown::of(&model, &Setting::new(Mode::Decode), None);
    let count = model.parameters().unwrap();
    let looked_up = count.of(Component::Embedding) + count.of(Component::Norm);
    let one_row = model.hidden;
    assert_eq!(step.traffic().weights.get(), (2 * (count.total - looked_up + one_row)) as f64);
    assert_eq!(step.traffic().cache.get(), 2048.0 * model.kv_bytes_per_token(DType::Bf16).as_f64());
}

#[test]
fn materialised_scores_compute_the_whole_square_and_move_more() {
    let model = named("llama-3.1-8b");
    let flash = Breakdown::of(&model, &Setting::new(Mode::Prefill), None);
    let eager = Breakdown::of(&model, &materialised(Mode::Prefill), None);
    let ratio = eager.flops_between_tokens() / flash.flops_between_tokens();
    // n² pairs against n(n+1)/2.
    assert!((ratio - 2.0 * 2048.0 / 2049.0).abs() < 1e-12, "{ratio}");
    assert!(eager.traffic().total() > flash.traffic().total());
    let softmax = eager.parts.iter().find(|p| p.name == "softmax").unwrap();
    // Scores read and probabilities written: 2 · layers · heads · n² in 16 bits.
    assert_eq!(softmax.traffic.activations.get(), 2.0 * 2.0 * 32.0 * 32.0 * 2048.0 * 2048.0);
}

#[test]
fn decoding_without_splits_leaves_multiprocessors_and_their_bandwidth_idle() {
    let (model, gpu) = (named("llama-3.1-8b"), catalog::gpu("h100-sxm").unwrap());
    let device = Device::new(&gpu, DType::Bf16);
    let time = |flash_decoding| {
        let attention = AttentionKernels { flash_decoding, ..AttentionKernels::DEFAULT };
        let setting = Setting { tokens: 65_536, attention, ..Setting::new(Mode::Decode) };
        let breakdown = Breakdown::of(&model, &setting, Some(&device));
        breakdown.parts.iter().find(|p| p.name == "attention").unwrap().time
    };
    // 8 key-value heads on 132 multiprocessors.
    let gain = time(false) / time(true);
    assert!((14.0..16.5).contains(&gain), "{gain}");
}

#[test]
fn a_capacity_factor_pads_the_experts() {
    let model = named("mixtral-8x7b");
    let flops = |routing| {
        let setting = Setting { routing, ..Setting::new(Mode::Prefill) };
        let parts = Breakdown::of(&model, &setting, None).parts;
        parts.iter().find(|p| p.name == "experts").unwrap().flops.get()
    };
    let dropless = flops(Routing::Dropless);
    assert_eq!(flops(Routing::Capacity(1.0)), dropless);
    assert_eq!(flops(Routing::Capacity(1.25)), 1.25 * dropless);
}

#[test]
fn fp32_doubles_what_sixteen_bits_move() {
    let model = named("llama-3.1-8b");
    let wide = model.clone().with_weights(shardfit::dtype::WeightFormat::Fp32);
    let narrow = Setting::new(Mode::Prefill);
    let setting = Setting { activations: DType::Fp32, kv: DType::Fp32, ..narrow };
    let (a, b) = (Breakdown::of(&model, &narrow, None), Breakdown::of(&wide, &setting, None));
    assert_eq!(b.flops(), a.flops());
    let ratio = b.traffic().total() / a.traffic().total();
    assert!((1.99..=2.01).contains(&ratio), "{ratio}");
}

#[test]
fn every_catalogue_model_breaks_down_in_every_mode() {
    let gpu = catalog::gpu("h100-sxm").unwrap();
    let device = Device::new(&gpu, DType::Bf16);
    for entry in catalog::entries(Kind::Model) {
        let model = named(entry.id);
        for mode in Mode::ALL {
            let setting = Setting { batch: 2, ..Setting::new(mode) };
            let breakdown = Breakdown::of(&model, &setting, Some(&device));
            let total: f64 = breakdown.parts.iter().map(|p| p.flops.get()).sum();
            assert!(total > 0.0 && total.is_finite(), "{}", entry.id);
            assert_eq!(total, breakdown.flops().get());
            for p in &breakdown.parts {
                assert!(p.time >= p.compute.max(p.memory) * (1.0 - 1e-9), "{} {}", entry.id, p.name);
            }
        }
    }
}

#[test]
fn the_ladder_doubles_up_to_the_longest_context() {
    assert_eq!(ladder_contexts(&named("llama-3.1-8b")), [4096, 8192, 16_384, 32_768, 65_536, 131_072]);
    assert_eq!(ladder_contexts(&named("openai-community/gpt2")), [1024]);
}

#[test]
fn narrower_precisions_are_smaller_and_faster() {
    let model = named("llama-3.1-8b");
    let gpus = [catalog::gpu("m3-max").unwrap()];
    let rows = precisions(&model, &Setting::new(Mode::Decode), &gpus);
    let rate = |i: usize| rows[i].1[0].rate.unwrap().get();
    assert!(rows.windows(2).all(|w| w[1].0.weights < w[0].0.weights));
    assert!(rate(0) < rate(1) && rate(1) < rate(2) && rate(2) < rate(3));
    // BF16: 15.0 GB of weights without the embedding and 0.27 GB of cache at 400 GB/s.
    assert!((rate(1) - 400e9 / 15.3e9).abs() < 0.2, "{}", rate(1));
}

#[test]
fn recommended_memory_leaves_a_quarter_to_the_host() {
    assert_eq!(recommended_memory(Bytes::gib(12.0)), Some(Bytes::gib(16.0)));
    assert_eq!(recommended_memory(Bytes::gib(12.1)), Some(Bytes::gib(24.0)));
    assert_eq!(recommended_memory(Bytes::gib(1e5)), None);
}
