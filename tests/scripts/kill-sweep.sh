#!/usr/bin/env bash
# Kills a sweep with SIGKILL at random moments, resumes it each time, and compares its results with those of a
# run that nothing disturbed: they must be the same, byte for byte.
#
# usage: tests/scripts/kill-sweep.sh [KILLS] [SCENARIO]; SHARDFIT names the binary, SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/../.."

kills="${1:-100}"
scenario="${2:-scenarios/on-premise-8xh100.yaml}"
shardfit="${SHARDFIT:-target/release/shardfit}"
RANDOM="${SEED:-$$}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

begun="$(date +%s%N)"
"$shardfit" sweep "$scenario" -q -o "$folder/whole"
length_ms="$((($(date +%s%N) - begun) / 1000000))"

finished=0
killed=0
while [ "$killed" -lt "$kills" ]; do
    "$shardfit" sweep "$scenario" -q --resume -o "$folder/killed" &
    process=$!
    # Anywhere from its start to some way past its end.
    wait_ms="$((RANDOM * (length_ms * 5 / 4) / 32768))"
    sleep "$(printf '%d.%03d' "$((wait_ms / 1000))" "$((wait_ms % 1000))")"
    if kill -9 "$process" 2>/dev/null; then
        killed=$((killed + 1))
    fi
    status=0
    wait "$process" 2>/dev/null || status=$?
    if [ "$status" -eq 0 ]; then
        finished=$((finished + 1))
        # It got through: what it wrote must be right already. Begin afresh, so that kills meet a run under way.
        diff -r -x journal "$folder/whole" "$folder/killed"
        rm -rf "$folder/killed"
    fi
done
"$shardfit" sweep "$scenario" -q --resume -o "$folder/killed"
diff -r -x journal "$folder/whole" "$folder/killed"
# The journals hold the same records, in the order in which they were done.
diff <(sort "$folder/whole/journal") <(sort "$folder/killed/journal")
echo "$killed kills, $finished runs that got through in between: the results are the same (run of $length_ms ms)"
