//! What a machine says of itself: the outputs of its tools, run here or saved elsewhere, as facts. It knows no catalogue:
//! which entry a name means is decided where names are.

mod amd;
mod apple;
mod ascend;
mod bandwidth;
mod device;
mod host;
mod intel;
pub mod kubernetes;
mod lspci;
mod nvidia;
pub mod source;
mod topology;

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
pub use bandwidth::measured as measured_bandwidth;
pub use device::{Device, Pcie, Vendor};
pub use host::HostFacts;
pub use source::Outputs;
pub use topology::Topology;

/// What was found of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Accelerators in the order of their tools.
    pub devices: Vec<Device>,
    /// Display adapters that no tool of their vendor knows.
    pub adapters: Vec<Device>,
    /// The host.
    pub host: HostFacts,
    /// How NVIDIA's GPUs are joined.
    pub topology: Topology,
    /// What could not be learnt, and what would tell it.
    pub missing: Vec<String>,
}

impl Machine {
    /// The machine that outputs describe.
    pub fn read(outputs: &Outputs) -> Machine {
        let mut host = host::read(outputs);
        let mut devices = nvidia::devices(outputs);
        devices.extend(amd::devices(outputs, &host));
        devices.extend(intel::devices(outputs));
        devices.extend(ascend::devices(outputs));
        devices.extend(apple::devices(outputs, &mut host));
        let of_vendor = |vendor| devices.iter().any(|d: &Device| d.vendor == vendor);
        let adapters: Vec<Device> =
            lspci::devices(outputs).into_iter().filter(|adapter| !of_vendor(adapter.vendor)).collect();
        let topology = topology::read(outputs);
        let mut missing: Vec<String> = outputs.silent().to_vec();
        missing.extend(unknown(&devices, &topology, &host));
        Machine { devices, adapters, host, topology, missing }
    }

    /// This machine, or the one whose outputs are saved.
    ///
    /// # Errors
    /// [`Code::File`] when what is saved cannot be read; [`Code::Usage`] when it holds nothing that is understood.
    pub fn detect(saved: Option<&Path>) -> Result<Machine, Diagnostic> {
        let Some(path) = saved else { return Ok(Machine::read(&Outputs::live())) };
        let machine = Machine::read(&Outputs::saved(path)?);
        if machine.devices.is_empty() && machine.adapters.is_empty() && machine.host == HostFacts::default() {
            let cause = "no output of a tool that is known";
            return Err(Diagnostic::new(Code::Usage, cause).at(path.display().to_string()).help(
                "save with `shardfit doctor --save FILE`, or put a line `$ nvidia-smi` before the output of each command",
            ));
        }
        Ok(machine)
    }
}

/// What could not be learnt of devices and host.
fn unknown(devices: &[Device], topology: &Topology, host: &HostFacts) -> Vec<String> {
    let mut all = Vec::new();
    let nvidia = devices.iter().filter(|d| d.vendor == Vendor::Nvidia && d.slice.is_none()).count();
    if nvidia > 1 && !topology.is_known() {
        all.push("how the GPUs are joined: `nvidia-smi topo -m` says it".to_owned());
    }
    if devices.iter().any(|d| d.memory.is_none() && !d.shares_memory) {
        all.push("memory of a GPU: its vendor's tool says it".to_owned());
    }
    if host.memory.is_none() {
        all.push("memory of the host: /proc/meminfo says it".to_owned());
    } else if host.bandwidth.is_none() && (devices.is_empty() || devices.iter().any(|d| !d.shares_memory)) {
        all.push(
            "bandwidth of the host's memory: `sudo dmidecode -t memory` tells its modules, `shardfit doctor --measure` \
             measures it"
                .to_owned(),
        );
    }
    all
}
