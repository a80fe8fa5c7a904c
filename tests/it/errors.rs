//! Bad input: exit status 2, nothing on stdout, nothing written, and a message that names the fault.
//!
//! Each file in `tests/data/invalid/` is a valid one with the single fault that its name says.

use std::fs;
use std::path::Path;

use crate::common::{self, Run, files_in, shardfit};

/// Command lines. `{tmp}` is an empty folder that must still be empty afterwards, save for what
/// [`prepare`] puts there.
const LINES: &[&str] = &[
    // Names, each with the nearest known one.
    "plan llama-3.1-70bb --cluster 8xh100-sxm",
    "plan llama-3.1-8b --cluster 8xh100-smx",
    "plan llama-3.1-8b --cluster hgx-h100x",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine vlm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine vllm@0.1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine vllm@latest",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine vllm@",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine trtllm@0.19-pytorhc",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine vlm@0.19",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current engine=vllm@0.1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --objective througput",
    "plan llama-3.1-8b --cluster 8xh100-sxm --format jsn",
    "plan llama-3.1-8b --cluster 8xh100-sxm --weights fp88",
    "plan llama-3.1-8b --cluster 8xh100-sxm --kv fp12",
    "plan llama-3.1-8b --cluster 8xh100-sxm --scope texts",
    "plan llama-3.1-8b --cluster 8xh100-sxm --why-not tpp=3",
    "plan llama-3.1-8b --cluster 8xh100-sxm --price h100-smx=2",
    "estimate llama-3.1-8b --gpu h100-sxn",
    "catalog gpux",
    "catalog gpus h1000-sxm",
    "catalog engines vlmm",
    "inspect deepseek-v33",
    "plam llama-3.1-8b --cluster 8xh100-sxm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --tpto 50ms",
    // Training and budgets.
    "train llama-3.1-8b --cluster 8xh100-sxm --seq 2048",
    "inspect llama-3.1-8b --table training --tp 3",
    "inspect llama-3.1-8b --table training --vp 3 --pp 2",
    "inspect llama-3.1-8b --table training --mode decode",
    "inspect llama-3.1-8b --table training --tuning lora",
    "inspect llama-3.1-8b --table training --optimizer adm",
    "inspect llama-3.1-8b --table training --framework megatrn",
    "sweep scenarios/training.yaml -o {tmp}/out --shard 1/2",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 0 --seq 2048",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 99999999",
    "train llama-3.1-8b --cluster 8xh100-smx --global-batch 8 --seq 2048",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --framework megatrn",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --optimizer adm",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --precision fp9",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --schedule 1f2b",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --sharding zero4",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --recompute some",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --offload disk",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --axes all",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --flops 7n",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --tp 0",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --tp 3",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --tokens -3",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --tokens 15X",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --mtbf 0h",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --restart 5",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --storage 2GB",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --why-not tpp=2",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --why-not tp",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --explain 900",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --emit pytorch",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --sharding zero1 --emit torchtitan",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --tuning lorra",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --lora rank=16",
    "train llama-3.1-70b --cluster 1xh100-sxm --global-batch 8 --seq 2048 --emit megatron",
    "fit",
    "fit --cluster 1xrtx-4091",
    "fit --cluster 1xrtx-4090 --task chatting",
    "fit --cluster 1xrtx-4090 --license apache2",
    "fit --cluster 1xrtx-4090 --since yesterday",
    "fit --cluster 1xrtx-4090 --max-memory 16",
    "fit --cluster 1xm4-max --engine vllm",
    "fit --cluster 1xrtx-4090 --context 100 --isl 2000",
    "budget",
    "budget --flops 0",
    "budget --flops many",
    "budget --flops 1e40",
    "budget --flops 1e24 --dollars 5",
    "budget --dollars 1e6 --gpu h100-smx",
    "budget --dollars 1e6 --gpu mi355x --mfu 0.4 --precision fp6",
    "budget --gpu-hours 1e6 --gpu h100-sxm --mfu 1.4",
    "budget --gpu-hours 1e6 --gpu a100-sxm-80gb --mfu 0.4 --precision fp8",
    "budget --flops 1e24 --approach 4",
    "budget --flops 1e24 --inference-tokens 0",
    "catalog frameworks megatrn",
    // Adapters.
    "inspect llama-3.1-8b --lora targets=q",
    "estimate llama-3.1-8b --gpu h100-sxm --draft-model llama-3.2-1bb --offline",
    "estimate llama-3.1-8b --gpu h100-sxm --speculate model --acceptance 0.7",
    "train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --draft-model llama-3.2-1b",
    "inspect llama-3.1-8b --lora rank=0",
    "inspect llama-3.1-8b --lora rank=16,colour=red",
    "plan llama-3.1-8b --cluster 8xh100-sxm --lora rank=16,targets=qq_proj",
    // Clusters.
    "plan llama-3.1-8b --cluster 0xh100-sxm",
    "plan llama-3.1-8b --cluster -8xh100-sxm",
    "plan llama-3.1-8b --cluster 99999999xh100-sxm",
    "plan llama-3.1-8b --cluster 99999999999999999999xh100-sxm",
    "plan llama-3.1-8b --cluster 65536x65536xh100-sxm",
    "plan llama-3.1-8b --cluster 2x2x2xh100-sxm",
    "plan llama-3.1-8b --cluster 8x",
    "plan llama-3.1-8b --cluster ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm+",
    "plan llama-3.1-8b --cluster 8xh100-sxm+8xh100",
    "plan llama-3.1-8b --cluster 8xh100-sxm+8xa100-smx",
    "plan llama-3.1-8b --cluster 1048576xh100-sxm+1048576xa100-sxm-80gb",
    "estimate llama-3.1-8b --cluster 8xh100-sxm+8xa100-sxm-80gb",
    "plan llama-3.1-8b",
    // Lengths, loads, targets.
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --osl 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl -5",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 2kb",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 99999999999999999999",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 999999999 --allow-long-context",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 200000",
    "plan llama-3.1-8b --cluster 8xh100-sxm --ttft=-1s",
    "plan llama-3.1-8b --cluster 8xh100-sxm --ttft 0s",
    "plan llama-3.1-8b --cluster 8xh100-sxm --tpot 50",
    "plan llama-3.1-8b --cluster 8xh100-sxm --tpot 50GB",
    "plan llama-3.1-8b --cluster 8xh100-sxm --e2e NaNs",
    "plan llama-3.1-8b --cluster 8xh100-sxm --ttft 1e999s",
    "plan llama-3.1-8b --cluster 8xh100-sxm --ttft ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --rate 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --rate=-3",
    "plan llama-3.1-8b --cluster 8xh100-sxm --rate NaN",
    "plan llama-3.1-8b --cluster 8xh100-sxm --rate inf",
    "plan llama-3.1-8b --cluster 8xh100-sxm --rate '5 tok/s'",
    "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 99999999999",
    "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 5 --rate 5",
    // Splits, limits, prices, ranks.
    "plan llama-3.1-8b --cluster 8xh100-sxm --tp 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --tp two",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pp 4..2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --batch 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --replicas 99999999999",
    "plan llama-3.1-8b --cluster 8xh100-sxm --memory-fraction 2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --memory-fraction 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --memory-fraction NaN",
    // The host's memory.
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --gpu-layers 10",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --gpu-layers 10 --host memory=64GiB,bandwidth=83GB/s",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --n-cpu-moe 4 --host memory=64GiB,bandwidth=83GB/s",
    "plan llama-3.1-8b --cluster 1xm3-max --engine llama.cpp --gpu-layers 4 --host memory=64GiB,bandwidth=83GB/s",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --host memory=64GiB",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --host memory=64GiB,bandwidth=0GB/s",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --host memory=64GiB,bandwidth=83GB",
    "plan llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --host 64GiB",
    "plan llama-3.1-8b --cluster 1xh100-sxm --engine llama.cpp --host memory=64GiB,bandwidth=83GB/s",
    "plan llama-3.1-8b --cluster 2xrtx-4090 --engine llama.cpp --pp 1 --tensor-split 3,1",
    "estimate llama-3.1-8b --gpu rtx-4090 --pp 2 --engine llama.cpp --tensor-split 3,1,1",
    "estimate llama-3.1-8b --gpu rtx-4090 --pp 2 --engine llama.cpp --tensor-split 0,0",
    "estimate llama-3.1-8b --gpu rtx-4090 --pp 2 --engine llama.cpp --tensor-split a,b",
    "estimate llama-3.1-8b --gpu rtx-4090 --pp 2 --tensor-split 3,1",
    "estimate llama-3.1-8b --gpu rtx-4090 --pp 2 --engine llama.cpp --split-mode row",
    "estimate llama-3.1-8b --gpu rtx-4090 --engine llama.cpp --split-mode none",
    "estimate qwen3-30b-a3b --gpu rtx-4090 --engine llama.cpp --override-tensor exps=CUDA1",
    "estimate qwen3-30b-a3b --gpu rtx-4090 --engine llama.cpp --override-tensor ffn_up_exps=CPU",
    "estimate qwen3-30b-a3b --gpu rtx-4090 --engine llama.cpp --override-tensor (=CPU",
    "estimate qwen3-30b-a3b --gpu rtx-4090 --engine llama.cpp --override-tensor exps=CPU --cpu-moe",
    "estimate qwen3-30b-a3b --gpu rtx-4090 --override-tensor exps=CPU",
    "plan llama-3.1-8b --cluster 8xh100-sxm --max-sequences 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --max-batched-tokens 99999999999",
    "plan llama-3.1-8b --cluster 8xh100-sxm --top 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --explain 99",
    "plan llama-3.1-8b --cluster 8xh100-sxm --explain 1 --pareto",
    "plan llama-3.1-8b --cluster 8xh100-sxm --why-not tp",
    "plan llama-3.1-8b --cluster 8xh100-sxm --price h100-sxm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --price h100-sxm=free",
    "plan llama-3.1-8b --cluster 8xh100-sxm --price h100-sxm=-2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --electricity -0.1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --electricity NaN",
    "plan llama-3.1-8b --cluster 8xh100-sxm --electricity cheap",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pue 1.2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --electricity 0.1 --pue 0.9",
    "estimate llama-3.1-8b --gpu h100-sxm --electricity 0.1 --host-watts -5",
    // What runs today.
    "plan llama-3.1-8b --cluster 8xh100-sxm --current ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current tp",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current tp=0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current tp=1..4",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current tp=2,tp=4",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current replica=2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current engine=vlm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current weights=fp88",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current kv=fp12",
    "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 8 --current tp=2,batch=4",
    "plan llama-3.1-8b --cluster 8xh100-sxm --engine any --current tp=2",
    "plan llama-3.1-8b --cluster 8xh100-sxm --current tp=2 --explain 1",
    "estimate llama-3.1-8b",
    "estimate llama-3.1-8b --gpu h100-sxm --cluster 8xh100-sxm",
    "estimate llama-3.1-8b --gpu h100-sxm --tp 0",
    "estimate llama-3.1-8b --gpu h100-sxm --tp 3",
    "estimate llama-3.1-8b --gpu h100-sxm --ep 2",
    "estimate llama-3.1-8b --gpu h100-sxm --pp 33",
    "estimate llama-3.1-8b --gpu h100-sxm --engine any",
    "estimate llama-3.1-8b --cluster 8xh100-sxm --tp 16",
    "estimate llama-3.1-8b --gpu h100-sxm --tp 65536 --pp 65536 --replicas 65536",
    "plan llama-3.1-8b --cluster 8xh100-sxm --why-not ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --why-not tp=2,tp=4",
    "plan llama-3.1-8b --cluster 8xh100-sxm --top=-1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --explain 0",
    // Words that the command line cannot place.
    "''",
    "help plam",
    "--isl 5",
    "-- plan",
    "plan",
    "plan --cluster 8xh100-sxm",
    "plan llama-3.1-8b extra --cluster 8xh100-sxm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --cluster 8xh200-sxm",
    "plan llama-3.1-8b --cluster 8xh100-sxm --top 5 --top 6",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 1.5",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl 2,048",
    "plan llama-3.1-8b --cluster 8xh100-sxm --isl ２０４８",
    "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 1Mb",
    "plan llama-3.1-8b --cluster 8xh100-sxm --format",
    "plan llama-3.1-8b --cluster 8xh100-sxm --format ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pareto=yes",
    // Modes, fronts, weights, limits.
    "plan llama-3.1-8b --cluster 8xh100-sxm --mode spilt",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pareto througput,ttft",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pareto ttft",
    "plan llama-3.1-8b --cluster 8xh100-sxm --pareto ttft,ttft",
    "plan llama-3.1-8b --cluster 8xh100-sxm --objective throughput=0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --objective througput=1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --max-gpus 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --max-price -1",
    "plan llama-3.1-8b --cluster 8xh100-sxm --tokens-per-user 0",
    "plan llama-3.1-8b --cluster 8xh100-sxm --time-limit 0s",
    "plan llama-3.1-8b --cluster 8xh100-sxm --time-limit soon",
    "plan llama-3.1-8b --cluster 8xh100-sxm --verify 1001",
    "plan llama-3.1-8b --cluster 8xh100-sxm --prefill-tp 2",
    "plan deepseek-v3 --cluster 8xh200-sxm --dcp 0",
    "plan deepseek-v3 --cluster 8xh200-sxm --dcp 4..2",
    "plan deepseek-v3 --cluster 8xh200-sxm --tp 8 --dcp 3",
    "plan deepseek-v3 --cluster 8xh200-sxm --why-not tp=8,dpc=8",
    "plan llama-3.1-70b --cluster 8xh100-sxm --dcp 2",
    "plan gpt-oss-20b --cluster 8xh100-sxm --tp 8 --dcp 2",
    "plan deepseek-v3 --cluster 8xh200-sxm --tp 8 --dcp 8 --kv fp8 --engine vllm@0.21",
    "plan deepseek-v3 --cluster 8xh200-sxm --tp 8 --dcp 8 --engine sglang",
    "estimate deepseek-v3 --gpu h200-sxm --tp 8 --dcp 3",
    "estimate deepseek-v3 --gpu h200-sxm --prefill tp=8,dcp=8 --decode tp=8",
    "simulate deepseek-v3 --gpu h200-sxm --tp 8 --dcp 16 --concurrency 4",
    "plan llama-3.1-8b --cluster 8xh100-sxm --why-not prefill_tp=0",
    "plan deepseek-v3 --cluster 8xh200-sxm --speculate mtp,ngram --acceptance 0.8",
    "simulate llama-3.1-8b --gpu h100-sxm --max-sequences 16,32",
    "simulate deepseek-v3 --gpu h200-sxm --tp 8 --speculate off,mtp --acceptance 0.8",
    "simulate deepseek-v3 --gpu h200-sxm --tp 8 --concurrency 4 --speculate off,mtp --acceptance 0.8",
    "plan llama-3.1-8b --cluster 8xh100-sxm --percentile 100",
    "plan llama-3.1-8b --cluster 8xh100-sxm --verify 2 --percentile p101",
    "plan llama-3.1-8b --cluster 8xh100-sxm --what-if hbn=+20%",
    "plan llama-3.1-8b --cluster 8xh100-sxm --what-if hbm=20",
    "plan llama-3.1-8b --cluster 8xh100-sxm --what-if hbm=-100%",
    // Split pools.
    "estimate llama-3.1-8b --gpu h100-sxm --prefill tp=2",
    "estimate llama-3.1-8b --gpu h100-sxm --prefill tp=2 --decode tp=3",
    "estimate llama-3.1-8b --gpu h100-sxm --prefill tp=2 --decode batch=3",
    "estimate llama-3.1-8b --gpu h100-sxm --prefill tp=2 --decode tp=2 --tp 2",
    "estimate llama-3.1-8b --cluster 4xh100-sxm --prefill tp=2,replicas=2 --decode tp=2",
    "estimate llama-3.1-8b --gpu h100-sxm --engine llama.cpp --weights q4_k_m --prefill tp=1 --decode tp=1",
    "simulate llama-3.1-8b --gpu h100-sxm --prefill tp=1 --decode tp=1 --concurrency 4 --timeline {tmp}/t.csv",
    "plan llama-3.1-8b --cluster 8xh100-sxm -z",
    "plan llama-3.1-8b --cluster 8xh100-sxm --quiet --verbose",
    "plan llama-3.1-8b --cluster 8xh100-sxm --weights ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm --weights fp8,",
    "inspect ラマ",
    "inspect \u{1b}[31mred",
    "inspect --gpu h100-sxm",
    "catalog",
    "validate",
    "completions bsh",
    "man {tmp}/huge.json",
    "man /proc/man1",
    // Shapes.
    "inspect --shape ''",
    "inspect --shape layers=32",
    "inspect llama-3.1-8b --shape layers=32",
    "inspect --shape layres=32,hidden=4096,heads=32,ffn=14336,vocab=128256",
    "inspect --shape layers=32,layers=33",
    "inspect --shape layers=32,hidden=4k,heads=32,ffn=14336,vocab=128256",
    "inspect --shape layers=0,hidden=4096,heads=32,ffn=14336,vocab=128256",
    "inspect --shape layers=20000,hidden=4096,heads=32,ffn=14336,vocab=128256",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=999999999999",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=,vocab=128256",
    "inspect --shape layers=32,hidden=4096,heads=32,kv=7,ffn=14336,vocab=128256",
    "inspect --shape layers=32,hidden=4096,heads=33,ffn=14336,vocab=128256",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256,tied=yes",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256,dtype=fp88",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256,top_k=2",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256,experts=8",
    "inspect --shape layers=32,hidden=4096,heads=32,ffn=14336,vocab=128256,experts=2,top_k=3",
    "inspect --shape layers=32,hidden=4096,heads=32,vocab=9,experts=8,top_k=2,expert_ffn=9,dense_layers=1",
    "inspect --shape layers=2,hidden=64,heads=2,ffn=9,vocab=9,experts=8,top_k=2,dense_layers=2",
    "inspect --shape layers=10000,hidden=268435456,heads=1,ffn=268435456,vocab=268435456",
    // Calibrations.
    "calibrate",
    "calibrate tests/data/valid/kernels.csv",
    "calibrate --gpu h100-sxm",
    "calibrate tests/data/valid/kernels.csv --gpu h100-smx",
    "calibrate tests/data/valid/kernels.csv --class datacenter-hmb",
    "calibrate tests/data/valid/kernels.csv --gpu h100-sxm --class datacenter-hbm",
    "calibrate tests/data/valid/kernels.csv --gpu a100-sxm-80gb",
    "calibrate tests/data/valid/kernels.csv tests/nowhere.csv --gpu h100-sxm",
    "calibrate tests/data/valid/gpu.yaml --gpu h100-sxm",
    "calibrate tests/data --gpu h100-sxm",
    "calibrate tests/data/valid/runs.csv --engine vlm",
    "calibrate tests/data/valid/runs.csv --engine vllm --where quality",
    "calibrate tests/data/valid/runs.csv --engine vllm --where qualty=A",
    "calibrate tests/data/valid/runs.csv --engine vllm --leave-out gpus",
    "calibrate tests/data/valid/runs.csv --engine vllm,sglang -o {tmp}/vllm.yaml",
    "calibrate tests/data/valid/runs.csv --engine llama.cpp",
    "calibrate tests/data/valid/kernels.csv --engine vllm",
    "calibrate tests/data/valid/kernels.csv --gpu h100-sxm --leave-out model",
    "calibrate tests/data/valid/kernels.csv --gpu h100-sxm --engine vllm",
    "calibrate tests/data/valid/kernels.csv --gpu h100-sxm -o {tmp}/nowhere/out.yaml",
    "validate kernels tests/data/valid/kernels.csv --by decades",
    // Files that are not there, not files, or not writable.
    // Simulations.
    "simulate llama-3.1-8b",
    "simulate llama-3.1-8b --gpu l40s --isl foo",
    "simulate llama-3.1-8b --gpu l40s --isl uniform:9..3",
    "simulate llama-3.1-8b --gpu l40s --osl lognormal:-1,2",
    "simulate llama-3.1-8b --gpu l40s --isl 200000",
    "simulate llama-3.1-8b --gpu l40s --rate 0",
    "simulate llama-3.1-8b --gpu l40s --rate 1 --concurrency 4",
    "simulate llama-3.1-8b --gpu l40s --rate 3 --burstiness 0",
    "simulate llama-3.1-8b --gpu l40s --prefix-hit 1.5",
    "simulate llama-3.1-8b --gpu l40s --ttft 1s,2s",
    "plan llama-3.1-8b --cluster 8xl40s --isl 1k,8k --explain 1",
    "plan llama-3.1-8b --cluster 8xl40s --isl 1k,8k --concurrency 1,x",
    "simulate llama-3.1-8b --gpu l40s --trace tests/data/valid/trace.csv --prefix-hit 0.5",
    "simulate llama-3.1-8b --gpu l40s --no-prefix-cache",
    "estimate llama-3.1-8b --gpu l40s --scheduling arrival_poll_step=10",
    "estimate llama-3.1-8b --gpu l40s --scheduling arrival_poll_steps",
    "estimate llama-3.1-8b --gpu l40s --scheduling step_overhead=3",
    "plan llama-3.1-8b --cluster 8xh100-sxm --scheduling output_reserve=2",
    // Result files of benchmarks.
    "validate serving tests/data/results/vllm-closed.json",
    "validate serving tests/data/results/vllm-closed.json --gpu h100-smx",
    "validate serving tests/data/results/sglang-runs.jsonl --gpu h100-sxm",
    "validate serving tests/data/invalid/config-empty.json --gpu h100-sxm",
    "validate serving tests/data/invalid/config-truncated.json --gpu h100-sxm",
    "validate serving {tmp} --gpu h100-sxm",
    "validate params tests/data/results/vllm-closed.json",
    "validate serving tests/data/valid/trace.csv --gpu h100-sxm",
    // Speculative decoding.
    "estimate llama-3.1-8b --gpu l40s --speculate mtp --acceptance 0.8",
    "estimate llama-3.1-8b --gpu l40s --speculate ngram",
    "estimate llama-3.1-8b --gpu l40s --speculate ngramm --acceptance 0.8",
    "plan llama-3.1-8b --cluster 8xh100-sxm --speculate ngram --acceptance 1.5",
    "plan llama-3.1-8b --cluster 8xh100-sxm --speculate ngram --acceptance -0.1",
    "simulate llama-3.1-8b --gpu l40s --speculate ngram --acceptance nan",
    "size llama-3.1-8b --gpu l40s --rate 5 --speculate ngram --acceptance 0.5 --draft-tokens 33",
    "plan llama-3.1-8b --cluster 8xh100-sxm --acceptance 0.5",
    "simulate llama-3.1-8b --gpu l40s --requests 0",
    "simulate llama-3.1-8b --gpu l40s --speed 0",
    "simulate llama-3.1-8b --gpu l40s --protocol inferencex",
    "simulate llama-3.1-8b --gpu l40s --protocol infx",
    "simulate llama-3.1-8b --gpu l40s --engine vllm,sglang",
    "simulate llama-3.1-8b --gpu l40s --tp 3",
    "simulate llama-3.1-8b --cluster 1xl40s --tp 2",
    "simulate llama-3.1-8b --gpu l40s --trace {tmp}/nowhere.csv",
    "simulate llama-3.1-8b --gpu l40s --trace README.md",
    "simulate llama-3.1-8b --gpu l40s --trace tests/data/valid/trace.csv --speed NaN",
    "simulate llama-3.1-8b --gpu l40s --requests 3 --timeline {tmp}/nowhere/t.csv",
    // Breakdowns.
    "inspect",
    "inspect --table flops",
    "inspect llama-3.1-8b --table known",
    "inspect llama-3.1-8b --table flop",
    "inspect llama-3.1-8b --mode train",
    "inspect llama-3.1-8b --mode decode --batch 0",
    "inspect llama-3.1-8b --mode decode --seq 0",
    "inspect llama-3.1-8b --mode decode --seq 99999999999",
    "inspect llama-3.1-8b --mode prefill --query-block 0",
    "inspect llama-3.1-8b --mode decode --splits 0",
    "inspect llama-3.1-8b --mode prefill --capacity-factor 0",
    "inspect llama-3.1-8b --mode prefill --capacity-factor NaN",
    "inspect llama-3.1-8b --mode prefill --dtype fp8",
    "inspect llama-3.1-8b --mode prefill --dtype fp17",
    "inspect llama-3.1-8b --ram 32",
    "inspect llama-3.1-8b --ram=-32GB",
    "inspect llama-3.1-8b --table context",
    "inspect llama-3.1-8b --table context --gpu h100-sxm --tp 3",
    "inspect llama-3.1-8b --gpu h100-smx",
    "inspect llama-3.1-8b qwen3-88b",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o ''",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o /proc/plans.csv",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o {tmp}/read-only.csv",
    "sweep tests/data/valid/scenario.yaml -o ''",
    "sweep {tmp} -o {tmp}/out",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --shard 0/4",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --shard 5/4",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --shard half",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --compare {tmp}/none.csv",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --compare tests/data/valid/traffic.csv",
    "merge -o {tmp}/out",
    "merge {tmp}/none -o {tmp}/out",
    "merge tests -o {tmp}/out",
    "plan llama-3.1-8b --cluster 8xh100-sxm --prefix-hit 1.5",
    "size llama-3.1-8b --rate 5",
    "size llama-3.1-8b --gpu l40s",
    "size llama-3.1-8b --gpu l40ss --rate 5",
    "size llama-3.1-8b --gpu l40s --clusters 4xl40s --rate 5",
    "size llama-3.1-8b --gpu l40s --rate 0",
    "size llama-3.1-8b --gpu l40s --rate 5 --headroom much",
    "size llama-3.1-8b --gpu l40s --rate 5 --headroom=-5%",
    "size llama-3.1-8b --gpu l40s --rate 5 --objective latency",
    "size llama-3.1-8b --gpu l40s --rate 5 --forecast tests/data/valid/traffic.csv",
    "size llama-3.1-8b --gpu l40s --forecast {tmp}/none.csv",
    "size llama-3.1-8b --gpu l40s --forecast tests/data/valid/trace.csv",
    "size llama-3.1-8b --gpu l40s --rate 5 --unit 0",
    "size llama-3.1-8b --gpu l40s --rate 5 --isl 200000",
    "size llama-3.1-8b --clusters 8xh100-sxm+8xa100-sxm-80gb --rate 5",
    "validate params {tmp}",
    "validate params README.md",
    "validate memory --log {tmp}/none.log",
    "validate memory --log README.md --model llama-3.1-8b --gpu h100-sxm",
    "validate memory --log tests/data/logs/vllm-0.7-v0.log",
    "validate memory --log tests/data/logs/trtllm.log --model llama-3.1-8b --gpu h100-smx",
    "validate memory --log tests/data/logs/sglang.log",
    "validate serving --log tests/data/logs/sglang.log",
    "validate memory --log tests/data/logs/sglang.log rows.csv",
    "validate memory rows.csv --gpu h100-sxm",
    "inspect {tmp}/nowhere/config.json",
    "inspect {tmp}",
    "inspect ''",
    "inspect {tmp}/huge.json",
    "inspect some-org/some-model",
    "inspect some-org/some-model@v2 --offline",
    "inspect some-org/some-model@../v2",
    "inspect {tmp}/none.gguf",
    "inspect {tmp}/huge.gguf",
    "inspect {tmp}/none.safetensors",
    "inspect llama-3.1-8b --verify",
    "inspect llama-3.1-8b --verify hub",
    "inspect llama-3.1-8b --verify some-org/some-model",
    "inspect llama-3.1-8b --verify {tmp}",
    "inspect llama-3.1-8b --verify {tmp}/huge.json",
    "fetch some-model",
    "fetch some-org/some-model -o {tmp}",
    "fetch some-org/some-model --revision ../x -o {tmp}",
    "fetch some-org/some-model -o {tmp}/no/such/folder/x.json",
    "estimate llama-3.1-8b --gpu {tmp}/none.yaml",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o {tmp}/no/such/folder/plans.csv",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o {tmp}",
    "plan llama-3.1-8b --cluster 8xh100-sxm -o {tmp}/huge.json/plans.csv",
    "sweep {tmp}/none.yaml -o {tmp}/out",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/huge.json",
    "sweep tests/data/valid/scenario.yaml",
    // Measured kernels.
    "estimate llama-3.1-8b --gpu h100-sxm --kernels {tmp}/none",
    "estimate llama-3.1-8b --gpu h100-sxm --kernels {tmp}/huge.json",
    "estimate llama-3.1-8b --gpu h100-sxm --kernels {tmp}",
    "estimate llama-3.1-8b --gpu h100-sxm --kernels {tmp}/core.whl",
    "sweep tests/data/valid/scenario.yaml -o {tmp}/out --kernels {tmp}/none",
    "validate serving tests/data/valid/runs.csv --kernels {tmp}/none",
    // The user's own catalogue.
    "catalog gpus --catalog {tmp}/none",
    "catalog gpus --catalog {tmp}/huge.json",
    "catalog gpus --catalog tests/data",
    "inspect llama-3.1-8b --models {tmp}/none",
    "catalog gpus renamed --catalog tests/data/broken-catalog",
    "estimate llama-3.1-8b --gpu zero-memory --catalog tests/data/broken-catalog",
    "estimate llama-3.1-8b --gpu renamed --catalog tests/data/broken-catalog",
    "estimate llama-3.1-8b --gpu no-such-class --catalog tests/data/broken-catalog",
    "estimate llama-3.1-8b --gpu truncated --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster no-such-gpu --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster 1xl4 --engine unknown-key --catalog tests/data/broken-catalog",
    "inspect me/truncated --catalog tests/data/broken-catalog",
    "inspect me/no-heads --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster 1xl4 --engine vllmm --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster 1xl4 --engine sglang --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster 1xl4 --engine trtllm --catalog tests/data/broken-catalog",
    "plan llama-3.1-8b --cluster 1xl4 --engine llama.cpp --catalog tests/data/broken-catalog",
    // Checks that cannot be made.
    "check",
    "check {tmp}/empty",
    "check tests/data/valid/gpu.yaml --kind gpux",
    "check --schema gpux",
    "check --schema model",
    "check --schema gpu tests/data/valid/gpu.yaml",
];

