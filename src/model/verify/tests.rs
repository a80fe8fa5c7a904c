use super::*;
use crate::checkpoint::StoredTensor;
use crate::model::{config, from_config};

fn model(json: &str) -> Model {
    from_config(&config::parse(json, "test").unwrap(), "test", Scope::Full).unwrap()
}

fn tensor(name: &str, shape: &[u64], dtype: &'static str) -> StoredTensor {
    let width = match dtype {
        "I64" => 8,
        "F32" | "I32" => 4,
        "BF16" | "F16" => 2,
        _ => 1,
    };
    StoredTensor {
        name: name.into(),
        shape: shape.to_vec(),
        dtype,
        bytes: shape.iter().product::<u64>() * width,
    }
}

const LLAMA: &str = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 1000,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16" QUANTISATION}"#;

fn llama() -> Model {
    model(&LLAMA.replace("QUANTISATION", ""))
}

/// The tensors of the small model as Transformers saves them.
fn saved() -> Vec<StoredTensor> {
    let mut all = vec![
        tensor("model.embed_tokens.weight", &[1000, 64], "BF16"),
        tensor("model.norm.weight", &[64], "BF16"),
        tensor("lm_head.weight", &[1000, 64], "BF16"),
    ];
    for i in 0..2 {
        for (name, shape) in [
            ("self_attn.q_proj", vec![64, 64]),
            ("self_attn.k_proj", vec![32, 64]),
            ("self_attn.v_proj", vec![32, 64]),
            ("self_attn.o_proj", vec![64, 64]),
            ("mlp.gate_proj", vec![96, 64]),
            ("mlp.up_proj", vec![96, 64]),
            ("mlp.down_proj", vec![64, 96]),
            ("input_layernorm", vec![64]),
            ("post_attention_layernorm", vec![64]),
        ] {
            all.push(tensor(&format!("model.layers.{i}.{name}.weight"), &shape, "BF16"));
        }
    }
    all
}

fn compare(model: &Model, tensors: Vec<StoredTensor>) -> Verification {
    verify(model, &Weights { tensors, files: 1 }).unwrap()
}

#[test]
fn a_checkpoint_of_the_model_agrees_to_the_parameter_and_the_byte() {
    let result = compare(&llama(), saved());
    assert!(result.agrees(), "{:?}", result.findings);
    assert_eq!((result.agreeing, result.found_parameters), (21, result.expected_parameters));
    assert_eq!(result.found_bytes, result.expected_bytes);
}

#[test]
fn fused_projections_and_other_names_agree() {
    let mut tensors: Vec<StoredTensor> = saved()
        .into_iter()
        .filter(|t| {
            !["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"].iter().any(|p| t.name.contains(p))
        })
        .collect();
    for t in &mut tensors {
        t.name = t.name.replace("model.layers", "transformer.h").replace("embed_tokens", "wte");
    }
    for i in 0..2 {
        tensors.push(tensor(&format!("transformer.h.{i}.attn.qkv_proj.weight"), &[128, 64], "BF16"));
        tensors.push(tensor(&format!("transformer.h.{i}.mlp.gate_up_proj.weight"), &[192, 64], "BF16"));
    }
    let result = compare(&llama(), tensors);
    assert!(result.agrees(), "{:?}", result.findings);
    assert_eq!(result.found_parameters, result.expected_parameters);
}

#[test]
fn every_fault_is_named_with_its_layers() {
    let mut tensors = saved();
    tensors.retain(|t| t.name != "model.layers.1.mlp.down_proj.weight");
    for t in &mut tensors {
        match t.name.as_str() {
            "model.layers.0.self_attn.k_proj.weight" => *t = tensor(&t.name, &[48, 64], "BF16"),
            "model.norm.weight" => *t = tensor(&t.name, &[64], "F32"),
            _ => {}
        }
    }
    tensors.push(tensor("model.layers.0.self_attn.q_norm.weight", &[16], "BF16"));
    tensors.push(tensor("model.layers.1.self_attn.q_norm.weight", &[16], "BF16"));
    let result = compare(&llama(), tensors);
    let found: Vec<_> =
        result.findings.iter().map(|f| (f.kind, f.name.as_str(), f.layers.as_slice())).collect();
    assert_eq!(
        found,
        [
            (Kind::Shape, "layers.*.self_attn.k_proj.weight", [0].as_slice()),
            (Kind::Type, "model.norm.weight", &[]),
            (Kind::Missing, "layers.*.mlp.down_proj.weight", &[1]),
            (Kind::Unexpected, "layers.*.self_attn.q_norm.weight", &[0, 1]),
        ]
    );
    assert_eq!(
        (result.findings[0].expected.as_str(), result.findings[0].found.as_str()),
        ("32 × 64", "48 × 64")
    );
}

