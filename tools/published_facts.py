#!/usr/bin/env python3
"""Writes published/models.csv and published/scores.csv: what is published of the catalogue's models.

    tools/published_facts.py --llmfit llmfit.json --arena DIR

`--llmfit` is the list of models inside the binary of llmfit (PyPI, MIT): licence and day of release of a hub id.
`--arena` holds text.json, code-webdev.json and vision.json of one day of
https://github.com/aabao325/arena-ai-leaderboards (MIT), which copies the tables of arena.ai.

Models that only differ in how they are stored are said to be `of` the one that they were made from. A name on a
leaderboard is matched with one hub id by its letters and digits; what differs by more stands in SAME.
"""
import argparse
import csv
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STORED = re.compile(
    r"(-FP8-dynamic|-FP8|-FP4|-NVFP4(-v2)?|-AWQ-INT4|-AWQ|-GPTQ-Int[48]|-GPTQ|-quantized\.w\d+a\d+|-awq)$")
BASE = re.compile(
    r"pythia|/opt-|bloom|gpt2|gpt-j|gpt-neox|gpt-3-|Yi-34B$|Yi-6B$|Llama-2-\d+b-hf$|huggyllama|Meta-Llama-3-\d+B$"
    r"|Meta-Llama-3\.1-\d+B$|Llama-3\.2-[13]B$|Llama-3\.2-11B-Vision$|/Qwen-72?B$|Qwen1\.5-MoE-A2\.7B$|Qwen2-7B$"
    r"|Qwen2\.5-(0\.5|1\.5|3|7|14|32|72)B$|Qwen2\.5-Math-1\.5B$|[Bb]ase|/falcon-(7b|40b|180B)$|falcon-mamba-7b$|mamba-2\.8b"
    r"|/starcoder|CodeLlama-\d+b-hf$|codegen|DeepSeek-V2$|DeepSeek-V2-Lite$|/gemma-[27]b$|gemma-4-26B-A4B$"
    r"|Mixtral-8x\d+B-v0\.1$|Mistral-7B-v0\.1$|OLMo-(2-\d+-\d+B|7B-hf)$|OLMoE-1B-7B-0924$|/mpt-|grok-1$|/phi-2$|Minitron"
    r"|stablelm-3b|recurrentgemma-2b$|Zamba-7B|Jamba-v0\.1$|helium|SmolLM-1\.7B$|SmolLM-135M$|MiniCPM-2B$|ModernBERT-(base|large)$|[Rr]eranker|ms-marco")
CODE = re.compile(r"coder|codestral|devstral|starcoder|codegen|codellama|codegemma|-code-|-code$", re.I)
EMBEDDING = re.compile(r"embed|/e5-|multilingual-e5|/bge-(base|large|small|m3)|/gte-modernbert|all-MiniLM", re.I)
REASONS = re.compile(
    r"think|-R1|QwQ|reasoning|Qwen3-(\d|0)[^C]*B(-A\d+B)?$|Qwen3\.[5-9]|gpt-oss|GLM-(4\.[5-9]|5)|GLM-Z1|GLM-4\.1V"
    r"|DeepSeek-V(3\.[1-9]|4)|Kimi-K2(\.[5-9]|-Thinking)|MiniMax-M|MiMo|Nemotron-(3|Nano|Super)|_3-Nemotron|SmolLM3"
    r"|Seed-OSS|Hunyuan|Hy3|EXAONE-4|gemma-4|Step-3|Solar-Open|Trinity", re.I)
GUARD = re.compile(r"guard|safeguard", re.I)

