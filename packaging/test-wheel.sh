#!/usr/bin/env bash
# The wheel as its users have it: built from the checkout, installed beside nothing, tested; its types, its notebooks,
# and sweeps on Dask and Ray. Usage: packaging/test-wheel.sh [SCRATCH FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
scratch="${1:-$(mktemp -d)}"
mkdir -p "$scratch"
python3 -m venv "$scratch/build"
"$scratch/build/bin/pip" install --quiet "maturin>=1.9,<2"
"$scratch/build/bin/maturin" build --release --locked --out "$scratch/dist"
wheel="$(ls "$scratch"/dist/*.whl)"
stat -c '%n: %s bytes' "$wheel"

echo "-- an environment of its own: the first answer"
python3 -m venv "$scratch/bare"
"$scratch/bare/bin/pip" install --quiet --no-index "$wheel"
"$scratch/bare/bin/shardfit" plan llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --top 1
(cd "$scratch" && "$scratch/bare/bin/python" - <<'PY'
import time

began = time.perf_counter()
import shardfit

imported = time.perf_counter() - began
answer = shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", isl=2048, ttft="1s", top=3)
print(f"import {1e3 * imported:.0f} ms; the best plan: {answer.plans[0].tpot_ms} ms per token")
PY
)

echo "-- tests"
"$scratch/bare/bin/pip" install --quiet pytest pandas polars matplotlib tqdm
# Tests of what is not there are skipped.
"$scratch/bare/bin/pip" install --quiet "dask[distributed]" || echo "skipped: sweeps on Dask, which could not be installed"
"$scratch/bare/bin/pip" install --quiet ray || echo "skipped: sweeps on Ray, which could not be installed"
# From the installed package, not from the checkout's sources, which hold no compiled module.
cp -r crates/python/tests "$scratch/tests"
(cd "$scratch" && RAY_AUTH_MODE=disabled "$scratch/bare/bin/python" -m pytest -q tests)
"$scratch/bare/bin/python" tools/python_api.py --check

echo "-- types"
"$scratch/bare/bin/pip" install --quiet mypy pyright pandas-stubs types-tqdm
"$scratch/bare/bin/mypy"
# Pyright brings a Node.js where there is none, from an address that not every network reaches.
if timeout 300 "$scratch/bare/bin/pyright" --version >/dev/null 2>&1; then
    "$scratch/bare/bin/pyright" --pythonpath "$scratch/bare/bin/python"
else
    echo "skipped: pyright could not be started"
fi
(cd "$scratch" && "$scratch/bare/bin/python" -m mypy.stubtest shardfit._native)

echo "-- notebooks"
"$scratch/bare/bin/pip" install --quiet nbclient nbformat ipykernel
for notebook in notebooks/*.ipynb; do
    (cd "$scratch" && "$scratch/bare/bin/jupyter" execute "$OLDPWD/$notebook" --kernel_name=python3 --timeout=300)
done
