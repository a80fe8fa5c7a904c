#!/usr/bin/env bash
# How long commands take to end after the first Ctrl-C, and after --time-limit, in milliseconds: at most 100 each, beside
# what starting takes. Questions are chosen to take far longer than that.
#   tests/scripts/stop.sh [BINARY]
set -u
cd "$(dirname "$0")/../.." || exit 2
binary=${1:-target/release/shardfit}
most=${MOST_MS:-100}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
now() { date +%s%3N; }
failed=0
verdict() {
  local status=ok
  [ "$2" -le "$most" ] || { status=LATE; failed=1; }
  printf '%-10s %6d ms after %-12s exit %-3s %s\n' "$1" "$2" "$3" "$4" "$status"
}
interrupted() {
  local name=$1; shift
  # Ctrl-C reaches a process that is not in the background of a script.
  python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
    "$binary" "$@" >"$out/stdout" 2>"$out/stderr" &
  local pid=$!
  sleep "${AFTER_S:-0.5}"
  if ! kill -INT "$pid" 2>/dev/null; then
    wait "$pid"; printf '%-10s was done before Ctrl-C, exit %s\n' "$name" "$?"; return
  fi
  local begun; begun=$(now)
  wait "$pid"; local code=$?
  verdict "$name" "$(($(now) - begun))" Ctrl-C "$code"
}
limited() {
  local name=$1 limit=$2; shift 2
  local begun; begun=$(now)
  "$binary" "$@" --time-limit "${limit}ms" >"$out/stdout" 2>"$out/stderr"
  local code=$?
  verdict "$name" "$(($(now) - begun - limit))" "a limit" "$code"
}
wide='--cluster 128x8xh200-sxm --engine any --mode any --exhaustive --weights bf16,fp8,int4 --kv bf16,fp8'
interrupted plan plan deepseek-v3 $wide
interrupted plan plan llama-3.1-405b --cluster 16x8xh100-sxm --isl 1k,2k,4k,8k,16k --osl 128,256,512,1k --tpot 50ms --engine any
interrupted plan plan llama-3.1-70b --gpu any --engine any --rate 500 --tpot 30ms
interrupted size size deepseek-v3 --gpu any --engine any --rate 5000 --tpot 30ms
interrupted fit fit --cluster 8xh100-sxm --engine any --all-formats
interrupted simulate simulate llama-3.1-8b --gpu h100-sxm --rate 20 --requests 2000000
interrupted train train llama-3.1-405b --cluster 8192xh100-sxm --global-batch 4096 --seq 8192
interrupted sweep sweep scenarios/review.yaml -o "$out/sweep"
interrupted estimate estimate llama-3.1-70b --gpu h100-sxm --tp 1,2,4,8 --isl 1k,2k,4k,8k --concurrency 1,2,4,8,16,32,64
limited plan 200 plan deepseek-v3 $wide
limited plan 200 plan llama-3.1-70b --gpu any --engine any --rate 500 --tpot 30ms
limited plan 200 plan llama-3.1-405b --cluster 16x8xh100-sxm --isl 1k,2k,4k,8k,16k --osl 128,256,512,1k --tpot 50ms --engine any
exit $failed
