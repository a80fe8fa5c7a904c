#!/usr/bin/env python3
"""Sets the errors of shardfit beside those of AISimulate (the former AIConfigurator) on the same measured rows.

    pip install --pre aisimulate          # any environment; name its command with --aisimulate
    tools/compare_aisimulate.py rows.csv --models configs/ --per-group 2 --rows 20

Takes closed-loop rows of `shardfit validate serving` (docs/validating.md): at most --per-group of each `group`, evenly over the
file. A row that one of the two does not answer is left out of both. AISimulate takes some four seconds a row.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SYSTEMS = {
    "a100-pcie-80gb": "a100_pcie",
    "a100-sxm-80gb": "a100_sxm",
    "arc-pro-b60": "b60",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "h100-pcie": "h100_pcie",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "l40s": "l40s",
    "rtx-pro-6000": "rtx_pro_6000_server",
}
METRICS = {"ttft_ms": "mean_ttft_ms", "tpot_ms": "mean_tpot_ms"}


def chosen(rows, per_group, most):
    """At most so many rows of each group, then every n-th of what is left."""
    groups = defaultdict(list)
    for row in rows:
        usable = row.get("concurrency") and row["gpu"] in SYSTEMS and any(row.get(m) for m in METRICS)
        if usable and row.get("quality", "A") in ("A", "B"):
            groups[row.get("group")].append(row)
    kept = []
    for group in groups.values():
        step = max(1, len(group) // per_group)
        kept += group[::step][:per_group]
    step = max(1, len(kept) // most)
    return kept[::step][:most]


def configuration(row):
    """The row as AISimulate is asked for it; lengths are the means of what was sent."""
    scale = 0.9 if row["protocol"] == "inferencex" else 1.0
    degree = lambda column: int(float(row.get(column) or 1))
    tensor, data, experts = degree("tp"), degree("attention_dp"), degree("ep")
    concurrency = int(float(row["concurrency"]))
    return {
        "traffic": {
            "source": {
                "type": "synthetic",
                "input_tokens": max(1, round(float(row["isl"]) * scale)),
                "output_tokens": max(2, round(float(row["osl"]) * scale)),
            },
            "load": {"type": "concurrency", "concurrency": concurrency},
            "stop": {"requests": 10 * concurrency},
        },
        "engine": {
            "model": row["model"],
            "hardware": SYSTEMS[row["gpu"]],
            "backend": row["engine"],
            "workers": {
                "aggregated": {
                    "parallelism": {
                        "tensor": tensor,
                        "pipeline": degree("pp"),
                        "attention_data": data,
                        "moe_tensor": max(1, tensor * data // experts),
                        "moe_expert": experts,
                    }
                }
            },
        },
    }


def figure(tree, name):
    """A figure of the answer, wherever it stands."""
    if isinstance(tree, dict):
        if isinstance(tree.get(name), (int, float)):
            return float(tree[name])
        return next((found for value in tree.values() if (found := figure(value, name)) is not None), None)
    return None


def theirs(command, row, seconds):
    """What AISimulate says of a row, or why it does not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "row.yaml"
        path.write_text(json.dumps(configuration(row)))  # JSON is YAML
        call = [command, "predict", "-c", str(path), "--format", "json", "--output-dir", f"{folder}/out"]
        try:
            run = subprocess.run(call, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None, f"no answer in {seconds} s"
    try:
        answer = json.loads(run.stdout[run.stdout.index("{") :])
    except ValueError:
        said = (run.stderr or run.stdout).strip().splitlines()
        return None, said[-1][:160] if said else "no output"
    found = {ours: figure(answer, name) for ours, name in METRICS.items()}
    return (found, None) if all(found.values()) else (None, f"no {', '.join(METRICS.values())} in the answer")


def ours(command, rows, models, catalog):
    """What shardfit says of the rows, by their place."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "rows.csv", Path(folder) / "out.csv"
        with asked.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        call = [command, "-q", "validate", "serving", str(asked), "-o", str(answered)]
        call += ["--models", models] if models else []
        call += ["--catalog", catalog] if catalog else []
        subprocess.run(call, check=True, capture_output=True)
        with answered.open(newline="") as file:
            return [{m: float(r.get(f"predicted_{m}") or 0) for m in METRICS} for r in csv.DictReader(file)]


def summary(errors):
    ordered = sorted(errors)
    ninth = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return f"{statistics.median(ordered):6.1f} {statistics.fmean(ordered):6.1f} {ninth:6.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", help="CSV of measured closed loops")
    parser.add_argument("--models", help="folder of config.json files, as of shardfit")
    parser.add_argument("--catalog", help="folder of your own descriptions, as of shardfit")
    parser.add_argument("--shardfit", default="shardfit", help="the command (default: %(default)s)")
    parser.add_argument("--aisimulate", default="aisimulate", help="the command (default: %(default)s)")
    parser.add_argument("--per-group", type=int, default=6, help="rows of each group at most (default: %(default)s)")
    parser.add_argument("--rows", dest="most", type=int, default=60, help="rows in all at most (default: %(default)s)")
    parser.add_argument("--timeout", type=int, default=60, help="seconds for a row (default: %(default)s)")
    options = parser.parse_args()
    with open(options.rows, newline="") as file:
        rows = chosen(list(csv.DictReader(file)), options.per_group, options.most)
    if not rows:
        sys.exit("no closed-loop rows of GPUs that AISimulate knows")
    mine = ours(options.shardfit, rows, options.models, options.catalog)
    errors = {metric: ([], []) for metric in METRICS}
    for row, said in zip(rows, mine):
        other, why = theirs(options.aisimulate, row, options.timeout)
        if other is None:
            print(f"{row.get('id')}: {row['model']} on {row['gpu']}: {why}", file=sys.stderr)
            continue
        for metric in METRICS:
            measured = float(row.get(metric) or 0)
            if measured > 0 and said[metric] > 0:
                for errors_of, predicted in zip(errors[metric], (said, other)):
                    errors_of.append(100 * abs(predicted[metric] / measured - 1))
    print("absolute errors in per cent: median, mean, 90th percentile")
    for metric, (own, other) in errors.items():
        if own:
            print(f"{metric}: {len(own)} rows; shardfit {summary(own)}; AISimulate {summary(other)}")


if __name__ == "__main__":
    main()