/// What a file of this name is given to.
fn line_for(file: &str) -> String {
    let path = format!("tests/data/invalid/{file}");
    match file.split(['-', '.']).next().expect("a name") {
        "config" => format!("inspect {path}"),
        "cluster" => format!("plan llama-3.1-8b --cluster {path}"),
        "engine" => format!("plan llama-3.1-8b --cluster 1xl4 --engine {path}"),
        "framework" => {
            format!("train llama-3.1-8b --cluster 8xh100-sxm --global-batch 8 --seq 2048 --framework {path}")
        }
        "scenario" => format!("sweep {path} -o {{tmp}}/out"),
        _ => format!("estimate llama-3.1-8b --gpu {path}"),
    }
}

/// A file beyond the largest that is read.
fn prepare(folder: &Path) {
    let file = fs::File::create(folder.join("huge.json")).unwrap();
    file.set_len(shardfit::load::MAX_INPUT_BYTES + 1).unwrap();
    fs::write(folder.join("huge.gguf"), b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0\0")
        .unwrap();
    let kept = folder.join("read-only.csv");
    fs::write(&kept, "kept").unwrap();
    let mut permissions = fs::metadata(&kept).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&kept, permissions).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("core.whl"), b"PK").unwrap();
}

#[track_caller]
fn is_refused(run: &Run) {
    assert_eq!(run.code, 2, "shardfit {}\n{}{}", run.line, run.stdout, run.stderr);
    assert_eq!(run.stdout, "", "shardfit {}", run.line);
    assert!(run.stderr.starts_with("error: "), "shardfit {}\n{}", run.line, run.stderr);
    let said = run.stderr.to_lowercase();
    for word in
        ["panicked", "backtrace", "unwrap", "serde", "deserialize", "policy", "\u{1b}", "invalid digit"]
    {
        assert!(!said.contains(word), "shardfit {}\n{}", run.line, run.stderr);
    }
}

