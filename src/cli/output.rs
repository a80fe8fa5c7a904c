//! Where results go: stdout, or a file that is written whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report::Format;

/// Format and destination of a result.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// table, csv, json, yaml or md
    #[arg(long, default_value = "table", value_name = "FORMAT", help_heading = "Output")]
    pub format: String,
    /// Write the result to FILE, whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// The format, and a check that the destination can be written before any work is done.
    pub fn prepare(&self) -> Result<Format, Diagnostic> {
        let format = self.format.parse()?;
        if let Some(path) = &self.output {
            check_writable(path)?;
        }
        Ok(format)
    }

    /// Writes the result.
    pub fn emit(&self, text: &str) -> Result<(), Diagnostic> {
        let mut text = text.trim_end_matches('\n').to_owned();
        text.push('\n');
        match &self.output {
            Some(path) => load::write_whole(path, text.as_bytes()),
            None => print(&text),
        }
    }

    /// Width of the terminal that a table may fill; unlimited in files and pipes.
    pub fn width(&self) -> Option<u16> {
        use std::io::IsTerminal as _;
        if self.output.is_some() || !std::io::stdout().is_terminal() {
            return None;
        }
        comfy_table::Table::new().width()
    }
}

/// Writes to stdout; a reader that goes away early (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Diagnostic> {
    match anstream::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Diagnostic::new(Code::File, format!("cannot write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// Checks that a file can be written before any work is done.
pub fn check_writable(path: &Path) -> Result<(), Diagnostic> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let place = path.display().to_string();
    if path.is_dir() {
        return Err(
            Diagnostic::new(Code::File, "cannot write: this is a folder; name a file in it").at(place)
        );
    }
    if !folder.is_dir() {
        return Err(Diagnostic::new(Code::File, "cannot write here: the folder does not exist").at(place));
    }
    Ok(())
}
