#!/usr/bin/env python3
"""Compares shardfit's counts with the classes of Transformers, type by type.

    pip install torch transformers
    transformers_counts.py [--shardfit PATH] [--write FOLDER] [--types A,B] [--kinds causal,vision]

Every type of the automatic classes for causal language models and for images and text is made with the defaults of its
configuration class, on PyTorch's `meta` device, so that no weight takes memory. Parameters are counted once each; of
routed experts a token uses its share. `shardfit inspect --format json` reads the same configuration. What differs is
listed, then what is not recognised; the exit status is 1 where a recognised type differs and no note says why.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers.models.auto import configuration_auto, modeling_auto

KINDS = {
    "causal": ("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    "vision": ("AutoModelForImageTextToText", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"),
    "seq2seq": ("AutoModelForSeq2SeqLM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
    "speech": ("AutoModelForSpeechSeq2Seq", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES"),
    "encoder": ("AutoModel", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
}
TOP_K = [
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts",
    "num_selected_experts", "experts_per_token", "expert_top_k", "top_k",
]


def top_k(module, model):
    """Experts that a token uses, of a module that holds several: what its router or the configuration says."""
    configs = [getattr(module, "config", None), getattr(model.config, "text_config", None), model.config]
    for config in (c for c in configs if c is not None):
        nested = [config] + [getattr(config, n) for n in ("ffn_config",) if hasattr(config, n)]
        for name in TOP_K:
            for c in nested:
                value = getattr(c, name, None)
                if isinstance(value, list):
                    value = value[0] if value else None
                if isinstance(value, int) and value > 0:
                    return value
    return None


def counts(model):
    """All parameters once each, and those that one token uses."""
    seen, total, idle = set(), 0, 0
    routed = {}
    for path, module in model.named_modules():
        name = type(module).__name__
        if "Experts" in name and "Shared" not in name or path.endswith(".experts"):
            inner = [p for _, p in module.named_parameters()]
            if not inner or any(path.startswith(other + ".") for other in routed):
                continue
            routed[path] = (module, inner)
    for parameter in model.parameters():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            total += parameter.numel()
    for path, (module, inner) in routed.items():
        if "vision_moe" in path:
            # Experts of a modality of their own: a token of text uses none of them (ERNIE-4.5-VL).
            idle += sum(p.numel() for p in inner)
            continue
        k = top_k(module, model)
        if isinstance(module, (torch.nn.ModuleList, torch.nn.ModuleDict)):
            if k is None or not len(module):
                return total, None
            size = sum(p.numel() for p in inner)
            idle += size - size * min(k, len(module)) // len(module)
            continue
        stacked = [p.shape[0] for p in inner if p.dim() == 3]
        lists = [len(m) for m in module.children() if isinstance(m, (torch.nn.ModuleList, torch.nn.ModuleDict))]
        experts = (stacked or lists or [getattr(module, "num_experts", 0)])[0]
        if k is None or not experts:
            return total, None
        if not stacked:
            size = sum(p.numel() for p in inner)
            idle += size - size * min(k, experts) // experts
            continue
        # Stacked: a row each. A router or a bias of the whole inside the module is not an expert's, and what computes
        # nothing may have rows in one of the tensors (LongCat-Flash).
        for name, p in module.named_parameters():
            if p.shape[0] in stacked and p.dim() > 1 and "router" not in name:
                idle += p.numel() - p.numel() // p.shape[0] * min(k, p.shape[0])
    return total, total - idle


def build(kind, model_type):
    auto = getattr(transformers, KINDS[kind][0])
    config = configuration_auto.CONFIG_MAPPING[model_type]()
    with torch.device("meta"):
        model = auto.from_config(config)
    total, active = counts(model)
    text = config.to_dict()
    text["architectures"] = [type(model).__name__]
    text["model_type"] = model_type
    return text, total, active


def inspect(shardfit, path):
    done = subprocess.run([shardfit, "inspect", str(path), "--format", "json"], capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().replace("\n", " | ")}
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shardfit", default="shardfit")
    parser.add_argument("--write", type=pathlib.Path, help="keep the configurations and their counts here, and reuse them")
    parser.add_argument("--types", type=lambda s: s.split(","), default=[])
    parser.add_argument("--kinds", type=lambda s: s.split(","), default=["causal", "vision"])
    arguments = parser.parse_args()
    folder = arguments.write or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)

    exact, wrong, noted, unrecognised, unbuilt, refused = [], [], [], [], [], []
    for kind in arguments.kinds:
        for model_type in sorted(getattr(modeling_auto, KINDS[kind][1])):
            if arguments.types and model_type not in arguments.types:
                continue
            path = folder / f"{kind}--{re.sub('[^A-Za-z0-9._-]', '_', model_type)}.json"
            kept = path.with_suffix(".counts")
            try:
                if kept.is_file():
                    total, active = json.loads(kept.read_text())
                else:
                    text, total, active = build(kind, model_type)
                    path.write_text(json.dumps(text, indent=1, default=str))
                    kept.write_text(json.dumps([total, active]))
            except Exception as error:  # noqa: BLE001: whatever a class raises, it cannot be built
                unbuilt.append((model_type, str(error).split("\n")[0][:100]))
                continue
            found = inspect(arguments.shardfit, path)
            if "error" in found:
                refused.append((model_type, found["error"][:160]))
                continue
            got = (found["params"]["total"], found["params"]["active"])
            same = got[0] == total and (active is None or got[1] == active)
            row = (f"{kind} {model_type}", f"{got[0]:,} for {total:,}", f"active {got[1]:,} for {active or 0:,}")
            if not found["recognised"]:
                unrecognised.append(row if not same else (f"{kind} {model_type}", "counts agree"))
            elif same:
                exact.append(row)
            elif found["notes"]:
                noted.append((*row, "; ".join(found["notes"])[:200]))
            else:
                wrong.append(row)
    parts = {
        "cannot be built": unbuilt, "not recognised": unrecognised, "refused": refused,
        "other, with a note": noted, "other, without a note": wrong,
    }
    for title, rows in parts.items():
        print(f"\n{title}: {len(rows)}")
        for row in rows:
            print("  " + "  ".join(row))
    recognised = len(exact) + len(noted) + len(wrong)
    share = 100 * len(exact) / max(1, recognised)
    print(f"\ntransformers {transformers.__version__}: {len(exact)} of {recognised} recognised types exact ({share:.1f} %), "
          f"{len(unrecognised)} not recognised, {len(refused)} refused, {len(unbuilt)} cannot be built")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
