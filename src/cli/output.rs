//! Where results go: stdout, or a file that is written whole or not at all.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::ask::Answered;
use crate::diagnostic::{Code, Diagnostic, spelt_out};
use crate::load;
use crate::report::{Format, Report};

use super::outcome::Outcome;
use super::values::names;

/// Format of a result.
#[derive(Clone, Debug, Args)]
pub struct FormatArgs {
    /// table, csv, json, yaml or md [default: by the extension of --output, else table]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    #[arg(value_parser = names(Format::NAMES), hide_possible_values = true)]
    format: Option<String>,
    /// Short for --format json
    #[arg(long, help_heading = "Output", conflicts_with = "format")]
    json: bool,
    /// Short for --format csv
    #[arg(long, help_heading = "Output", conflicts_with_all = ["format", "json"])]
    csv: bool,
}

impl FormatArgs {
    /// The format that was asked for.
    ///
    /// # Errors
    /// A name that is no format's.
    pub fn asked(&self) -> Result<Option<Format>, Diagnostic> {
        match (&self.format, self.json, self.csv) {
            (Some(name), ..) => name.parse().map(Some),
            (None, true, _) => Ok(Some(Format::Json)),
            (None, _, true) => Ok(Some(Format::Csv)),
            (None, false, false) => Ok(None),
        }
    }

    /// The format of what goes to stdout.
    ///
    /// # Errors
    /// As [`FormatArgs::asked`].
    pub fn printed(&self) -> Result<Format, Diagnostic> {
        Ok(self.asked()?.unwrap_or(Format::Table))
    }
}

/// Format and destination of a result.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    #[command(flatten)]
    format: FormatArgs,
    /// Write the result to FILE, whole or not at all, in the format of its extension: csv, json, yaml, md or txt
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// The format of what goes to stdout, whatever goes to the file.
    ///
    /// # Errors
    /// As [`FormatArgs::asked`].
    pub fn printed(&self) -> Result<Format, Diagnostic> {
        self.format.printed()
    }

    /// The format, and a check that the destination can be written before any work is done.
    ///
    /// # Errors
    /// A format or an extension that nobody knows, a file that cannot be written.
    pub fn prepare(&self) -> Result<Format, Diagnostic> {
        let asked = self.format.asked()?;
        let Some(path) = &self.output else { return Ok(asked.unwrap_or(Format::Table)) };
        let format = match asked {
            Some(format) => format,
            None => of_file(path)?.unwrap_or(Format::Table),
        };
        load::check_writable(path)?;
        Ok(format)
    }

    /// A check that the destination of a text can be written, which is in the format of no extension.
    ///
    /// # Errors
    /// A format that nobody knows, a file that cannot be written.
    pub fn prepare_text(&self) -> Result<Format, Diagnostic> {
        self.output.as_deref().map_or(Ok(()), load::check_writable)?;
        self.format.printed()
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

    /// Writes a report.
    pub fn report(&self, report: &Report, format: Format) -> Result<(), Diagnostic> {
        self.emit(&report.written(format, self.width())?)
    }

    /// Writes an answer, and says what became of the question.
    pub fn answer(&self, answered: &Answered) -> Result<Outcome, Diagnostic> {
        self.emit(&answered.text())?;
        Ok(if answered.is_found() { Outcome::Found } else { Outcome::NothingFeasible })
    }

    /// Width that a table may fill: see [`width`]; unlimited in files.
    pub fn width(&self) -> Option<u16> {
        if self.output.is_some() { None } else { width() }
    }
}

/// The format that a file's extension stands for, said of `--output` where it stands for none.
pub fn of_file(path: &Path) -> Result<Option<Format>, Diagnostic> {
    if let Some(format) = path.to_str().filter(|name| name.parse::<Format>().is_ok()) {
        let cause = format!("`{format}` is a format, and -o names a file");
        let extension = if format == "table" { "txt" } else { format };
        let help = format!("`--format {format}` prints it, `-o answer.{extension}` writes it");
        return Err(Diagnostic::new(Code::Usage, cause).at(format!("--output {format}")).help(help));
    }
    Format::of_file(path).map_err(|d| d.at(format!("--output {}", path.display())))
}

/// Width of the terminal that stdout is: `COLUMNS` where it is set, else what it says of itself; unlimited
/// in pipes. A pipe that colour is forced upon is treated as a terminal of any width.
pub fn width() -> Option<u16> {
    use std::io::IsTerminal as _;
    let terminal = std::io::stdout().is_terminal();
    let forced = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    if !terminal && !forced {
        return None;
    }
    let stated = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
    let own = || if terminal { comfy_table::Table::new().width() } else { Some(u16::MAX) };
    // A terminal that does not know its width says 0.
    stated.or_else(own).filter(|n| *n > 0)
}

/// Prints a report, for people as wide as the terminal.
pub fn show(report: &Report, format: Format) -> Result<(), Diagnostic> {
    let text = report.written(format, width())?;
    print(&(text.trim_end().to_owned() + "\n"))
}

thread_local! {
    /// What is printed on this thread, where it is kept.
    static KEPT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What becomes of `work`, and what it prints on this thread, which does not go to stdout.
pub fn kept<T>(work: impl FnOnce() -> T) -> (T, String) {
    let before = KEPT.replace(Some(String::new()));
    let done = work();
    (done, KEPT.replace(before).unwrap_or_default())
}

/// Writes to stdout; a reader that goes away early (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Diagnostic> {
    let is_kept = KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.push_str(text)).is_some());
    if is_kept {
        return Ok(());
    }
    let text = spelt_out(text, true);
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Diagnostic::new(Code::File, format!("cannot write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}
