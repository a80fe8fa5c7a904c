//! The models that ship with the program: names, totals as published, and agreement between what a block
//! weighs and what it computes.

use std::collections::BTreeMap;

use shardfit::catalog::{self, Kind};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::model::blocks::{Block, RankView};
use shardfit::model::{self, FAMILIES, Formats, Model, OperatorKind, RankGroups, Scope, Step, TensorClass};

fn load(name: &str) -> Model {
    model::find(name, &[], Scope::Full).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn every_model() -> impl Iterator<Item = Model> {
    catalog::entries(Kind::Model).iter().map(|entry| load(entry.id))
}

/// The model that each family's class describes when nothing is written.
fn every_class_default() -> impl Iterator<Item = Model> {
    let types = FAMILIES.iter().flat_map(|family| family.model_types);
    types.filter_map(|model_type| {
        let mut config = model::class_defaults(model_type)?.clone();
        config.insert("model_type".into(), (*model_type).into());
        model::from_config(&config, model_type, Scope::Text).ok()
    })
}

#[test]
fn every_shipped_model_is_of_a_known_family() {
    let unknown: Vec<String> = every_model().filter(|m| !m.recognised).map(|m| m.id).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(catalog::entries(Kind::Model).len() >= 80);
}

#[test]
fn no_two_models_share_a_name() {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for entry in catalog::entries(Kind::Model) {
        for name in entry.aliases.iter().chain([&entry.id]) {
            let other = owners.insert(name.to_lowercase(), entry.id);
            assert!(other.is_none(), "`{name}` means {} and {}", entry.id, other.unwrap_or_default());
        }
    }
}

#[test]
fn every_alias_is_answered_with_a_repository_of_its_entry_and_a_repository_with_itself() {
    let catalog = catalog::Catalog::built_in();
    let mut aliases = 0;
    for entry in catalog.entries(Kind::Model) {
        let hub = entry.aliases().into_iter().filter(|alias| alias.contains('/'));
        let repositories: Vec<&str> = hub.chain([entry.id()]).collect();
        for name in entry.aliases().into_iter().chain([entry.id()]) {
            let model = model::find_in(&catalog, name, Scope::Full).unwrap();
            match name.contains('/') {
                true => assert_eq!(model.id, name),
                false => assert!(repositories.contains(&model.id.as_str()), "{name}: {}", model.id),
            }
            aliases += usize::from(!name.contains('/'));
        }
    }
    assert!(aliases >= 500, "{aliases}");
    // Of several repositories of the same sizes, that which the alias names.
    let named = |alias: &str| model::find_in(&catalog, alias, Scope::Full).unwrap().id;
    assert_eq!(named("magistral-24b"), "mistralai/Magistral-Small-2506");
    assert_eq!(named("devstral-24b"), "mistralai/Devstral-Small-2505");
    assert_eq!(named("dolphin3-8b"), "cognitivecomputations/Dolphin3.0-Llama3.1-8B");
    assert_eq!(named("nemotron-3-super-fp8"), "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8");
    assert_eq!(named("Devstral 2"), "mistralai/Devstral-2-123B-Instruct-2512");
}

/// Totals of the tensors that the hub reports for a checkpoint (safetensors metadata on each model's
/// page). Llama-2's checkpoints also hold `inv_freq`, which is no parameter: those two are the papers'.
const PUBLISHED: &[(&str, u64)] = &[
    ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
    ("meta-llama/Llama-2-13b-hf", 13_015_864_320),
    ("meta-llama/Meta-Llama-3-8B", 8_030_261_248),
    ("meta-llama/Meta-Llama-3.1-70B", 70_553_706_496),
    ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
    ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
    ("meta-llama/Llama-3.2-11B-Vision", 10_670_220_835),
    ("llava-hf/llava-v1.6-mistral-7b-hf", 7_566_747_648),
    ("Qwen/Qwen2.5-0.5B", 494_032_768),
    ("Qwen/Qwen2.5-Math-1.5B", 1_543_714_304),
    ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
    ("mistralai/Mistral-Nemo-Instruct-2407", 12_247_782_400),
    ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", 24_011_361_280),
    ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
    ("mistralai/Ministral-3-3B-Instruct-2512", 3_849_090_048),
    ("Qwen/Qwen2-0.5B-Instruct", 494_032_768),
    ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
    ("Qwen/Qwen2.5-72B", 72_706_203_648),
    ("Qwen/Qwen3-4B", 4_022_468_096),
    ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
    ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
    ("google/gemma-2-9b-it", 9_241_705_984),
    ("google/gemma-3-1b-it", 999_885_952),
    ("google/gemma-3-27b-it", 27_432_406_640),
    ("microsoft/Phi-3-mini-4k-instruct", 3_821_079_552),
    ("microsoft/Phi-4-mini-instruct", 3_836_021_760),
    ("openai/gpt-oss-20b", 20_914_757_184),
    ("openai/gpt-oss-120b", 116_829_156_672),
    ("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
    ("allenai/OLMo-2-1124-7B", 7_298_617_344),
    ("openai-community/gpt2", 124_439_808),
    ("tiiuae/falcon-7b", 6_921_720_704),
    ("state-spaces/mamba-2.8b-hf", 2_768_345_600),
];

#[test]
fn totals_are_those_published() {
    for (name, published) in PUBLISHED {
        let total = load(name).parameters().unwrap().total;
        assert_eq!(total, *published, "{name}");
    }
}

#[test]
fn checkpoints_with_prediction_layers_and_routing_biases_add_up() {
    // Published totals count E routing biases per sparse layer, and where the prediction layer comes with
    // copies of embedding and head, those too.
    let next = load("Qwen/Qwen3-Next-80B-A3B-Instruct").parameters().unwrap();
    assert_eq!(next.total + next.mtp, 81_324_862_720);
    let qwen = load("Qwen/Qwen3.5-35B-A3B").parameters().unwrap();
    assert_eq!(qwen.total + qwen.mtp, 35_951_822_704);
    let air = load("zai-org/GLM-4.5-Air").parameters().unwrap();
    let copies = 2 * 151_552 * 4096;
    assert_eq!(air.total + air.mtp + copies + 46 * 128, 110_468_824_832);
    let v3 = load("deepseek-ai/DeepSeek-V3").parameters().unwrap();
    let (copies, scales) = (2 * 129_280 * 7168, 41_540_496);
    assert_eq!(v3.total + v3.mtp + copies + 59 * 256 + scales, 684_531_386_000);
}

/// Two FLOPs for every weight of a matrix that one token passes, from the tensors of a block.
fn flops_of_tensors(block: &Block) -> f64 {
    let mut tensors = Vec::new();
    block.tensors(&mut tensors);
    let weighs = |class| matches!(class, TensorClass::Linear | TensorClass::Expert | TensorClass::Router);
    let active = tensors.iter().filter(|t| weighs(t.class)).filter_map(|t| t.active_parameters());
    2.0 * active.sum::<u64>() as f64
}

/// FLOPs of the matrix products that a block's operators name for one decoded token.
fn flops_of_operators(block: &Block) -> f64 {
    let view = RankView {
        groups: RankGroups::SINGLE,
        formats: Formats::uniform(WeightFormat::Bf16),
        kv: DType::Bf16,
    };
    let mut operators = Vec::new();
    block.operators(&view, &mut operators);
    let product = |kind: &OperatorKind| {
        use OperatorKind::{BatchedGemm, Gemm, GroupedGemm};
        matches!(kind, Gemm { .. } | BatchedGemm { .. } | GroupedGemm(_))
    };
    operators.iter().filter(|o| product(&o.kind)).map(|o| o.flops(&Step::decode(1.0, 1.0)).get()).sum()
}

#[test]
fn a_block_computes_what_it_weighs() {
    for model in every_model().chain(every_class_default()) {
        for block in model.layer_blocks() {
            // Weights without an operator, and operators without weights of their own.
            if matches!(block, Block::Extra(_) | Block::Reused(_)) {
                continue;
            }
            let (weighs, computes) = (flops_of_tensors(block), flops_of_operators(block));
            let off = (weighs - computes).abs() / weighs.max(1.0);
            assert!(off < 1e-9, "{}: {block:?} weighs {weighs} and computes {computes}", model.id);
        }
    }
}

#[test]
fn what_a_rank_computes_shrinks_with_tensor_parallelism() {
    let per_rank = |block: &Block, tensor| {
        let view = RankView {
            groups: RankGroups { tensor, expert: tensor, ..RankGroups::SINGLE },
            formats: Formats::uniform(WeightFormat::Bf16),
            kv: DType::Bf16,
        };
        let mut operators = Vec::new();
        block.operators(&view, &mut operators);
        operators.iter().map(|o| o.flops(&Step::decode(8.0, 512.0)).get()).sum::<f64>()
    };
    for model in every_model().chain(every_class_default()) {
        for block in model.layer_blocks() {
            let (one, eight) = (per_rank(block, 1), per_rank(block, 8));
            assert!(eight <= one, "{}: {block:?}", model.id);
        }
    }
}
