//! Files that start a release: one file of code a kind of file.

mod compose;
mod kubernetes;
mod parts;
mod platforms;
mod router;
mod script;
mod sweep;

use super::platform::WITHOUT_CONTAINERS;
use super::release::Release;
use crate::diagnostic::{Code, Diagnostic};

pub use parts::File;
pub use sweep::{Candidate, sweep};

/// The target of several plans instead of one: what the engines' own tuners measure.
pub const SWEEP: &str = "sweep";

/// The target that is the engine's own command.
const COMMAND: &str = "command";

/// What a release is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it makes.
    pub makes: &'static str,
    write: fn(&Release) -> Result<Vec<File>, Diagnostic>,
}

/// Every target, in the order of help.
pub const TARGETS: &[Target] = &[
    Target {
        name: COMMAND,
        makes: "the engine's own command, one a server and node",
        write: script::command,
    },
    Target { name: "docker", makes: "a Compose file", write: compose::compose },
    Target {
        name: "k8s",
        makes: "Deployment and Service; LeaderWorkerSet over nodes",
        write: kubernetes::kubernetes,
    },
    Target { name: "llm-d", makes: "values of the llm-d-modelservice chart", write: platforms::llm_d },
    Target { name: "dynamo", makes: "a DynamoGraphDeployment", write: platforms::dynamo },
    Target { name: "kserve", makes: "an LLMInferenceService", write: platforms::kserve },
    Target { name: "slurm", makes: "a batch script for sbatch", write: script::slurm },
    Target { name: "skypilot", makes: "a SkyPilot task", write: platforms::skypilot },
    Target { name: "ray", makes: "a Ray Serve LLM application", write: platforms::ray },
];

/// Other words for targets.
const SPOKEN: &[(&str, &str)] = &[
    ("shell", COMMAND),
    ("script", COMMAND),
    ("compose", "docker"),
    ("docker-compose", "docker"),
    ("kubernetes", "k8s"),
    ("llmd", "llm-d"),
    ("sbatch", "slurm"),
    ("sky", "skypilot"),
    ("rayserve", "ray"),
];

/// The name of a target that is called by another word; any other text as it is.
pub fn called(word: &str) -> &str {
    SPOKEN.iter().find(|(spoken, _)| *spoken == word).map_or(word, |(_, name)| name)
}

/// Names of all targets.
pub fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|t| t.name).collect()
}

/// Writes a release for a target.
///
/// # Errors
/// The known targets for another one; what is missing where the target or the engine's version cannot say what
/// the plan needs.
pub fn write(target: &str, release: &Release) -> Result<Vec<File>, Diagnostic> {
    let found = TARGETS.iter().find(|t| t.name == target).ok_or_else(|| {
        let list = format!("known: {}", names().join(", "));
        Diagnostic::unknown("target to write for", target, names(), &list).at("--emit")
    })?;
    if release.vendor == WITHOUT_CONTAINERS && found.name != COMMAND {
        return Err(Diagnostic::new(
            Code::Usage,
            format!(
                "`{target}` runs in containers or on clusters, and neither reaches the GPU of {}",
                release.gpu
            ),
        )
        .at("--emit")
        .help(format!("write `{COMMAND}`, which runs on the machine itself")));
    }
    (found.write)(release)
}