#[test]
fn every_bad_input_is_refused_with_a_message_and_nothing_written() {
    let invalid = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/invalid");
    let mut names: Vec<String> =
        fs::read_dir(invalid).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 40);
    let lines = LINES.iter().map(|line| (*line).to_owned()).chain(names.iter().map(|name| line_for(name)));
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let here = folder.path().display().to_string();
    let before = files_in(folder.path());
    let mut messages = String::new();
    for line in lines {
        let run = shardfit(&line.replace("{tmp}", &here));
        is_refused(&run);
        assert_eq!(files_in(folder.path()), before, "shardfit {line} wrote something");
        messages.push_str(&format!("$ shardfit {line}\n{}\n", run.stderr.replace(&here, "{tmp}")));
    }
    insta::assert_snapshot!("messages", messages);
}

#[test]
fn tables_that_cannot_be_read_are_refused_and_a_build_without_their_reader_names_the_feature() {
    let (cause, help) = if cfg!(feature = "parquet") {
        let cause = "not a readable Parquet file: Parquet error: Invalid Parquet file. Corrupt footer";
        (cause, "get the kernel tables again: `pip download aiconfigurator-core`")
    } else {
        let help = "build shardfit with the feature `parquet`: cargo install --path . --features parquet";
        ("this build reads no Parquet files", help)
    };
    let file = "tests/data/broken-kernels/h100_sxm/gemm/vllm/0.21.0/gemm_perf.parquet";
    for question in [
        "estimate llama-3.1-8b --gpu h100-sxm",
        "plan llama-3.1-8b --cluster 8xh100-sxm",
        "simulate llama-3.1-8b --gpu h100-sxm",
    ] {
        let run = shardfit(&format!("{question} --kernels tests/data/broken-kernels"));
        is_refused(&run);
        assert_eq!(run.stderr, format!("error: {cause}\n  at: {file}\n  help: {help}\n"), "{question}");
    }
}

