#!/usr/bin/env python3
"""Adds to `src/model/families/defaults.json` what configuration classes of Transformers assume for fields that a file
leaves out.

    pip install transformers
    transformers_defaults.py [--types A,B]

Kept are plain values of fields that shardfit reads by name. A value that a class works out from its sizes is none of its
own: each class is made a second time with other sizes, and what moves with them is left out. What the table says already
stays as it is, unless the class contradicts it, which is printed.
"""

import argparse
import json
import pathlib
import re

import transformers
from transformers.models.auto import configuration_auto

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "src/model/families/defaults.json"
# Sizes that other values follow from, under all their names.
MOVED = [
    "hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_attention_heads",
    "n_head", "n_heads", "num_key_value_heads", "intermediate_size", "head_dim",
]
# What is no size and no switch of a model's weights, cache or computation.
IGNORED = {
    "model_type", "dtype", "torch_dtype", "transformers_version", "use_cache", "bos_token_id", "eos_token_id",
    "pad_token_id", "initializer_range", "rms_norm_eps", "layer_norm_eps", "rope_theta", "hidden_act", "architectures",
    "attention_dropout", "chunk_size_feed_forward", "num_nextn_predict_layers", "output_attentions", "output_hidden_states", "return_dict", "is_encoder_decoder",
}

# What a class works out of a nested part, which its files hold.
OF_PARTS = {("dbrx", "num_key_value_heads"), ("gpt_bigcode", "num_key_value_heads")}

# Names of one size: where a table says it under one of them, files of the class do.
ONE_SIZE = [
    {"num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"},
    {"num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"},
    {"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"},
]


def plain(value):
    """Whether a value is one that a table of defaults holds."""
    return isinstance(value, (bool, int)) or isinstance(value, list) and all(isinstance(v, int) for v in value)


def known_names():
    """Field names that the readers of models hold as literals."""
    text = "".join(path.read_text() for path in (ROOT / "src/model").rglob("*.rs"))
    return set(re.findall(r'"([a-zA-Z_][a-zA-Z0-9_]*)"', text)) - IGNORED


def fields(cls, **sizes):
    """The values of a configuration, its parts left out."""
    made = cls(**sizes).to_dict()
    return {name: value for name, value in made.items() if plain(value)}


def own_defaults(cls):
    """What a class assumes and does not work out from its sizes; `None` where it cannot be made."""
    try:
        base = fields(cls)
    except Exception:  # Some classes need a part that has no default.
        return None
    moved = set()
    for name in MOVED:
        if isinstance(base.get(name), int) and base[name] > 1:
            try:
                other = fields(cls, **{name: base[name] * 2})
            except Exception:
                continue
            moved |= {key for key in base if key != name and other.get(key) != base[key]}
    # What a class declares to be something else is worked out from other fields.
    declared = {key for key, value in base.items() if getattr(cls, key, value) != value}
    return {key: value for key, value in base.items() if key not in moved | declared}


def classes():
    """Every configuration class by its `model_type`, those of parts too."""
    found = {}
    waiting = []
    for model_type in configuration_auto.CONFIG_MAPPING_NAMES:
        try:
            waiting.append((model_type, configuration_auto.CONFIG_MAPPING[model_type]))
        except Exception:
            continue
    while waiting:
        model_type, cls = waiting.pop()
        if model_type in found or not isinstance(cls, type):
            continue
        found[model_type] = cls
        parts = getattr(cls, "sub_configs", {})
        waiting += [(getattr(part, "model_type", ""), part) for part in parts.values() if getattr(part, "model_type", "")]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--types", help="these alone, separated by commas")
    args = parser.parse_args()
    wanted = set(args.types.split(",")) if args.types else None
    readers = known_names()
    table = json.loads(TABLE.read_text())
    # A type without a family is read by the general rules, which need no table.
    families = set(re.findall(r'"([^"]+)"', (ROOT / "src/model/families/mod.rs").read_text()))
    families |= set(table)
    parts = set()
    known = classes()
    for model_type in families & set(known):
        parts |= {getattr(p, "model_type", "") for p in getattr(known[model_type], "sub_configs", {}).values()}
    for model_type in sorted((families | parts) & set(known)):
        if wanted is not None and model_type not in wanted:
            continue
        defaults = own_defaults(known[model_type])
        if defaults is None:
            print(f"{model_type}: cannot be made")
            continue
        row = table.setdefault(model_type, {})
        said = set(row)
        for name, value in defaults.items():
            if name not in readers or (model_type, name) in OF_PARTS:
                continue
            if any(name in names and names & said - {name} for names in ONE_SIZE):
                continue
            if name in row and row[name] != value:
                print(f"{model_type}.{name}: {row[name]} here, {value} in Transformers {transformers.__version__}")
            else:
                row[name] = value
    rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(table.items()) if row]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
