//! Flags of sessions and of what keeps their prefixes.

use clap::Args;

use crate::request::{Lists, Request};
use crate::workload::{MAX_CONCURRENCY, Routing, Sessions};

use super::values::{count, names};

/// Users whose turns follow each other, and what of their prompts is kept.
#[derive(Clone, Debug, Args)]
pub struct SessionArgs {
    /// Turns that follow each other in place of lengths: turns=12,system=4000,new=600,output=300,think=20s
    /// [,first=…,branches=…], or chat, coding-agent, rag, deep-research, each with what differs after it; prefix
    /// hits then follow from the cache
    #[arg(long, value_name = "SESSIONS", help_heading = "Sessions")]
    #[arg(value_parser = names(Sessions::names()), hide_possible_values = true)]
    pub sessions: Option<String>,
    /// Users of sessions over the whole deployment, in place of a load
    #[arg(long, value_name = "N", help_heading = "Sessions", value_delimiter = ',')]
    #[arg(value_parser = count(1..=MAX_CONCURRENCY))]
    pub users: Vec<u64>,
    /// Tiers below the GPUs' cache, of each node but for the shared one: cpu=1TiB,nvme=4TB,shared=20TB, with a
    /// bandwidth where it is known: nvme=4TB@14GB/s
    #[arg(long, value_name = "TIERS", help_heading = "Sessions")]
    pub kv_tiers: Option<String>,
    /// How turns are sent to replicas: prefix-aware, round-robin or least-load [default: prefix-aware]
    #[arg(long, value_name = "NAME", help_heading = "Sessions")]
    #[arg(value_parser = names(Routing::ALL.map(Routing::name)), hide_possible_values = true)]
    pub routing: Option<String>,
}

impl SessionArgs {
    /// Puts what is given into a request, and several numbers of users into the lists.
    pub fn fill(&self, request: &mut Request, lists: &mut Lists) {
        request.sessions.clone_from(&self.sessions);
        request.users = lists.first("users", &self.users);
        request.kv_tiers.clone_from(&self.kv_tiers);
        request.routing.clone_from(&self.routing);
    }
}
