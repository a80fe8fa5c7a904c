//! An accelerator as its tool describes it.

use crate::units::{Bytes, BytesPerSecond};

/// Who makes a device, by which its tools are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// Apple.
    Apple,
    /// Huawei.
    Huawei,
}

impl Vendor {
    /// Name as printed.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::Nvidia => "NVIDIA",
            Vendor::Amd => "AMD",
            Vendor::Intel => "Intel",
            Vendor::Apple => "Apple",
            Vendor::Huawei => "Huawei",
        }
    }
}

/// A slot of PCI Express: what the link can do at most, not what it idles at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcie {
    /// Generation.
    pub generation: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Pcie {
    /// Raw rate of a direction: 16 GB/s for sixteen lanes of generation 3, doubled by each generation
    /// (PCI Express Base Specification, as datasheets round it).
    pub fn bandwidth(self) -> BytesPerSecond {
        let doublings = i32::try_from(self.generation.min(8)).unwrap_or(8) - 3;
        BytesPerSecond::new(f64::from(self.lanes) * 1e9 * 2f64.powi(doublings))
    }
}

/// One accelerator, or one slice of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Who makes it.
    pub vendor: Vendor,
    /// As its tool names it.
    pub name: String,
    /// What else it may be called: a tool that names a family of cards gives several.
    pub other_names: Vec<String>,
    /// Memory in all; of a device that computes in the host's what it was lent, where a tool says.
    pub memory: Option<Bytes>,
    /// Memory in use.
    pub used: Option<Bytes>,
    /// The profile of a slice (`3g.40gb`).
    pub slice: Option<String>,
    /// Version of its driver.
    pub driver: Option<String>,
    /// CUDA's compute capability, or the target of AMD's compiler (`gfx942`).
    pub capability: Option<String>,
    /// Its slot, where a tool says.
    pub pcie: Option<Pcie>,
    /// Compute units or GPU cores, where a tool says.
    pub cores: Option<u32>,
    /// Whether it computes in the host's memory.
    pub shares_memory: bool,
}

impl Device {
    /// A device of which nothing but the name is known.
    pub fn named(vendor: Vendor, name: &str) -> Device {
        Device {
            vendor,
            name: name.trim().to_owned(),
            other_names: Vec::new(),
            memory: None,
            used: None,
            slice: None,
            driver: None,
            capability: None,
            pcie: None,
            cores: None,
            shares_memory: false,
        }
    }
}
