//! Options that exclude or require each other.

use crate::diagnostic::Diagnostic;
use crate::request::checks::{exclude, usage};
use crate::request::{Request, Task, form};

impl Request {
    /// Options that exclude or require each other.
    pub(crate) fn consistent(&self, task: Task) -> Result<(), Diagnostic> {
        form::version(self.schema_version)?;
        // A value that no option takes is said before the option that it wants beside it.
        self.keeping()?;
        let split = self.prefill.is_some() || self.decode.is_some();
        exclude(&[
            ("--cluster", self.cluster.is_some(), "--gpu", self.gpu.is_some()),
            ("--clusters", self.clusters.is_some(), "--gpu", self.gpu.is_some()),
            ("--clusters", self.clusters.is_some(), "--unit", self.unit.is_some()),
            ("--clusters", self.clusters.is_some(), "--max-replica", self.max_replica.is_some()),
            ("--concurrency", self.concurrency.is_some(), "--rate", self.rate.is_some()),
            ("--trace", self.trace.is_some(), "--concurrency", self.concurrency.is_some()),
            ("--trace", self.trace.is_some(), "--rate", self.rate.is_some()),
            ("--trace", self.trace.is_some(), "--prefix-hit", self.prefix_hit.is_some()),
            ("--trace", self.trace.is_some(), "--isl", self.isl.is_some()),
            ("--trace", self.trace.is_some(), "--osl", self.osl.is_some()),
            ("--trace", self.trace.is_some(), "--protocol", self.protocol.is_some()),
            ("--users", self.users.is_some(), "--concurrency", self.concurrency.is_some()),
            ("--users", self.users.is_some(), "--rate", self.rate.is_some()),
            ("--users", self.users.is_some(), "--forecast", self.forecast.is_some()),
            ("--sessions", self.sessions.is_some(), "--isl", self.isl.is_some()),
            ("--sessions", self.sessions.is_some(), "--osl", self.osl.is_some()),
            ("--sessions", self.sessions.is_some(), "--prefix-hit", self.prefix_hit.is_some()),
            ("--sessions", self.sessions.is_some(), "--trace", self.trace.is_some()),
            ("--sessions", self.sessions.is_some(), "--prefill", split),
            ("--forecast", self.forecast.is_some(), "--rate", self.rate.is_some()),
            ("--cpu-moe", self.cpu_moe == Some(true), "--n-cpu-moe", self.n_cpu_moe.is_some()),
            ("--override-tensor", self.override_tensor.is_some(), "--n-cpu-moe", self.n_cpu_moe.is_some()),
            ("--override-tensor", self.override_tensor.is_some(), "--cpu-moe", self.cpu_moe == Some(true)),
            (
                "--prefill",
                split,
                "--tp",
                self.tp.as_ref().is_some_and(|tp| task.is_of_one_plan() && tp.0 != [1]),
            ),
        ])?;
        let require = [
            ("--acceptance", self.acceptance.is_some(), "--speculate", self.speculate.is_some()),
            ("--draft-tokens", self.draft_tokens.is_some(), "--speculate", self.speculate.is_some()),
            ("--pue", self.pue.is_some(), "--electricity", self.electricity.is_some()),
            ("--host-watts", self.host_watts.is_some(), "--electricity", self.electricity.is_some()),
            ("--prefill", split, "--decode", self.decode.is_some()),
            ("--decode", split, "--prefill", self.prefill.is_some()),
            ("--users", self.users.is_some(), "--sessions", self.sessions.is_some()),
            (
                "--kv-tiers",
                self.kv_tiers.is_some(),
                "--sessions",
                self.sessions.is_some() || self.trace.is_some(),
            ),
            (
                "--routing",
                self.routing.is_some(),
                "--sessions",
                self.sessions.is_some() || self.trace.is_some(),
            ),
            ("--columns", self.columns.is_some(), "--trace", self.trace.is_some()),
            ("--no-prefix-cache", self.no_prefix_cache == Some(true), "--trace", self.trace.is_some()),
        ];
        match require.iter().find(|(_, given, _, beside)| *given && !*beside) {
            Some((one @ "--users", _, other, _)) => {
                let help = "give both, or say with --concurrency how many requests are in flight";
                Err(usage(format!("{one} needs {other}")).help(help))
            }
            Some((one, _, other, _)) => {
                Err(usage(format!("{one} needs {other}")).help("give both or neither"))
            }
            None => Ok(()),
        }
    }
}
