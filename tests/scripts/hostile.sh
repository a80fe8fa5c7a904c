#!/usr/bin/env bash
# Hostile inputs over every reader and command, against the release binary: 20,000 unless told otherwise.
#
# usage: tests/scripts/hostile.sh [RUNS] [SEED]; SHARDFIT names the binary. Failing inputs stay in target/hostile/.
set -euo pipefail
cd "$(dirname "$0")/../.."

export HOSTILE_RUNS="${1:-20000}" HOSTILE_SEED="${2:-$RANDOM}"
export SHARDFIT="${SHARDFIT:-target/release/shardfit}" HOSTILE_SECONDS="${HOSTILE_SECONDS:-10}"
export HOSTILE_THREADS="${HOSTILE_THREADS:-$(getconf _NPROCESSORS_ONLN)}"
echo "$HOSTILE_RUNS runs of $SHARDFIT, seed $HOSTILE_SEED"
cargo test --test hostile -- --nocapture
