//! What the software of each maker's chips calls them: the resource of Kubernetes, the variable that shares out those of a
//! host.

/// The platform of GPUs that no container reaches.
pub const WITHOUT_CONTAINERS: &str = "apple";

/// One platform, by the word of [`crate::catalog::Gpu::platform`].
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    name: &'static str,
    /// Its chips in a sentence.
    pub chips: &'static str,
    /// The resource by which a pod asks for one (the makers' device plugins); none of processors.
    pub resource: Option<&'static str>,
    /// The variable that says which of a host's chips a process sees.
    pub visible: Option<&'static str>,
}

/// Every platform. Variables: `device_control_env_var` of `vllm/platforms/cuda.py`, `rocm.py`, `xpu.py` and of the
/// plug-ins for Ascend; Gaudi's and Neuron's documentation of multiple servers; JAX's of libtpu.
const PLATFORMS: [Platform; 7] = [
    Platform {
        name: "nvidia",
        chips: "NVIDIA's GPUs",
        resource: Some("nvidia.com/gpu"),
        visible: Some("CUDA_VISIBLE_DEVICES"),
    },
    Platform {
        name: "amd",
        chips: "AMD's GPUs",
        resource: Some("amd.com/gpu"),
        visible: Some("HIP_VISIBLE_DEVICES"),
    },
    Platform {
        name: "intel",
        chips: "Intel's GPUs",
        resource: Some("gpu.intel.com/xe"),
        visible: Some("ZE_AFFINITY_MASK"),
    },
    Platform {
        name: "gaudi",
        chips: "Gaudi accelerators",
        resource: Some("habana.ai/gaudi"),
        visible: Some("HABANA_VISIBLE_MODULES"),
    },
    Platform {
        name: "ascend",
        chips: "Ascend NPUs",
        resource: Some("huawei.com/Ascend910"),
        visible: Some("ASCEND_RT_VISIBLE_DEVICES"),
    },
    Platform {
        name: "google",
        chips: "TPUs",
        resource: Some("google.com/tpu"),
        visible: Some("TPU_VISIBLE_CHIPS"),
    },
    Platform {
        name: "aws",
        chips: "Neuron devices",
        resource: Some("aws.amazon.com/neuron"),
        visible: Some("NEURON_RT_VISIBLE_CORES"),
    },
];

/// Processors, and whatever else has no chips of its own to share out.
const OTHER: Platform = Platform { name: "", chips: "processors", resource: None, visible: None };

impl Platform {
    /// That of a name.
    pub fn of(name: &str) -> Platform {
        PLATFORMS.into_iter().find(|platform| platform.name == name).unwrap_or(OTHER)
    }

    /// What the variable says of some chips in a row: their numbers. Neuron counts cores, of which a Trainium2 chip shows four
    /// and one of Trainium or Inferentia2 two (AWS Neuron, "Logical NeuronCore configuration").
    pub fn shown(&self, gpu: &str, first: u64, chips: u64) -> String {
        let cores = match (self.name, gpu) {
            ("aws", "trainium2") => 4,
            ("aws", _) => 2,
            _ => 1,
        };
        let all: Vec<String> = (first * cores..(first + chips) * cores).map(|n| n.to_string()).collect();
        all.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_are_shared_out_by_their_makers_variable() {
        let said = |platform: &str, gpu: &str| {
            let of = Platform::of(platform);
            of.visible.map(|name| format!("{name}={}", of.shown(gpu, 2, 2)))
        };
        assert_eq!(said("nvidia", "h100-sxm").as_deref(), Some("CUDA_VISIBLE_DEVICES=2,3"));
        assert_eq!(said("ascend", "ascend-910b").as_deref(), Some("ASCEND_RT_VISIBLE_DEVICES=2,3"));
        assert_eq!(said("gaudi", "gaudi3").as_deref(), Some("HABANA_VISIBLE_MODULES=2,3"));
        assert_eq!(said("google", "tpu-v6e").as_deref(), Some("TPU_VISIBLE_CHIPS=2,3"));
        assert_eq!(
            said("aws", "trainium2").as_deref(),
            Some("NEURON_RT_VISIBLE_CORES=8,9,10,11,12,13,14,15")
        );
        assert_eq!(said("cpu", "epyc"), None);
    }
}
