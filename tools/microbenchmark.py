#!/usr/bin/env python3
"""Time the kernels of a language model on this machine's GPU, as CSV that shardfit reads.

    python3 tools/microbenchmark.py --gpu my-gpu -o kernels/        every kernel, a few minutes
    python3 tools/microbenchmark.py --dry-run                       columns and shapes; needs no PyTorch
    torchrun --nproc-per-node 8 tools/microbenchmark.py --only allreduce --gpu my-gpu -o kernels/

One file per class of kernels, `<gpu>__<class>.csv`. Needs PyTorch; flash-attn or FlashInfer is used for
attention where it can be imported, PyTorch's own attention otherwise (`--attention`).

How a latency is taken: the kernel is called on as many sets of arguments, in turn, as do not fit in the
last-level cache together, so that weights and KV cache come from memory as they do in a server; the calls
are captured in one CUDA graph, so that no launch from the host is timed; the median of several replays is
divided by the calls. On the CPU, and where a kernel cannot be captured, calls are timed one by one.
"""

import argparse
import csv
import datetime
import itertools
import os
import platform
import statistics
import sys
import time

# Columns of each class, as shardfit's `validate kernels` and `calibrate` read them.
COLUMNS = {
    "gemm": ["dtype", "m", "n", "k"],
    "context_attention": [
        "attn_dtype",
        "kv_cache_dtype",
        "batch_size",
        "isl",
        "num_heads",
        "num_key_value_heads",
        "head_dim",
        "window_size",
    ],
    "generation_attention": [
        "attn_dtype",
        "kv_cache_dtype",
        "batch_size",
        "kv_len",
        "num_heads",
        "num_key_value_heads",
        "head_dim",
        "window_size",
    ],
    "elementwise": ["op", "rows", "width", "bytes"],
    "allreduce": ["op", "num_gpus", "message_bytes"],
}

# What the rows were taken with; readers ignore these columns.
VERSIONS = ["kernel", "device", "torch", "cuda", "driver", "date"]


def columns(kernel_class):
    return ["gpu", "kernel_class", "engine", *COLUMNS[kernel_class], "latency_us", *VERSIONS]


