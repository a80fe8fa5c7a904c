//! `shardfit mcp`: tools for agents, over the Model Context Protocol.

use std::io::{self, BufRead as _, Read as _, Write as _};

use clap::Args;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::mcp;

use super::outcome::Outcome;

/// Longest message that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// Arguments of `mcp`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  shardfit mcp\n\nIn an agent's configuration:\n  \
    {\"mcpServers\": {\"shardfit\": {\"command\": \"shardfit\", \"args\": [\"mcp\"]}}}")]
pub struct McpArgs {}

/// Runs the command: one message a line, until stdin ends.
pub fn run(_: &McpArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let broken = |e: io::Error| Diagnostic::new(Code::File, format!("the conversation broke off: {e}"));
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = input.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line).map_err(broken)?;
        if n == 0 {
            return Ok(Outcome::Found);
        }
        if n as u64 > LONGEST {
            return Err(Diagnostic::new(Code::Range, "a message is longer than 4 MiB"));
        }
        let Some(answer) = mcp::answer(&String::from_utf8_lossy(&line), catalog) else { continue };
        let sent = writeln!(output, "{answer}").and_then(|()| output.flush());
        match sent {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::Found),
            sent => sent.map_err(broken)?,
        }
    }
}
