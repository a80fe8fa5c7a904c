//! How far a long command is, on stderr.

use indicatif::{ProgressBar, ProgressStyle};

use super::talk;
use crate::diagnostic::{Code, Diagnostic};

/// A bar with rate and time left; hidden when quiet or when stderr is no terminal.
pub fn bar(size: u64, of: &str) -> Result<ProgressBar, Diagnostic> {
    if talk::is_quiet() {
        return Ok(ProgressBar::hidden());
    }
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {of}, {{per_sec}}, {{eta}} left"))
            .map_err(|e| Diagnostic::new(Code::Usage, e.to_string()))?;
    Ok(ProgressBar::new(size).with_style(style))
}
