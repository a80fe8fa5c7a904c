//! What is known by name and not described: what it is, and what to ask about instead.

use super::Kind;
use crate::diagnostic::folded;

/// The kind, how names begin (letters and digits alone), and what to say.
const KNOWN: &[(Kind, &[&str], &str)] = &[
    (
        Kind::Model,
        &["gpt4", "gpt5", "chatgpt", "o1mini", "o3mini", "o4mini", "claude", "gemini", "grok3", "grok4"],
        "its weights are not published, so nothing can be said of serving it; gpt-oss-120b, deepseek-v3.1 and qwen3-235b-a22b are open",
    ),
    (
        Kind::Model,
        &["whisper", "distilwhisper", "fasterwhisper", "parakeet", "canary"],
        "it turns speech into text, and is no language model: what is worked out here does not hold for it",
    ),
    (
        Kind::Model,
        &[
            "stablediffusion",
            "sdxl",
            "sd3",
            "sd15",
            "flux",
            "qwenimage",
            "wan2",
            "hunyuanvideo",
            "ltxvideo",
            "dalle",
            "midjourney",
            "cogvideo",
        ],
        "it makes pictures by diffusion, and is no language model: what is worked out here does not hold for it",
    ),
    (
        Kind::Model,
        &["llava", "bakllava", "minicpmv", "minicpmo", "moondream", "cogvlm"],
        "this model of pictures is not in the catalogue: a path to its config.json describes it; qwen2.5-vl-7b, gemma-3-12b and llava-v1.6-mistral-7b are",
    ),
    (
        Kind::Model,
        &["gemma3n", "gemma3ne2b", "gemma3ne4b"],
        "Gemma 3n, with embeddings for each layer and nested sizes, is not described; gemma-3-4b is the nearest that is",
    ),
    (
        Kind::Model,
        &["nomicembed", "nomicbert", "jinaembeddings"],
        "this model of embeddings is not described; bge-m3, gte-modernbert-base and qwen3-embedding-0.6b are",
    ),
    (
        Kind::Model,
        &["nanogpt", "karpathynanogpt", "buildnanogpt"],
        "nanoGPT trains gpt2: `gpt2`, `gpt2-medium`, `gpt2-large` and `gpt2-xl` are its sizes",
    ),
    (
        Kind::Engine,
        &["mlx", "mlxlm"],
        "MLX is not described; on Apple's GPUs llama.cpp is: `--engine llama.cpp`",
    ),
    (
        Kind::Engine,
        &["exllama", "tabbyapi", "aphrodite", "exl2", "exl3"],
        "ExLlama is not described; llama.cpp has formats of as many bits, vLLM reads the checkpoints: `--engine llama.cpp` or vllm",
    ),
    (
        Kind::Engine,
        &["tgi", "textgenerationinference", "huggingfacetgi"],
        "Text Generation Inference is not described; `--engine vllm` or sglang is the nearest",
    ),
    (
        Kind::Engine,
        &["dynamo", "nvidiadynamo", "llmd", "rayserve", "kserve", "aibrix"],
        "it routes between servers, which are vLLM's, SGLang's or TensorRT-LLM's: name that one, and `--emit dynamo`, llm-d, kserve or ray \
         writes the manifest",
    ),
    (
        Kind::Engine,
        &["lmdeploy", "turbomind"],
        "LMDeploy is not described; `--engine vllm` or sglang is the nearest",
    ),
    (
        Kind::Engine,
        &["ktransformers"],
        "KTransformers is not described; `--engine llama.cpp` leaves experts in the host's memory too: --cpu-moe, --n-cpu-moe",
    ),
    (
        Kind::Engine,
        &["nim", "nvidianim"],
        "NIM is a container of vLLM, SGLang or TensorRT-LLM: `--engine trtllm`, or whichever its log names",
    ),
    (
        Kind::Engine,
        &["deepspeed", "fastgen", "mii", "transformers", "hf", "accelerate"],
        "it is not described as a server; `--engine vllm` is the nearest",
    ),
    (
        Kind::Framework,
        &[
            "axolotl",
            "trl",
            "llamafactory",
            "accelerate",
            "transformers",
            "huggingface",
            "autotrain",
            "swift",
            "msswift",
        ],
        "it runs PyTorch's FSDP or DeepSpeed: `--framework torchtune` or deepspeed says which speed is meant",
    ),
    (
        Kind::Framework,
        &["unsloth"],
        "Unsloth's own kernels are not measured; `--framework torchtune` on one GPU is the nearest",
    ),
    (
        Kind::Framework,
        &["nanogpt", "nanochat", "picotron", "litgpt", "lightning"],
        "it is PyTorch with data parallel ranks: `--framework torchtitan` or litgpt is the nearest",
    ),
    (
        Kind::Framework,
        &["maxtext", "t5x", "paxml", "jax", "levanter"],
        "frameworks of JAX are not described; `--framework megatron` is the nearest on NVIDIA's GPUs",
    ),
    (
        Kind::Cluster,
        &["groq", "cerebras", "sambanova", "tenstorrent", "graphcore", "etched", "dmatrix"],
        "this maker's chips are not described: a YAML file of your own describes one, as `shardfit catalog gpus h100-sxm --format yaml` \
         shows",
    ),
    (
        Kind::Cluster,
        &["snapdragon", "xelite", "npu", "coral"],
        "this processor's accelerator is not described; `shardfit doctor` says what is known of the machine",
    ),
];

/// What to say of a name that is known and not described.
pub fn answer(kind: Kind, name: &str) -> Option<&'static str> {
    let kind = if kind == Kind::Gpu { Kind::Cluster } else { kind };
    let tail = name.rsplit('/').next().unwrap_or(name);
    let letters: String = folded(tail).filter(|c| c.is_alphanumeric()).collect();
    let begins = |(of, starts, _): &&(Kind, &[&str], &str)| {
        *of == kind && starts.iter().any(|s| letters.starts_with(s))
    };
    KNOWN.iter().find(begins).map(|(.., said)| *said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn what_is_described_is_not_said_to_be_unknown() {
        // An answer is given where nothing was found; what is described never comes to it, but must not look as if it did.
        let catalog = Catalog::built_in();
        for kind in [Kind::Engine, Kind::Model] {
            let described = catalog.entries(kind);
            let wrong = described.iter().filter(|entry| answer(kind, entry.id()).is_some());
            let wrong: Vec<&str> = wrong.map(|entry| entry.id()).filter(|id| !id.contains("llava")).collect();
            assert!(wrong.is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn models_without_weights_and_models_that_are_no_language_models_are_named_for_what_they_are() {
        let said = |name: &str| answer(Kind::Model, name).unwrap();
        assert!(said("gpt-4o").contains("not published"));
        assert!(said("openai/whisper-large-v3").contains("speech"));
        assert!(said("black-forest-labs/FLUX.1-dev").contains("no language model"));
        assert_eq!(answer(Kind::Model, "llama-3.1-8b"), None);
    }
}
