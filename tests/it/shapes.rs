//! Models from their sizes alone.

use shardfit::dtype::DType;
use shardfit::model::{Model, from_shape};

const LLAMA: &str = "layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256";

fn refusal(text: &str) -> String {
    from_shape(text).unwrap_err().to_string()
}

fn total(text: &str) -> u64 {
    from_shape(text).unwrap().parameters().unwrap().total
}

#[test]
fn plain_feed_forward_layers_biases_and_learned_positions_make_gpt_2_large() {
    // openai-community/gpt2-large: 774,030,080 parameters.
    let text = "layers=36,hidden=1280,heads=20,ffn=5120,vocab=50257,gated=false,bias=true,layer_norm=true,\
                positions=1024,tied=true";
    assert_eq!(total(text), 774_030_080);
    assert_eq!(from_shape(text).unwrap().max_context, Some(1024));
}

#[test]
fn latent_ranks_with_shared_experts_and_dense_layers_make_deepseek_v3() {
    // deepseek-ai/DeepSeek-V3 without its prediction layer: 671,026,404,352 parameters (arXiv:2412.19437 §4.2).
    let text = "layers=61,hidden=7168,heads=128,ffn=18432,vocab=129280,experts=256,top_k=8,expert_ffn=2048,\
                shared=1,dense_layers=3,q_rank=1536,kv_rank=512,nope_dim=128,rope_dim=64,v_dim=128";
    let model = from_shape(text).unwrap();
    let count = model.parameters().unwrap();
    assert_eq!((count.total, count.active), (671_026_404_352, 37_552_282_624));
    assert_eq!(model.kv_bytes_per_token(DType::Bf16).get(), 61 * 576 * 2);
}

#[test]
fn windows_bound_the_cache_of_all_layers_but_the_full_ones() {
    let text = format!("{LLAMA},window=1024,full_every=4");
    let (windowed, full) = (from_shape(&text).unwrap(), from_shape(LLAMA).unwrap());
    let long = |m: &Model| m.cache_bytes(DType::Bf16, 65_536).get();
    assert_eq!(long(&windowed), long(&full) / 4 + long(&full) * 3 / 4 / 64);
}

#[test]
fn biases_and_norms_of_queries_and_keys_are_counted() {
    // Qwen/Qwen2.5-7B: 7,615,616,512 parameters; Qwen/Qwen3-8B: 8,190,735,360.
    let qwen2 = "layers=28,hidden=3584,heads=28,kv=4,ffn=18944,vocab=152064,qkv_bias=true";
    assert_eq!(total(qwen2), 7_615_616_512);
    let qwen3 = "layers=36,hidden=4096,heads=32,kv=8,head_dim=128,ffn=12288,vocab=151936,qk_norm=true";
    assert_eq!(total(qwen3), 8_190_735_360);
}

#[test]
fn keys_that_need_or_exclude_others_say_so() {
    assert!(refusal(&format!("{LLAMA},q_rank=512")).contains("`q_rank` needs `kv_rank`"));
    assert!(refusal(&format!("{LLAMA},full_every=2")).contains("`full_every` needs `window`"));
    assert!(refusal(&format!("{LLAMA},kv_rank=512")).contains("`nope_dim`, `rope_dim`, `v_dim`"));
    let latent = "kv_rank=512,nope_dim=128,rope_dim=64,v_dim=128";
    assert!(refusal(&format!("{LLAMA},{latent}")).contains("`kv` and `kv_rank` exclude each other"));
    assert!(refusal(&format!("{LLAMA},positions=1024,context=2048")).contains("exceeds positions=1024"));
    assert!(refusal(&format!("{LLAMA},bias=yes")).contains("neither true nor false"));
}
