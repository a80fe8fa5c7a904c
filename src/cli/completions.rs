//! `shardfit completions`: a script that completes commands, options and names in a shell.

use clap::{Args, Command, ValueEnum as _};
use clap_complete::Shell;

use crate::diagnostic::Diagnostic;

use super::outcome::Outcome;
use super::{output, values};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit completions bash > ~/.local/share/bash-completion/completions/shardfit\n  \
    shardfit completions fish > ~/.config/fish/completions/shardfit.fish")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_parser = values::names(shells()), hide_possible_values = true)]
    shell: String,
}

fn shells() -> Vec<String> {
    Shell::value_variants().iter().map(ToString::to_string).collect()
}

/// Writes the script for the whole program, `command`.
pub fn run(args: &CompletionsArgs, mut command: Command) -> Result<Outcome, Diagnostic> {
    let shell = Shell::from_str(&args.shell, true).map_err(|_| {
        let all = shells();
        let list = format!("allowed: {}", all.join(", "));
        Diagnostic::unknown("shell", &args.shell, all.iter().map(String::as_str), &list)
    })?;
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Found)
}
