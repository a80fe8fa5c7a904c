#!/usr/bin/env python3
"""Ask `estimate` about public launches that are known to work or to be refused, and count how often it is right.

  tools/score_launches.py LAUNCHES.csv --models DIR [--models DIR …] [--shardfit PATH] [--only ID,…] [-o WRONG.csv]

A row describes a launch in columns: engine, engine_version, model, config (a file or folder of one of the --models
folders), gpu, tp (ranks that share one attention), attention_dp (groups of them), dp (copies), ep, pp, dcp, formats,
limits, memory_fraction, lengths and load, and whether it `works`. A launch that works is right where the verdict is
`fits` or `marginal`; one that is refused where it is `does_not_fit` or a rule refuses it. `fits` for a refused launch is
counted apart: it is what costs a user most. Exit status: 0 at least --at-least percent right and no false fit, else 1.
"""
import argparse
import collections
import concurrent.futures
import csv
import json
import os
import re
import subprocess
import sys

# Column -> option, where the column has a value.
OPTIONS = {
    "tp": "--tp",
    "pp": "--pp",
    "ep": "--ep",
    "attention_dp": "--attention-dp",
    "dcp": "--dcp",
    "dp": "--replicas",
    "weights_flag": "--weights",
    "kv_dtype": "--kv",
    "max_model_len": "--max-model-len",
    "max_num_seqs": "--max-sequences",
    "max_num_batched_tokens": "--max-batched-tokens",
    "memory_fraction": "--memory-fraction",
    "isl": "--isl",
    "osl": "--osl",
    "concurrency": "--concurrency",
}

VERDICTS = ["fits", "marginal", "does_not_fit"]
REFUSED = re.compile(r"at: (tp|pp|ep|attention_dp|dcp)=.* with [a-z]")

# Flags of `other_flags` that matter to whether a server starts, in our words; a value of True is a switch.
FLAGS = {
    "--enforce-eager": "--enforce-eager",
    "--disable-cuda-graph": "--enforce-eager",
    "--language-model-only": "--language-model-only",
    "--kv-cache-memory-bytes": "--kv-cache-memory-bytes",
    "--block-size": "--block-size",
    "--page-size": "--block-size",
    "--no-enable-prefix-caching": "--no-enable-prefix-caching",
    "--disable-radix-cache": "--no-enable-prefix-caching",
    "--ep-num-redundant-experts": "--redundant-experts",
    "--cpu-offload-gb": "--cpu-offload-gb",
    "--cudagraph-mode": "--cudagraph-mode",
    "--max-cudagraph-capture-size": "--max-cudagraph-capture-size",
    "--cuda-graph-max-bs": "--max-cudagraph-capture-size",
    "--cuda-graph-max-bs-decode": "--max-cudagraph-capture-size",
}


def model(row, folders):
    """The configuration that the row names, else its model."""
    for folder in folders if row["config"] else []:
        for name in (row["config"], row["config"] + ".json"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
    return row["model"]


def quantised(path):
    """Whether a configuration says how it is quantised."""
    path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    if not os.path.exists(path):
        return True
    with open(path) as file:
        return "quantization_config" in file.read()


def words(row, args):
    """The command that asks about a row."""
    engine = row["engine"] + (f"@{row['engine_version']}" if row["engine_version"] else "")
    asked = [args.shardfit, "estimate", model(row, args.models), "--offline", "--json", "--allow-long-context"]
    asked += ["--engine", engine, "--gpu", row["gpu"]]
    # A worker that only computes prompts takes no output.
    longest = float(row["max_model_len"] or "inf")
    load = longest >= float(row["isl"] or 0) + float(row["osl"] or 0)
    for column, option in OPTIONS.items():
        if column in ("isl", "osl", "concurrency") and not load:
            continue
        if row.get(column) and not (column in ("pp", "dcp", "dp", "ep", "attention_dp") and row[column] == "1"):
            asked += [option, row[column]]
    # ModelOpt says the format in a file of its own, `hf_quant_config.json`.
    if row["weight_dtype"] in ("fp8", "nvfp4") and not row["weights_flag"] and not quantised(model(row, args.models)):
        asked += ["--weights", row["weight_dtype"]]
    other = row["other_flags"].split()
    for flag, value in zip(other, other[1:] + [""]):
        if flag in FLAGS:
            asked += [FLAGS[flag]] + ([value] if value not in ("True", "") and not value.startswith("--") else [])
    return asked


def answer(row, args):
    """Verdict, why, and the figures that explain it."""
    try:
        run = subprocess.run(words(row, args), capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        return "unread", "no answer within 300 s", {}
    try:
        said = json.loads(run.stdout)
    except json.JSONDecodeError:
        said = " ".join(run.stderr.split())[:300]
        # A rule that refuses the division says where, with which engine.
        return ("does_not_fit" if REFUSED.search(said) else "unread"), said, {}
    memory = said.get("memory") or {}
    verdict = said["verdict"]
    # Where no length is stated vLLM starts with the model's context, or does not.
    default = (said.get("room") or {}).get("default_length")
    if default and not row["max_model_len"] and row["engine"].startswith("vllm"):
        verdict = max(verdict, default["verdict"], key=VERDICTS.index)
    reasons = said.get("reasons") or []
    return verdict, "; ".join(str(reason) for reason in reasons)[:300], memory


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("launches")
    ask.add_argument("--models", action="append", default=[])
    ask.add_argument("--shardfit", default="target/debug/shardfit")
    ask.add_argument("--only", default="")
    ask.add_argument("--jobs", type=int, default=1)
    ask.add_argument("--at-least", type=float, default=99.0)
    ask.add_argument("-o", "--output")
    args = ask.parse_args()
    with open(args.launches, newline="") as file:
        rows = list(csv.DictReader(file))
    if args.only:
        wanted = args.only.split(",")
        rows = [row for row in rows if row["id"] in wanted]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        answers = list(pool.map(lambda row: answer(row, args), rows))
    count = collections.Counter()
    wrong = []
    for row, (verdict, why, memory) in zip(rows, answers):
        works = row["works"] == "yes"
        right = verdict in ("fits", "marginal") if works else verdict == "does_not_fit"
        count["right" if right else "wrong"] += 1
        count[f"{'works' if works else 'refused'}: {verdict}"] += 1
        if not right:
            wrong.append((row, verdict, why, memory))
    for row, verdict, why, memory in wrong:
        size = " ".join(f"{key[:-4]} {memory[key]:.1f}" for key in memory if key.endswith("_gib") and memory[key] is not None)
        print(f"{row['id']} works={row['works']} {row['verified']} said {verdict}: {why}\n    {size}\n    {row['command'][:200]}")
    if args.output:
        with open(args.output, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["id", "works", "verified", "verdict", "why", *OPTIONS, "engine", "engine_version", "model", "gpu"])
            for row, verdict, why, _ in wrong:
                rest = [row.get(k, "") for k in (*OPTIONS, "engine", "engine_version", "model", "gpu")]
                out.writerow([row["id"], row["works"], row["verified"], verdict, why, *rest])
    share = 100 * count["right"] / max(1, len(rows))
    print(f"{len(rows)} launches, {share:.1f} % right: " + ", ".join(f"{k} {v}" for k, v in sorted(count.items())))
    return 0 if share >= args.at_least and not count["refused: fits"] else 1


if __name__ == "__main__":
    sys.exit(main())
