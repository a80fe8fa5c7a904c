use super::*;
use crate::checkpoint::StoredTensor;
use crate::checkpoint::gguf::MetaValue;
use crate::dtype::GgmlType;

/// A tensor of a type.
fn tensor(name: String, shape: &[u64], dtype: &str) -> StoredTensor {
    let kind = GgmlType::named(dtype).unwrap();
    let bytes = kind.stored_bytes(*shape.last().unwrap(), shape.iter().product()).unwrap();
    StoredTensor { name, shape: shape.to_vec(), dtype: kind.name, bytes }
}

fn metadata(architecture: &str, entries: &[(&str, i128)]) -> Gguf {
    let mut gguf = Gguf::default();
    gguf.metadata.insert("general.architecture".into(), MetaValue::Text(architecture.into()));
    for (key, value) in entries {
        gguf.metadata.insert(format!("{architecture}.{key}"), MetaValue::Integer(*value));
    }
    gguf
}

/// Llama 3.1 8B as `llama-quantize` stores it in Q4_K_M: half of the layers keep values and down
/// projections in Q6_K (`use_more_bits` of llama-quant.cpp: the first and last eighth, and every third).
fn llama_8b() -> Gguf {
    let mut gguf = metadata(
        "llama",
        &[
            ("block_count", 32),
            ("embedding_length", 4096),
            ("feed_forward_length", 14_336),
            ("attention.head_count", 32),
            ("attention.head_count_kv", 8),
            ("context_length", 131_072),
            ("vocab_size", 128_256),
        ],
    );
    let mut add = |name: String, shape: &[u64], dtype: &str| gguf.tensors.push(tensor(name, shape, dtype));
    add("rope_freqs.weight".into(), &[64], "F32");
    add("token_embd.weight".into(), &[128_256, 4096], "Q4_K");
    add("output_norm.weight".into(), &[4096], "F32");
    add("output.weight".into(), &[128_256, 4096], "Q6_K");
    for i in 0..32_u64 {
        let more = !(4..28).contains(&i) || (i - 4) % 3 == 2;
        let wide = if more { "Q6_K" } else { "Q4_K" };
        for (name, shape, dtype) in [
            ("attn_q", [4096, 4096], "Q4_K"),
            ("attn_k", [1024, 4096], "Q4_K"),
            ("attn_v", [1024, 4096], wide),
            ("attn_output", [4096, 4096], "Q4_K"),
            ("ffn_gate", [14_336, 4096], "Q4_K"),
            ("ffn_up", [14_336, 4096], "Q4_K"),
            ("ffn_down", [4096, 14_336], wide),
        ] {
            add(format!("blk.{i}.{name}.weight"), &shape, dtype);
        }
        for norm in ["attn_norm", "ffn_norm"] {
            add(format!("blk.{i}.{norm}.weight"), &[4096], "F32");
        }
    }
    gguf
}

#[test]
fn a_gguf_file_is_counted_to_the_parameter_and_to_the_byte() {
    let gguf = llama_8b();
    let model = from_gguf(&gguf, "llama.gguf", Scope::Full).unwrap();
    // meta-llama/Llama-3.1-8B: model.safetensors.index.json, 16,060,522,496 bytes of bf16.
    assert_eq!(model.parameters().unwrap().total, 8_030_261_248);
    let constants = 64 * 4;
    let held: u64 = gguf.tensors.iter().map(|t| t.bytes).sum::<u64>() - constants;
    let mine = model.checkpoint_bytes().get();
    // One byte a tensor where types are mixed inside a class.
    assert!(mine.abs_diff(held) <= 292, "{mine} {held}");
    // llama.cpp prints "model size = 4.58 GiB (4.89 BPW)" for this file.
    assert_eq!(format!("{:.2}", held as f64 / f64::from(1 << 30)), "4.58");
    assert!(model.recognised);
    assert_eq!(model.notes.len(), 1, "{:?}", model.notes);
    assert_eq!((model.layers(), model.max_context), (32, Some(131_072)));
}