#[test]
fn buffers_and_a_tied_head_that_is_written_twice_are_passed_over() {
    let tied = model(&LLAMA.replace("QUANTISATION", "").replace("\": false", "\": true"));
    let mut tensors = saved();
    tensors.push(tensor("model.layers.0.self_attn.rotary_emb.inv_freq", &[8], "F32"));
    let result = compare(&tied, tensors);
    assert!(result.agrees(), "{:?}", result.findings);
    assert_eq!(result.passed_over, 2);
}

/// The small model's linear layers packed in four bits as `packed` says.
fn packed(packed: impl Fn(&str, u64, u64) -> Vec<StoredTensor>) -> Vec<StoredTensor> {
    saved()
        .into_iter()
        .flat_map(|t| match t.name.strip_suffix("_proj.weight") {
            Some(stem) => packed(&format!("{stem}_proj"), t.shape[0], t.shape[1]),
            None => vec![t],
        })
        .collect()
}

#[test]
fn packed_four_bit_weights_are_unpacked() {
    let config = r#", "quantization_config": {"quant_method": "METHOD", "bits": 4, "group_size": 32,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int",
        "group_size": 32, "strategy": "group"}}}, "ignore": ["lm_head"]}"#;
    let quantised = |method| model(&LLAMA.replace("QUANTISATION", &config.replace("METHOD", method)));
    let compressed = packed(|name, rows, columns| {
        vec![
            tensor(&format!("{name}.weight_packed"), &[rows, columns / 8], "I32"),
            tensor(&format!("{name}.weight_scale"), &[rows, columns / 32], "BF16"),
            tensor(&format!("{name}.weight_shape"), &[2], "I64"),
        ]
    });
    let result = compare(&quantised("compressed-tensors"), compressed);
    assert!(result.agrees(), "{:?}", result.findings);
    assert_eq!((result.auxiliary, result.found_bytes), (28, result.expected_bytes));
    let gptq = packed(|name, rows, columns| {
        vec![
            tensor(&format!("{name}.qweight"), &[columns / 8, rows], "I32"),
            tensor(&format!("{name}.scales"), &[columns / 32, rows], "F16"),
        ]
    });
    let result = compare(&quantised("gptq"), gptq);
    assert!(result.agrees(), "{:?}", result.findings);
    // Plain weights where packed ones are expected differ in type.
    let result = compare(&quantised("gptq"), saved());
    assert!(result.findings.iter().all(|f| f.kind == Kind::Type), "{:?}", result.findings);
    assert_eq!(result.findings.len(), 7);
}

#[test]
fn experts_agree_one_by_one_and_stacked() {
    let moe = model(
        r#"{"model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96, "moe_intermediate_size": 32,
            "num_experts": 4, "num_experts_per_tok": 2, "vocab_size": 1000, "dtype": "bfloat16",
            "tie_word_embeddings": false}"#,
    );
    let mut rest: Vec<StoredTensor> =
        saved().into_iter().filter(|t| !t.name.contains(".mlp.") && !t.name.contains("layers.1.")).collect();
    rest.push(tensor("model.layers.0.mlp.gate.weight", &[4, 64], "BF16"));
    for norm in ["q_norm", "k_norm"] {
        rest.push(tensor(&format!("model.layers.0.self_attn.{norm}.weight"), &[16], "BF16"));
    }
    let mut single = rest.clone();
    for i in 0..4 {
        for (name, shape) in [("gate_proj", [32, 64]), ("up_proj", [32, 64]), ("down_proj", [64, 32])] {
            single.push(tensor(&format!("model.layers.0.mlp.experts.{i}.{name}.weight"), &shape, "BF16"));
        }
    }
    let result = compare(&moe, single);
    assert!(result.agrees(), "{:?}", result.findings);
    let mut stacked = rest;
    stacked.push(tensor("model.layers.0.mlp.experts.gate_up_proj", &[4, 64, 64], "BF16"));
    stacked.push(tensor("model.layers.0.mlp.experts.down_proj", &[4, 32, 64], "BF16"));
    let result = compare(&moe, stacked);
    assert!(result.agrees(), "{:?}", result.findings);
    assert_eq!(result.found_parameters, result.expected_parameters);
}