# What a leaderboard calls a model whose hub id has other letters.
SAME = {
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "kimi-k2-0711-preview": "moonshotai/Kimi-K2-Instruct",
    "kimi-k2-0905-preview": "moonshotai/Kimi-K2-Instruct-0905",
    "kimi-k2-thinking-turbo": "moonshotai/Kimi-K2-Thinking",
    "kimi-k2.5-thinking": "moonshotai/Kimi-K2.5",
    "minimax-m2.1-preview": "MiniMaxAI/MiniMax-M2.1",
    "mistral-small-2506": "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    "deepseek-v4-flash-high": "deepseek-ai/DeepSeek-V4-Flash",
    "glm-5.3-max": "zai-org/GLM-5.3",
    "glm-5.2-max": "zai-org/GLM-5.2",
    "mimo-v2-flash (non-thinking)": "XiaomiMiMo/MiMo-V2-Flash",
    "gemma-4-31b": "google/gemma-4-31B-it",
    "gemma-4-26b-a4b": "google/gemma-4-26B-A4B-it",
    "nvidia-nemotron-3-super-120b-a12b": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16",
    "nvidia-nemotron-3-nano-30b-a3b-bf16": "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "nvidia-nemotron-3-ultra-550b-a55b-nvfp4": "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
    "nvidia-nemotron-3.5-lightning-30b-a3b-nvfp4": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16",
    "nvidia-llama-3.3-nemotron-super-49b-v1.5": "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5",
    "llama-3.3-nemotron-49b-super-v1": "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
    "llama-3.1-nemotron-70b-instruct": "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF",
    "nemotron-4-340b-instruct": "nvidia/Nemotron-4-340B-Instruct-hf",
    "olmo-3-32b-think": "allenai/Olmo-3-32B-Think",
    "llama-3.1-405b-instruct-bf16": "meta-llama/Llama-3.1-405B-Instruct",
    "llama-3-70b-instruct": "meta-llama/Meta-Llama-3-70B-Instruct",
    "llama-3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama-3.2-vision-90b-instruct": "meta-llama/Llama-3.2-90B-Vision-Instruct",
    "llama-3.2-vision-11b-instruct": "meta-llama/Llama-3.2-11B-Vision-Instruct",
    "command-r-plus": "CohereForAI/c4ai-command-r-plus",
    "command-r": "CohereLabs/c4ai-command-r-v01",
    "command-r-08-2024": "CohereLabs/c4ai-command-r-08-2024",
    "command-a-03-2025": "CohereLabs/c4ai-command-a-03-2025",
    "c4ai-aya-expanse-32b": "CohereLabs/aya-expanse-32b",
    "deepseek-coder-v2": "deepseek-ai/DeepSeek-Coder-V2-Instruct",
    "mistral-large-2407": "mistralai/Mistral-Large-Instruct-2407",
    "mistral-large-2411": "mistralai/Mistral-Large-Instruct-2411",
    "ministral-8b-2410": "mistralai/Ministral-8B-Instruct-2410",
    "devstral-2": "mistralai/Devstral-2-123B-Instruct-2512",
    "dbrx-instruct-preview": "databricks/dbrx-instruct",
    "vicuna-13b": "lmsys/vicuna-13b-v1.5",
    "vicuna-7b": "lmsys/vicuna-7b-v1.5",
    "smollm2-1.7b-instruct": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "granite-4.1-8b": "ibm-granite/granite-4.1-8b",
    "step-3.5-flash": "stepfun-ai/Step-3.5-Flash",
    "codellama-34b-instruct": "codellama/CodeLlama-34b-Instruct-hf",
}
MEASURES = [("arena-text", "text"), ("arena-webdev", "code-webdev"), ("arena-vision", "vision")]


def letters(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def short(model):
    """The letters of a hub id without its owner, and without what a leaderboard leaves out."""
    name = model.split("/", 1)[1]
    return {letters(name), letters(re.sub(r"^(Meta-|NVIDIA-)", "", name)),
            letters(re.sub(r"-(Instruct|Chat|it)$", "", name)) if re.search(r"Qwen3\.|gpt-oss|Kimi|GLM", name)
            else letters(name)}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--llmfit", type=Path, required=True)
    ask.add_argument("--arena", type=Path, required=True)
    given = ask.parse_args()
    listed = {entry["name"]: entry for entry in json.loads(given.llmfit.read_text())}
    ids = sorted(path.stem.replace("--", "/", 1) for path in (ROOT / "models").glob("*.json"))
    by_short = {letters(model.split("/", 1)[1]): model for model in ids}

    def source(model):
        """The model that another is stored otherwise of."""
        name = model.split("/", 1)[1]
        bare = STORED.sub("", name)
        if bare == name:
            return ""
        variants = [bare, bare + "-BF16", "Meta-" + bare, bare.replace("Meta-", ""), bare + "-Instruct", bare + "-it"]
        found = (by_short.get(letters(variant)) for variant in variants)
        return next((other for other in found if other and other != model), "")

    of = {model: source(model) for model in ids}
    scores = []
    for measure, file in MEASURES:
        best = {}
        for entry in json.loads((given.arena / f"{file}.json").read_text())["models"]:
            name = entry["model"]
            model = SAME.get(name)
            if model not in ids:
                fitting = [m for m in ids if not of[m] and letters(name) in short(m) and not BASE.search(m)]
                model = fitting[0] if len(fitting) == 1 else None
            if model and entry["score"] > best.get(model, (0,))[0]:
                best[model] = (entry["score"], entry.get("ci") or "")
        scores += [(model, measure, score, ci) for model, (score, ci) in sorted(best.items())]
    scored = {(model, measure) for model, measure, *_ in scores}

    with open(ROOT / "published/models.csv", "w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["model", "of", "released", "license", "tasks"])
        for model in ids:
            entry = listed.get(model) or {}
            whole = listed.get(of[model]) or {}
            licence = entry.get("license") or whole.get("license") or ""
            plain = of[model] or model
            tasks = []
            if EMBEDDING.search(plain):
                tasks = ["embedding"]
            elif not BASE.search(plain) and not GUARD.search(plain):
                tasks.append("chat")
                if REASONS.search(plain):
                    tasks.append("reasoning")
            if CODE.search(plain) or (plain, "arena-webdev") in scored:
                tasks.append("code")
            released = (whole.get("release_date") or entry.get("release_date") or "")
            rows.writerow([model, of[model], released,
                           "" if licence in ("other", "unknown") else licence, " ".join(tasks)])
    with open(ROOT / "published/scores.csv", "w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["model", "measure", "score", "interval"])
        rows.writerows(scores)


if __name__ == "__main__":
    main()
