//! Forms used where neither the GPU nor its class has any: plain rooflines with typical efficiencies.

use crate::catalog::kernels::{DecodeAttention, Gemm, GroupedGemm, PrefillAttention};
use crate::units::Seconds;

pub(super) const PLAIN_GEMM: Gemm = Gemm {
    compute_efficiency: 0.7,
    memory_efficiency: 0.8,
    launch: Seconds::micros(3.0),
    sharpness: 2.0,
    depth_latency: Seconds::micros(0.5),
    single_row_depth: None,
    multiprocessor_reads: None,
    in_int8: false,
    quantise_bytes: 0.0,
    quantise_row: Seconds::ZERO,
    cached_share: 0.0,
    error: None,
    range: None,
};

pub(super) const PLAIN_PREFILL: PrefillAttention = PrefillAttention {
    compute_efficiency: 0.5,
    memory_efficiency: 0.8,
    launch: Seconds::micros(10.0),
    sharpness: 2.0,
    block: Seconds::micros(5.0),
    head_dim_exponent: 0.0,
    depth_latency: Seconds::micros(5.0),
    error: None,
    range: None,
};

pub(super) const PLAIN_DECODE: DecodeAttention = DecodeAttention {
    compute_efficiency: 0.3,
    memory_efficiency: 0.7,
    launch: Seconds::micros(8.0),
    sharpness: 2.0,
    block: Seconds::micros(2.0),
    split_latency: Seconds::micros(1.0),
    depth_latency: Seconds::micros(0.5),
    single_block: None,
    largest_group: None,
    tile_positions: None,
    cached_share: 0.0,
    error: None,
    range: None,
};

pub(super) const PLAIN_EXPERTS: GroupedGemm = GroupedGemm {
    compute_efficiency: 0.5,
    memory_efficiency: 0.7,
    launch: Seconds::micros(25.0),
    sharpness: 2.0,
    local_passes: 3.0,
    global_passes: 1.0,
    pad_rows: 16.0,
    vector_tokens: 0.0,
    multiprocessor_reads: None,
    in_int8: false,
    imbalance_exponent: 0.3,
    depth_latency: Seconds::ZERO,
    cached_share: 0.0,
    stand_in: false,
    error: None,
    range: None,
};
