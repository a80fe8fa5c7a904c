#!/usr/bin/env python3
"""Makes flags/<engine>.json from extracted flag lists of several versions of an engine.

    launch_flags.py FOLDER OUT

FOLDER holds one JSON list per version (`vllm-0.33.0.json`: name, aliases, takes_value, action, nargs, type,
choices, deprecated), as an engine's own parser tells them. Equal neighbours are merged: a line of the result is
one form of one flag and the span of versions that take it so.
"""

import json
import re
import sys
from pathlib import Path

ENGINES = {
    "vllm": r"vllm-(\d[\w.]*?)\.json",
    "sglang": r"sglang-(\d[\w.]*?)\.json",
    "trtllm": r"trtllm-((?:\d|main)[\w.-]*?)\.json",
    "llama.cpp": r"llama\.cpp-([\w.-]+?)\.json",
}

# Versions whose lists are named by a date or a commit, as the catalogue names them.
NAMES = {
    "1.0.0rc-2025-07": "1.0.0",
    "1.3.0rc3": "1.3.0",
    "main-2026-autumn": "1.4.0",
    "4227c9be-2025-08": "b6100",
}


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)]


def takes(flag):
    """What follows the flag: nothing, one value, several, or one that may be left out."""
    if flag.get("action") in ("EnableDisableAction", "BooleanOptionalAction"):
        return "toggle"
    if not flag["takes_value"]:
        return "toggle" if flag.get("negated") else "switch"
    if flag.get("nargs") in ("+", "*"):
        return "list"
    if flag.get("nargs") == "?" and not flag.get("positional"):
        return "optional"
    return "value"


def kind(flag):
    """What a value is read as."""
    type_ = (flag.get("type") or "").lower()
    if "json" in type_ or type_ in ("loads", "dict"):
        return "json or text" if "str" in type_ or "list" in type_ else "json"
    if "1k" in type_ or type_ == "human_readable_int":
        return "size"
    if type_.startswith("int"):
        return "integer"
    if type_.startswith("float") or type_ == "number":
        return "number"
    return "text"


def row(flag):
    aliases = [a for a in flag.get("aliases") or [] if a != flag["name"]]
    out = {"takes": takes(flag), "kind": kind(flag), "aliases": aliases}
    if flag.get("negated"):
        out["negated"] = flag["negated"]
    if flag.get("env"):
        out["variable"] = flag["env"]
    if flag.get("choices") and all(isinstance(c, str) for c in flag["choices"]):
        out["choices"] = flag["choices"]
    if flag.get("deprecated"):
        out["deprecated"] = True
    if flag.get("removed"):
        out["removed"] = True
    if out["takes"] in ("switch", "toggle"):
        del out["kind"]
    if not aliases:
        del out["aliases"]
    return out


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    for engine, pattern in ENGINES.items():
        found = {}
        for file in folder.iterdir():
            match = re.fullmatch(pattern, file.name)
            if match and not file.name.endswith(("-configs.json", "-yaml.json")):
                found[NAMES.get(match[1], match[1])] = json.loads(file.read_text())
        versions = sorted(found, key=numbers)
        flags = {}
        for i, version in enumerate(versions):
            for flag in found[version]:
                if flag.get("positional") or flag.get("command", "serve") != "serve":
                    continue
                spans = flags.setdefault(flag["name"], [])
                form = row(flag)
                if spans and spans[-1]["until"] == i - 1 and spans[-1]["form"] == form:
                    spans[-1]["until"] = i
                else:
                    spans.append({"from": i, "until": i, "form": form})
        lines = []
        for name in flags:
            for span in flags[name]:
                entry = {"name": name, "from": versions[span["from"]], "until": versions[span["until"]]}
                lines.append("    " + json.dumps(entry | span["form"]))
        text = '{\n  "engine": %s,\n  "versions": %s,\n  "flags": [\n%s\n  ]\n}\n' % (
            json.dumps(engine), json.dumps(versions), ",\n".join(lines))
        (out / f"{engine}.json").write_text(text)
        print(engine, versions, len(flags), "flags", len(lines), "forms", len(text), "bytes")


main()
