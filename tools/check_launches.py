#!/usr/bin/env python3
"""Hold what `--emit` writes against the engines' own parsers and the published schemas of manifests.

  SHARDFIT_LAUNCHES=DIR cargo test --test it -- launch_commands::
  tools/check_launches.py DIR --parsers FOLDER [--sources FOLDER]

The tests write DIR: commands.jsonl (engine, version, words) and a folder of files for each target. PARSERS holds
parse_vllm.py and parse_sglang.py (each: SRC --lines FILE, a JSON result or error a line) and, where manifests are to be
checked, validate_manifest.py, validate_compose.py and validate_sky.py; SOURCES the releases as src/<engine>-<version>,
and the environments pv (parsers) and kv (schemas). Versions whose source is not there are counted as not asked.
Exit status: 0 all accepted, 1 something refused.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

SCRIPTS = {"vllm": "parse_vllm.py", "sglang": "parse_sglang.py"}
CHECKS = {
    "k8s": "validate_manifest.py",
    "dynamo": "validate_manifest.py",
    "kserve": "validate_manifest.py",
    "docker": "validate_compose.py",
    "skypilot": "validate_sky.py",
}


def parsed(args):
    """Commands by engine and version through the parser of that release."""
    groups = collections.defaultdict(list)
    with open(os.path.join(args.dir, "commands.jsonl")) as lines:
        for line in lines:
            row = json.loads(line)
            groups[row["engine"], row["version"]].append(row["words"])
    refused = asked = skipped = 0
    for (engine, version), commands in sorted(groups.items()):
        source = os.path.join(args.sources, "src", f"{engine}-{version}")
        if engine not in SCRIPTS or not os.path.isdir(source):
            skipped += len(commands)
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
            file.writelines(json.dumps(words) + "\n" for words in commands)
        script = os.path.join(args.parsers, SCRIPTS[engine])
        python = os.path.join(args.sources, "pv", "bin", "python")
        run = subprocess.run([python, script, source, "--lines", file.name], capture_output=True, text=True, check=False)
        os.unlink(file.name)
        results = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        if len(results) != len(commands):
            print(f"{engine} {version}: {len(results)} results of {len(commands)} commands: {run.stderr[-400:]}")
            refused += 1
            continue
        wrong = [(c, r["error"]) for c, r in zip(commands, results) if "error" in r]
        print(f"{engine} {version}: {len(commands)} commands, {len(wrong)} refused")
        for command, error in wrong[:3]:
            print("   ", " ".join(command), "\n       ", error.splitlines()[-1])
        asked += len(commands)
        refused += len(wrong)
    print(f"{asked} commands asked of parsers, {skipped} of versions whose source is not there, {refused} refused")
    return refused


def validated(args):
    """Files of the targets whose schema is published."""
    refused = 0
    python = os.path.join(args.sources, "kv", "bin", "python")
    for target, script in CHECKS.items():
        folder = os.path.join(args.dir, target)
        script = os.path.join(args.parsers, script)
        if not (os.path.isdir(folder) and os.path.exists(script)):
            continue
        files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".yaml"))
        files = [name for name in files if "trtllm-options" not in name]
        run = subprocess.run([python, script, *files], capture_output=True, text=True, check=False)
        lines = run.stdout.splitlines()
        wrong = [line for line in lines if not line.endswith(": ok")]
        print(f"{target}: {len(files)} files, {len(wrong)} refused{'' if lines else ': ' + run.stderr[-300:]}")
        for line in wrong[:3]:
            print("   ", line[-300:])
        refused += len(wrong) + (not lines)
    return refused


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--parsers", required=True)
    parser.add_argument("--sources")
    args = parser.parse_args()
    args.sources = args.sources or args.parsers
    return 1 if parsed(args) + validated(args) else 0


if __name__ == "__main__":
    sys.exit(main())