#[test]
fn a_fault_in_a_file_is_named_with_its_file() {
    for name in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/invalid")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        let line = line_for(&name).replace("{tmp}", "/nonexistent");
        let run = shardfit(&line);
        assert!(run.stderr.contains(&name), "shardfit {line}\n{}", run.stderr);
    }
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest() {
    for (line, nearest) in [
        ("plan llama-3.1-70bb --cluster 8xh100-sxm", "llama-3.1-70b"),
        ("plan llama-3.1-8b --cluster 8xh100-smx", "h100-sxm"),
        ("plan llama-3.1-8b --cluster 8xh100-sxm --engine vlm", "vllm"),
        ("plan llama-3.1-8b --cluster 8xh100-sxm --objective througput", "throughput"),
        ("plan llama-3.1-8b --cluster 8xh100-sxm --format jsn", "json"),
        ("plan llama-3.1-8b --cluster 8xh100-sxm --weights nvpf4", "nvfp4"),
        ("estimate llama-3.1-8b --gpu h100-sxn", "h100-sxm"),
        ("catalog gpux", "gpus"),
        ("plam llama-3.1-8b", "plan"),
        (
            "plan llama-3.1-8b --cluster 8xh100-sxm --tpto 50ms",
            "shardfit plan llama-3.1-8b --cluster 8xh100-sxm --tpot 50ms",
        ),
        ("inspect --shape layres=32", "layers"),
        ("completions bsh", "bash"),
    ] {
        let run = shardfit(line).exits(2);
        assert!(run.stderr.contains(&format!("did you mean `{nearest}`")), "shardfit {line}\n{}", run.stderr);
    }
}

