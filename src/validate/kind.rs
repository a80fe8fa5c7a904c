//! Kinds of measurements.

use crate::diagnostic::Diagnostic;

/// What kind of measurements a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Parameter counts of checkpoints.
    Params,
    /// Latencies of single kernels.
    Kernels,
    /// Memory that servers logged.
    Memory,
    /// TTFT, TPOT and throughput of servers.
    Serving,
    /// Speed and memory of training runs.
    Training,
}

impl Kind {
    /// Names as on the command line.
    pub const NAMES: [&'static str; 5] = ["params", "memory", "kernels", "serving", "training"];
}

impl std::str::FromStr for Kind {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        match text {
            "params" => Ok(Kind::Params),
            "memory" => Ok(Kind::Memory),
            "kernels" => Ok(Kind::Kernels),
            "serving" => Ok(Kind::Serving),
            "training" => Ok(Kind::Training),
            _ => {
                let list = format!("allowed: {}", Kind::NAMES.join(", "));
                Err(Diagnostic::unknown("kind of measurements", text, Kind::NAMES, &list))
            }
        }
    }
}
