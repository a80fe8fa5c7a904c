#!/usr/bin/env python3
"""What llmfit (PyPI) says of models on machines, beside `shardfit fit` and what was measured.

    pip download --no-deps llmfit   # its wheel holds the program
    tools/beside_others.py --llmfit llmfit --shardfit target/release/shardfit --measured llama-bench.csv

llmfit is told the memory of the card and the host; of cards that it does not see it takes a constant of their kind, so
that its speeds are those of a machine without drivers. `--measured` has the columns of `shardfit validate serving`: rows
of one GPU with a batch of 1 and one prompt token are decode speeds. whichllm (PyPI) asks the hub for each answer and is
left out.
"""
import argparse
import csv
import json
import os
import subprocess

MACHINES = {
    "1xrtx-3060": ("12G", "32G"), "1xrtx-4060-ti-16gb": ("16G", "32G"), "1xrtx-3090": ("24G", "64G"),
    "1xrtx-4090": ("24G", "64G"), "1xrtx-5090": ("32G", "64G"), "1xa6000": ("48G", "128G"), "1xl40s": ("48G", "256G"),
    "1xh100-pcie": ("80G", "256G"), "1xa100-sxm-80gb": ("80G", "256G"), "1xrx-7900-xtx": ("24G", "64G"),
}
MODELS = {
    "meta-llama/Meta-Llama-3-8B": "meta-llama/Meta-Llama-3-8B-Instruct",
    "meta-llama/Meta-Llama-3-70B": "meta-llama/Meta-Llama-3-70B-Instruct",
    "Qwen/Qwen3-32B": "Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B": "Qwen/Qwen3-30B-A3B",
    "openai/gpt-oss-20b": "openai/gpt-oss-20b",
}


def asked(words):
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else {}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--llmfit", required=True)
    ask.add_argument("--shardfit", required=True)
    ask.add_argument("--measured")
    given = ask.parse_args()
    measured = {}
    for row in csv.DictReader(open(given.measured)) if given.measured else []:
        alone = row["engine"] == "llama.cpp" and row["num_gpus"] == "1" and row["batch"] == "1" and row["isl"] == "1"
        if alone and row["tpot_ms"]:
            key = (row["gpu"], row["model"], row["weight_dtype"])
            measured.setdefault(key, 1000 / float(row["tpot_ms"]))
    errors = {"llmfit": [], "shardfit": []}
    print("machine,model,format,llmfit_fits,llmfit_tokens_per_s,shardfit_fits,shardfit_tokens_per_s,measured")
    for machine, (memory, ram) in MACHINES.items():
        for base, name in MODELS.items():
            theirs = asked([given.llmfit, "--memory", memory, "--ram", ram, "--json", "info", name])
            theirs = (theirs.get("models") or [{}])[0]
            for quant in ("q4_k_m", "fp16"):
                ours = asked([given.shardfit, "fit", "--cluster", machine, "--family", name.split("/")[1], "--engine",
                              "llama.cpp", "--weights", quant, "--isl", "1", "--osl", "512", "--context", "1024",
                              "--min-tokens", "0", "--format", "json"])
                ours = next((m for m in ours.get("models", []) if m["model"] == name), {})
                real = measured.get((machine[2:], base, quant))
                own = str(theirs.get("best_quant") or "").lower() == quant
                said = theirs.get("estimated_tps") if own else None
                for who, speed in (("llmfit", said), ("shardfit", ours.get("tokens_per_s"))):
                    if real and speed:
                        errors[who].append(abs(speed / real - 1))
                if said or ours or real:
                    fits = theirs.get("fit_level", "") if own else ""
                    print(machine, name, quant, fits, said or "", "yes" if ours else "no", ours.get("tokens_per_s", ""),
                          round(real, 1) if real else "", sep=",")
    for who, list_ in errors.items():
        if list_:
            print(f"# {who}: {len(list_)} measured, median error {100 * sorted(list_)[len(list_) // 2]:.0f} %")


if __name__ == "__main__":
    main()