#[test]
fn a_table_that_holds_more_than_the_metadata_says_is_noted() {
    let mut gguf = llama_8b();
    gguf.tensors.push(tensor("blk.3.mystery.weight".into(), &[4096], "F32"));
    let model = from_gguf(&gguf, "llama.gguf", Scope::Full).unwrap();
    assert!(model.notes.iter().any(|n| n.contains("8,030,265,344")), "{:?}", model.notes);
}

#[test]
fn an_architecture_that_is_not_in_the_table_is_read_by_the_general_rules_and_says_so() {
    let mut gguf = llama_8b();
    gguf.metadata = gguf
        .metadata
        .into_iter()
        .map(|(key, value)| match value {
            MetaValue::Text(_) => (key, MetaValue::Text("novel".into())),
            value => (key.replace("llama.", "novel."), value),
        })
        .collect();
    let model = from_gguf(&gguf, "novel.gguf", Scope::Full).unwrap();
    assert!(!model.recognised);
    assert_eq!(model.parameters().unwrap().total, 8_030_261_248);
    assert!(model.notes.iter().any(|n| n.contains("general rules")), "{:?}", model.notes);
}

/// DeepSeek-V3's sizes as its GGUF files state them, keys merged into one head.
fn deepseek_v3() -> Gguf {
    metadata(
        "deepseek2",
        &[
            ("block_count", 61),
            ("embedding_length", 7168),
            ("feed_forward_length", 18_432),
            ("attention.head_count", 128),
            ("attention.head_count_kv", 1),
            ("attention.key_length", 576),
            ("attention.value_length", 512),
            ("attention.key_length_mla", 192),
            ("attention.value_length_mla", 128),
            ("attention.q_lora_rank", 1536),
            ("attention.kv_lora_rank", 512),
            ("rope.dimension_count", 64),
            ("expert_count", 256),
            ("expert_used_count", 8),
            ("expert_shared_count", 1),
            ("expert_feed_forward_length", 2048),
            ("leading_dense_block_count", 3),
            ("vocab_size", 129_280),
            ("context_length", 163_840),
        ],
    )
}

#[test]
fn latent_attention_is_read_from_merged_and_from_separate_projections() {
    let mut merged = deepseek_v3();
    merged.tensors.push(tensor("output.weight".into(), &[129_280, 7168], "Q8_0"));
    // DeepSeek-V3's report and its index: 671.03 B without the prediction layer.
    let total = from_gguf(&merged, "v3.gguf", Scope::Full).unwrap().parameters().unwrap().total;
    assert_eq!(total, 671_026_404_352);
    let mut separate = merged.clone();
    for (key, value) in [("key_length", 192), ("value_length", 128), ("head_count_kv", 128)] {
        separate.metadata.insert(format!("deepseek2.attention.{key}"), MetaValue::Integer(value));
    }
    for key in ["key_length_mla", "value_length_mla"] {
        separate.metadata.remove(&format!("deepseek2.attention.{key}"));
    }
    let model = from_gguf(&separate, "v3.gguf", Scope::Full).unwrap();
    assert_eq!(model.parameters().unwrap().total, total);
}

#[test]
fn what_cannot_be_read_exactly_is_refused() {
    let mut recurrent = llama_8b();
    recurrent.tensors.push(tensor("blk.0.ssm_in.weight".into(), &[4096], "F32"));
    let mut uneven = llama_8b();
    uneven.metadata.insert("llama.attention.head_count_kv".into(), MetaValue::Numbers(vec![8, 4, 8]));
    let mut adapter = llama_8b();
    adapter.metadata.insert("general.type".into(), MetaValue::Text("adapter".into()));
    let mut nameless = llama_8b();
    nameless.metadata.remove("general.architecture");
    let mut sizeless = llama_8b();
    sizeless.metadata.remove("llama.embedding_length");
    for (gguf, word) in [
        (recurrent, "recurrent"),
        (uneven, "layer to layer"),
        (adapter, "no model of its own"),
        (nameless, "general.architecture"),
        (sizeless, "hidden_size"),
    ] {
        let error = from_gguf(&gguf, "x.gguf", Scope::Full).unwrap_err();
        assert!(error.cause.contains(word), "{error}");
    }
}
