//! `shardfit man`: manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};
use clap_mangen::Man;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::outcome::Outcome;
use super::{output, talk};

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  shardfit man > shardfit.1\n  shardfit man man1/")]
pub struct ManArgs {
    /// Folder for a page per command [default: the main page to stdout]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

/// Writes the pages of the whole program.
pub fn run(args: &ManArgs, program: Command) -> Result<Outcome, Diagnostic> {
    let mut root = program.disable_help_subcommand(true);
    root.build();
    match &args.folder {
        None => output::print(&page(&root)?)?,
        Some(folder) => write_all(&root, folder)?,
    }
    Ok(Outcome::Found)
}

fn write_all(root: &Command, folder: &Path) -> Result<(), Diagnostic> {
    load::make_folder(folder)?;
    for command in std::iter::once(root).chain(root.get_subcommands()) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = folder.join(format!("{name}.1"));
        load::write_whole(&path, page(command)?.as_bytes())?;
        talk::note(|| format!("wrote {}", path.display()));
    }
    Ok(())
}

fn page(command: &Command) -> Result<String, Diagnostic> {
    let mut text = Vec::new();
    Man::new(command.clone())
        .render(&mut text)
        .map_err(|e| Diagnostic::new(Code::File, format!("cannot write the page: {e}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
