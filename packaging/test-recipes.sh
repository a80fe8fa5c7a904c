#!/usr/bin/env bash
# The recipes of docs/planning.md as they stand there, run for real: a Slurm array on a cluster of one node that is made
# for it, the pods of a Kubernetes Indexed Job as processes with the container's own command, Ray's tasks. Each must give
# the bytes of one machine.
# Usage: packaging/test-recipes.sh BINARY [PYTHON WITH RAY]
#
# Slurm is installed where this is Debian and we are root; what cannot be had is said and left out.
set -euo pipefail
binary="$(realpath "${1:?a binary}")"
python="${2:-python3}"
cd "$(dirname "$0")/.."
book="$PWD/docs/planning.md"
scratch="$(mktemp -d)"
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap stop EXIT
mkdir "$scratch/bin"
cp "$binary" "$scratch/bin/shardfit"
export PATH="$scratch/bin:$PATH" SCRATCH="$scratch"

cat >"$scratch/review.yaml" <<'Y'
name: recipes
models: [llama-3.1-8b, qwen3-32b, qwen3-30b-a3b]
clusters: [8xl40s, 8xh100-sxm, 8xh200-sxm]
workloads:
  - {name: chat, isl: 1024, osl: 512, concurrency: 8}
  - {name: retrieval, isl: 8192, osl: 256, concurrency: 16}
targets: [{name: fluent, ttft: 2 s, tpot: 50 ms}]
engines: [vllm]
Y
cd "$scratch"
shardfit sweep review.yaml -o whole --quiet

# The N-th block of a language below a line of the book that begins with a text.
block() {
    awk -v heading="$1" -v opening="\`\`\`$2" -v nth="$3" '
        index($0, heading) == 1 { below = 1 }
        below && $0 == "```" && inside { exit }
        inside { print }
        below && $0 == opening && ++seen == nth { inside = 1 }
    ' "$book"
}

same() {
    cmp whole/results.csv review/results.csv
    cmp whole/summary.md review/summary.md
    rm -rf review
    printf '%s: the bytes of one machine\n' "$1"
}

slurm() {
    if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
        { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && apt-get update -qq &&
            apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; } || return 1
    fi
    local home="$scratch/slurm"
    mkdir -p "$home/state" "$home/spool" "$home/munge"
    chmod 755 "$scratch"
    # Munge insists on folders that others cannot write to, and on its socket's being found by all.
    head -c 1024 /dev/urandom >"$home/munge/key" && chmod 400 "$home/munge/key" && chmod 711 "$home/munge"
    munged --force --foreground --key-file="$home/munge/key" --socket="$home/munge/socket" \
        --pid-file="$home/munge/pid" --log-file="$home/munge/log" --seed-file="$home/munge/seed" 2>"$home/munge/said" &
    pids+=($!)
    cat >"$home/slurm.conf" <<C
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$home/munge/socket
CredType=cred/munge
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/slurmctld.log
SlurmdLogFile=$home/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
ReturnToService=2
MpiDefault=none
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4096 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
C
    export SLURM_CONF="$home/slurm.conf"
    for _ in $(seq 50); do [ -S "$home/munge/socket" ] && break || sleep 0.1; done
    slurmctld -D >"$home/said" 2>&1 &
    pids+=($!)
    slurmd -D >"$home/said-too" 2>&1 &
    pids+=($!)
    for _ in $(seq 100); do
        sinfo --noheader --format=%t 2>/dev/null | grep -q idle && return 0
        sleep 0.3
    done
    tail -n 20 "$home"/*.log "$home/said" "$home/said-too" "$home/munge/log" >&2
    return 1
}

if slurm; then
    # The array of the book, with as many parts and processors as this machine has room for.
    block "A Slurm array:" sh 1 | sed 's/--array=1-64 --cpus-per-task=8 --mem=2G/--array=1-4 --cpus-per-task=1/' >array.sh
    grep -q -- '--array=1-4 --cpus-per-task=1' array.sh
    mkdir review-parts
    block "A Slurm array:" sh 2 | sed 's|"\$SCRATCH"/review/\*|review-parts/*|' >submit.sh
    sed -i 's|\$SCRATCH/review/|review-parts/|' array.sh
    timeout 300 bash -e submit.sh
    same "a Slurm array"
else
    echo "skipped: the Slurm array, for which no Slurm could be started"
fi

# The command of each pod, as its container runs it.
if "$python" -c 'import yaml' 2>/dev/null; then
    block "A Kubernetes Indexed Job" yaml 1 >job.yaml
    "$python" - >pod.sh <<'P'
import yaml

job = yaml.safe_load(open("job.yaml"))["spec"]
container = job["template"]["spec"]["containers"][0]
assert job["completionMode"] == "Indexed" and container["command"] == ["sh", "-c"]
assert container["args"][0].endswith(f"/{job['completions']}")
print(container["args"][0].replace(f"/{job['completions']}", "/4").replace("/work/", "job/"))
P
    mkdir job && cp review.yaml job/
    for index in 0 1 2 3; do JOB_COMPLETION_INDEX="$index" sh pod.sh || [ $? -eq 1 ]; done
    shardfit merge job/parts/* -o review
    same "an Indexed Job"
else
    echo "skipped: the Indexed Job, whose manifest needs PyYAML to be read"
fi

if "$python" -c 'import ray' 2>/dev/null; then
    block "Ray, on a shared folder:" python 1 |
        sed 's/^SHARDS = 64$/SHARDS = 4/; s/num_cpus=4/num_cpus=1/; s/^ray.init()/ray.init(include_dashboard=False)/' >on_ray.py
    # Tasks run where Ray's workers do, in the folder that holds the scenario.
    RAY_AUTH_MODE=disabled timeout 300 "$python" on_ray.py
    same "Ray's tasks"
else
    echo "skipped: Ray's tasks: $python has no Ray"
fi