def shapes(kernel_class, quick):
    """Shapes of a class, as dictionaries of its columns."""
    if kernel_class == "gemm":
        ms = [1, 8, 64] if quick else [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
        # Projections of models of 8 to 70 billion parameters, whole and as tensor parallel ranks hold them.
        sizes = [(512, 256), (256, 512)] if quick else [
            (6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336),
            (10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672),
            (2560, 8192), (8192, 2048), (14336, 8192), (8192, 7168),
            (1280, 8192), (8192, 1024), (7168, 8192), (8192, 3584), (16032, 8192),
        ]
        for dtype, (n, k), m in itertools.product(["bfloat16", "fp8"], sizes, ms):
            yield {"dtype": dtype, "m": m, "n": n, "k": k}
    elif kernel_class == "context_attention":
        batches, lengths = ([1, 2], [16, 64]) if quick else ([1, 2, 4, 8], [128, 512, 1024, 2048, 4096, 8192, 16384])
        for (heads, kv, dim), b, n in itertools.product(heads_of(quick), batches, lengths):
            if b * n <= 32768:
                yield attention(heads, kv, dim, b, "isl", n)
    elif kernel_class == "generation_attention":
        batches, lengths = ([1, 4], [64, 256]) if quick else (
            [1, 4, 16, 64, 128, 256], [128, 512, 1024, 2048, 4096, 8192, 16384, 32768])
        for (heads, kv, dim), b, n in itertools.product(heads_of(quick), batches, lengths):
            if b * n * kv * dim <= 1 << 31:
                yield attention(heads, kv, dim, b, "kv_len", n)
    elif kernel_class == "elementwise":
        rows, widths = ([1, 64], [256]) if quick else ([1, 16, 128, 1024, 8192], [4096, 8192])
        for op, r, w in itertools.product(["rms_norm", "silu_and_mul", "add"], rows, widths):
            yield {"op": op, "rows": r, "width": w, "bytes": 2 * r * w * {"rms_norm": 2, "silu_and_mul": 3, "add": 3}[op]}
    elif kernel_class == "allreduce":
        sizes = [1 << 10, 1 << 14] if quick else [1 << i for i in range(9, 30)]
        for op, size in itertools.product(["all_reduce", "all_gather", "reduce_scatter", "alltoall"], sizes):
            yield {"op": op, "message_bytes": size}


def heads_of(quick):
    return [(4, 2, 64)] if quick else [(32, 8, 128), (16, 2, 128), (8, 1, 128), (64, 8, 128), (32, 32, 128), (32, 8, 64)]


def attention(heads, kv_heads, head_dim, batch, length_name, length):
    return {
        "attn_dtype": "bfloat16",
        "kv_cache_dtype": "bfloat16",
        "batch_size": batch,
        length_name: length,
        "num_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "window_size": 0,
    }


class Bench:
    """Builds kernels from shapes and times them on one device."""

    def __init__(self, args):
        import torch

        self.torch, self.args = torch, args
        self.cuda = args.device == "cuda"
        if self.cuda and not torch.cuda.is_available():
            sys.exit("error: PyTorch sees no GPU; --device cpu runs without one")
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if self.cuda else torch.device("cpu")
        if self.cuda:
            torch.cuda.set_device(self.device)
        properties = torch.cuda.get_device_properties(self.device) if self.cuda else None
        self.cache = getattr(properties, "L2_cache_size", 0) or 32 << 20
        self.memory = properties.total_memory if properties else 4 << 30
        self.attention = self.pick_attention(args.attention)

    def pick_attention(self, wanted):
        """The library for attention: the one that is asked for, else the first that can be imported."""
        if not self.cuda:
            return "torch"
        for name, module in [("flash-attn", "flash_attn"), ("flashinfer", "flashinfer")]:
            if wanted not in ("auto", name):
                continue
            try:
                __import__(module)
                return name
            except ImportError:
                if wanted == name:
                    sys.exit(f"error: --attention {name}: the module {module} cannot be imported")
        return "torch"

    def versions(self, kernel):
        torch = self.torch
        return {
            "kernel": kernel,
            "device": torch.cuda.get_device_name(self.device) if self.cuda else platform.processor() or "cpu",
            "torch": torch.__version__,
            "cuda": torch.version.cuda or torch.version.hip or "",
            "driver": driver(),
            "date": datetime.date.today().isoformat(),
        }

    def random(self, *shape):
        return self.torch.randn(*shape, device=self.device, dtype=self.torch.bfloat16)

    def copies(self, size):
        """How many sets of arguments of this size do not fit in the cache together."""
        if not self.cuda:
            return 1
        enough = 1 + (3 * self.cache) // max(size, 1)
        return int(max(1, min(enough, 64, self.memory // 3 // max(size, 1))))

    # Each kernel: its name, and a list of calls to take in turn. None where it cannot be run.

    def gemm(self, s):
        torch, m, n, k = self.torch, s["m"], s["n"], s["k"]
        if s["dtype"] == "bfloat16":
            sets = [(self.random(m, k), self.random(n, k)) for _ in range(self.copies(2 * n * k))]
            return "torch.nn.functional.linear", [lambda a=a, w=w: torch.nn.functional.linear(a, w) for a, w in sets]
        # FP8 wants tensor cores that have it (compute capability 8.9), and multiples of 16.
        if not self.cuda or not hasattr(torch, "_scaled_mm") or n % 16 or k % 16:
            return None
        if torch.version.cuda and torch.cuda.get_device_capability(self.device) < (8, 9):
            return None
        one = torch.ones((), device=self.device)
        sets = []
        for _ in range(self.copies(n * k)):
            weight = self.random(n, k).to(torch.float8_e4m3fn).t()
            sets.append((self.random(m, k), weight))

        def call(a, w):
            # Engines quantise activations before the product; the tables count that in.
            return torch._scaled_mm(a.to(torch.float8_e4m3fn), w, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

        return "torch._scaled_mm", [lambda a=a, w=w: call(a, w) for a, w in sets]

    def context_attention(self, s):
        b, n = s["batch_size"], s["isl"]
        heads, kv, dim = s["num_heads"], s["num_key_value_heads"], s["head_dim"]
        size = 2 * b * n * dim * (heads + 2 * kv)
        sets = [(self.random(b, n, heads, dim), self.random(b, n, kv, dim), self.random(b, n, kv, dim))
                for _ in range(self.copies(size))]
        if self.attention == "flash-attn":
            from flash_attn import flash_attn_func

            return "flash_attn_func", [lambda q=q, k=k, v=v: flash_attn_func(q, k, v, causal=True) for q, k, v in sets]
        if self.attention == "flashinfer" and b == 1:
            import flashinfer

            one = flashinfer.single_prefill_with_kv_cache
            return "flashinfer", [lambda q=q[0], k=k[0], v=v[0]: one(q, k, v, causal=True) for q, k, v in sets]
        return self.torch_attention(sets, causal=True)

    def generation_attention(self, s):
        b, n = s["batch_size"], s["kv_len"]
        heads, kv, dim = s["num_heads"], s["num_key_value_heads"], s["head_dim"]
        size = 4 * b * n * kv * dim
        sets = [(self.random(b, 1, heads, dim), self.random(b, n, kv, dim), self.random(b, n, kv, dim))
                for _ in range(self.copies(size))]
        if self.attention == "flash-attn":
            from flash_attn import flash_attn_with_kvcache

            return "flash_attn_with_kvcache", [lambda q=q, k=k, v=v: flash_attn_with_kvcache(q, k, v) for q, k, v in sets]
        if self.attention == "flashinfer" and b == 1:
            import flashinfer

            one = flashinfer.single_decode_with_kv_cache
            return "flashinfer", [lambda q=q[0, 0], k=k[0], v=v[0]: one(q, k, v) for q, k, v in sets]
        return self.torch_attention(sets, causal=False)

    def torch_attention(self, sets, causal):
        sdpa = self.torch.nn.functional.scaled_dot_product_attention
        turned = [tuple(x.transpose(1, 2) for x in arguments) for arguments in sets]

        def call(q, k, v):
            return sdpa(q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])

        return "scaled_dot_product_attention", [lambda q=q, k=k, v=v: call(q, k, v) for q, k, v in turned]

    def elementwise(self, s):
        torch, rows, width = self.torch, s["rows"], s["width"]
        functional, weight = torch.nn.functional, self.random(width)
        n = self.copies(s["bytes"])
        if s["op"] == "rms_norm":
            sets = [self.random(rows, width) for _ in range(n)]
            return "rms_norm", [lambda x=x: functional.rms_norm(x, (width,), weight) for x in sets]
        sets = [(self.random(rows, width), self.random(rows, width), self.random(rows, width)) for _ in range(n)]
        if s["op"] == "add":
            return "add", [lambda x=x, y=y, o=o: torch.add(x, y, out=o) for x, y, o in sets]
        return "silu_and_mul", [lambda x=x, y=y: functional.silu(x) * y for x, y, _ in sets]

    def allreduce(self, s):
        import torch.distributed as dist

        world = dist.get_world_size()
        elements = s["message_bytes"] // 2
        if elements < world or elements % world:
            return None
        whole, part = self.random(elements), self.random(elements // world)
        call = {
            "all_reduce": lambda: dist.all_reduce(whole),
            "all_gather": lambda: dist.all_gather_into_tensor(whole, part),
            "reduce_scatter": lambda: dist.reduce_scatter_tensor(part, whole),
            "alltoall": lambda: dist.all_to_all_single(whole, whole.clone()),
        }[s["op"]]
        return dist.get_backend(), [call]

    def time(self, calls):
        """Median latency of one call in microseconds."""
        repeats = max(len(calls), 2 if self.args.quick else 20)
        in_turn = [calls[i % len(calls)] for i in range(repeats)]
        for call in in_turn[:3]:
            call()
        if not self.cuda:
            return self.by_clock(in_turn)
        self.torch.cuda.synchronize()
        run = self.captured(in_turn) or (lambda: [call() for call in in_turn])
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        times = []
        for _ in range(3 if self.args.quick else 9):
            start.record()
            run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1e3 / repeats)
        return statistics.median(times)

    def captured(self, calls):
        """The calls as one CUDA graph; None where they cannot be captured."""
        torch = self.torch
        try:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                calls[0]()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for call in calls:
                    call()
            graph.replay()
            torch.cuda.synchronize()
            return graph.replay
        except RuntimeError as reason:
            note(f"not captured in a graph, timed with launches: {str(reason).splitlines()[0]}")
            torch.cuda.synchronize()
            return None

    def by_clock(self, calls):
        times = []
        for call in calls:
            started = time.perf_counter()
            call()
            times.append((time.perf_counter() - started) * 1e6)
        return statistics.median(times)


def driver():
    path = "/proc/driver/nvidia/version"
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        words = file.readline().split()
    return next((word for word in words if word[:1].isdigit()), "")


def note(text):
    print(text, file=sys.stderr)


def measure(bench, args, kernel_class):
    """Rows of a class."""
    import torch

    rows = []
    for shape in shapes(kernel_class, args.quick):
        try:
            with torch.inference_mode():
                built = getattr(bench, kernel_class)(shape)
                if built is None:
                    continue
                kernel, calls = built
                latency = bench.time(calls)
        except torch.cuda.OutOfMemoryError:
            note(f"left out, out of memory: {shape}")
            torch.cuda.empty_cache()
            continue
        if kernel_class == "allreduce":
            shape = {**shape, "num_gpus": torch.distributed.get_world_size()}
        engine = "nccl" if kernel_class == "allreduce" else args.engine
        rows.append({
            "gpu": args.gpu, "kernel_class": kernel_class, "engine": engine, **shape,
            "latency_us": f"{latency:.5g}", **bench.versions(kernel),
        })
    return rows


def write(folder, gpu, kernel_class, rows):
    """Writes a file whole: first beside it, then renamed."""
    path = os.path.join(folder, f"{gpu}__{kernel_class}.csv")
    with open(path + ".part", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns(kernel_class), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".part", path)
    note(f"{path}: {len(rows)} rows")


def dry_run(args, classes):
    """Prints the columns and the planned shapes of each class."""
    for kernel_class in classes:
        planned = list(shapes(kernel_class, args.quick))
        print(f"# {kernel_class}: {len(planned)} shapes")
        print(",".join(columns(kernel_class)))
        for shape in planned:
            row = {"gpu": args.gpu, "kernel_class": kernel_class, "engine": args.engine, **shape}
            print(",".join(str(row.get(column, "")) for column in columns(kernel_class)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", default="my-gpu", help="shardfit's name of the GPU, for the column `gpu` [my-gpu]")
    parser.add_argument("--engine", default="vllm", help="engine whose kernels these stand for [vllm]")
    parser.add_argument("-o", "--output", default=".", help="folder for the CSV files [.]")
    parser.add_argument("--only", action="append", choices=list(COLUMNS), help="class of kernels; may be repeated")
    parser.add_argument("--attention", default="auto", choices=["auto", "torch", "flash-attn", "flashinfer"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="a few small shapes, in seconds")
    parser.add_argument("--dry-run", action="store_true", help="print columns and shapes; needs no PyTorch")
    return parser.parse_args()


def main():
    args = arguments()
    together = int(os.environ.get("WORLD_SIZE", 1)) > 1
    # Collectives want several ranks, the rest one.
    classes = args.only or [c for c in COLUMNS if (c == "allreduce") == together]
    if args.dry_run:
        return dry_run(args, args.only or list(COLUMNS))
    try:
        import torch
    except (ImportError, OSError) as reason:
        sys.exit(f"error: PyTorch cannot be imported ({reason}); --dry-run shows what would be timed")
    if "allreduce" in classes and not together:
        sys.exit("error: allreduce wants several ranks: torchrun --nproc-per-node N tools/microbenchmark.py --only allreduce")
    os.makedirs(args.output, exist_ok=True)
    bench = Bench(args)
    if together:
        torch.distributed.init_process_group("nccl" if bench.cuda else "gloo")
    for kernel_class in classes:
        rows = measure(bench, args, kernel_class)
        if int(os.environ.get("RANK", 0)) == 0:
            write(args.output, args.gpu, kernel_class, rows)
    if together:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
