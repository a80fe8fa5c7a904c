#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, from the repository's own files as seeds:
#
#     tests/scripts/fuzz.sh SECONDS [TARGET…]
#
# Needs a nightly toolchain and cargo-fuzz. Ends with 1 where a target found a panic, more than ten seconds, or an
# allocation far beyond its input; the input is under fuzz/artifacts/.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds="${1:?how many seconds each target runs}"
shift
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
fi

# seed TARGET PREFIX FILE…: each file behind a byte that picks its form, where a target has several.
seed() {
    local folder="fuzz/corpus/$1" prefix="$2" file
    shift 2
    mkdir -p "$folder"
    for file in "$@"; do
        [ -f "$file" ] || continue
        { printf '%s' "$prefix" && cat "$file"; } >"$folder/$(printf '%s' "$prefix$file" | tr -c 'A-Za-z0-9.-' '_')"
    done
}

# Forms are told by the first byte's remainder: '0' is 0 of 2 and of 4, '1' to '3' follow it.
seed config '' models/*.json tests/data/valid/config.json
seed yaml 0 hardware/gpus/*.yaml
seed yaml 1 hardware/clusters/*.yaml
seed yaml 2 engines/*.yaml
seed yaml 3 scenarios/*.yaml
seed launch '' tests/hostile/launch.sh tests/hostile/compose.yaml tests/data/commands_as_typed.csv
seed log '' tests/data/logs/*
seed metrics '' tests/hostile/metrics.txt
mkdir -p fuzz/corpus/trace fuzz/corpus/forecast fuzz/corpus/names
printf '0arrival_s,prompt_tokens,output_tokens\n0.5,100,20\n1.5,300,40\n' >fuzz/corpus/trace/csv
printf 'month,rate_per_s\n2027-01,10\n2027-02,12.5\n' >fuzz/corpus/forecast/two-months
for name in 8xh100-sxm 2x8xh200-sxm+8xl40s vllm@0.19 sglang@deepep-eplb llama-3.1-70b gemma3:27b; do
    printf '%s' "$name" >"fuzz/corpus/names/$name"
done
seed trace 1 tests/hostile/trace.jsonl
seed benchmark 0 tests/data/results/*.json
seed benchmark 1 tests/data/results/*.jsonl
seed rows '' tests/hostile/servers.csv tests/hostile/training.csv
seed detect '' tests/data/machines/*.txt
seed kubernetes '' tests/data/machines/*.json
seed mcp '' tests/hostile/mcp.jsonl
for command in 0:estimate 1:inspect 2:budget 3:emit; do
    mkdir -p fuzz/corpus/answer
    printf '%s{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", "engine": "vllm", "isl": 2048, "osl": 256, "concurrency": 16}' \
        "${command%%:*}" >"fuzz/corpus/answer/${command##*:}"
done

found=0
for target in "${targets[@]}"; do
    printf '== %s\n' "$target"
    cargo +nightly fuzz run --sanitizer none --codegen-units 8 -O "$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=65536 \
        -print_final_stats=1 || found=1
done
exit "$found"