#[test]
fn valid_files_are_what_the_invalid_ones_were_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    for line in [
        "estimate llama-3.1-8b --gpu tests/data/valid/gpu.yaml".to_owned(),
        "plan llama-3.1-8b --cluster tests/data/valid/cluster.yaml".to_owned(),
        "plan llama-3.1-8b --cluster 1xl4 --engine tests/data/valid/engine.yaml".to_owned(),
        "inspect tests/data/valid/config.json".to_owned(),
        format!("sweep tests/data/valid/scenario.yaml -o {here}/out"),
    ] {
        shardfit(&line).exits(0);
    }
}

#[test]
fn a_very_long_word_gets_a_short_answer() {
    let long = "é".repeat(20_000);
    for line in [
        format!("inspect {long}"),
        format!("{long} llama-3.1-8b"),
        format!("plan llama-3.1-8b --cluster {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --engine {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --isl {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --ttft {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --tp {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --price {long}"),
        format!("plan llama-3.1-8b --cluster 1xl4 --{long} 1"),
        format!("inspect --shape {long}=1"),
    ] {
        let run = shardfit(&line).exits(2);
        assert!(run.stderr.starts_with("error: ") && run.stderr.len() < 2000, "{}", run.stderr);
    }
}

#[cfg(unix)]
#[test]
fn words_that_are_not_utf_8_and_full_disks_are_said() {
    use std::os::unix::ffi::OsStrExt as _;
    let word = std::ffi::OsStr::from_bytes(b"llama\xff");
    let output = common::command().arg("inspect").arg(word).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"));
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = common::command().args(["inspect", "llama-3.1-8b"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));
    // Nowhere to complain: the exit status still says what happened.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = common::command().args(["inspect", "no-such"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
