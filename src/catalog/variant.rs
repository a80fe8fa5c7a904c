//! Boards of one chip that differ in little, and slices of one GPU: data in the chip's file instead of files of their own.

/// What slices are called.
pub mod names;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::link::Link;
use super::price::Price;
use crate::dtype::DType;
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond, Watts};

/// A board of the same chip: what it is called, and what differs from the file's own figures.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Identifier.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Other names that people use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Device memory as the driver reports it.
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// What nvidia-smi counts: the driver's own part with it.
    #[serde(default)]
    pub board_memory: Option<Bytes>,
    /// Datasheet memory bandwidth.
    #[serde(default)]
    pub bandwidth: Option<BytesPerSecond>,
    /// Datasheet dense peak by number type, all of them.
    #[serde(default)]
    #[schemars(extend("propertyNames" = serde_json::json!({ "enum": DType::ALL.map(DType::name) })))]
    pub peak: Option<BTreeMap<DType, FlopsPerSecond>>,
    /// Streaming multiprocessors or compute units.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub multiprocessors: Option<u32>,
    /// Last-level cache.
    #[serde(default)]
    pub cache: Option<Bytes>,
    /// The link inside a node, per direction and GPU.
    #[serde(default)]
    pub scale_up: Option<Link>,
    /// Board power limit.
    #[serde(default)]
    pub tdp: Option<Watts>,
    /// Power when idle.
    #[serde(default)]
    pub idle_power: Option<Watts>,
    /// Indicative on-demand rental price.
    #[serde(default)]
    pub price: Option<Price>,
    /// Where the figures that differ come from, beside the file's own sources.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// A slice of a GPU that its driver can cut (NVIDIA's multi-instance GPU). What is not stated follows from the whole:
/// bandwidth and cache by the share of the memory, peaks and power by the share of the multiprocessors.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// Memory as `nvidia-smi mig -lgip` lists it.
    pub memory: Bytes,
    /// Share of the memory's slices: 0.5 for four of eight.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub memory_share: f64,
    /// Streaming multiprocessors.
    #[schemars(range(min = 1))]
    pub multiprocessors: u32,
}
