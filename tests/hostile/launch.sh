#!/bin/bash
export VLLM_USE_V1=1
# how it is started
vllm serve meta-llama/Llama-3.1-8B-Instruct \
  --tensor-parallel-size 2 --max-model-len 8192 \
  --gpu-memory-utilization 0.92 --kv-cache-dtype fp8 --max-num-seqs "128" --port ${PORT:-8000}
