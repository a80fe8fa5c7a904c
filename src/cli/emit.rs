//! `--emit`: a plan as files that start it.

use std::path::Path;

use clap::Args;

use super::outcome::Outcome;
use super::output::{OutputArgs, print};
use super::talk;
use crate::ask::Answered;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report::Format;
use crate::request::Texts;

/// Arguments of commands whose plans can be started.
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// Write what starts exactly this plan: command, docker, k8s, llm-d, dynamo, kserve, slurm, skypilot or ray, or
    /// several: command,k8s; of a search also sweep: the plans that estimates cannot tell apart, as input of the
    /// engines' own tuners. With -o DIR as files
    #[arg(long, value_name = "TARGET[,TARGET]", help_heading = "Launch")]
    pub emit: Option<String>,
}

impl EmitArgs {
    /// The targets that are asked for.
    pub fn given(&self) -> Option<Texts> {
        self.emit.as_ref().map(|text| Texts(text.split(',').map(|name| name.trim().to_owned()).collect()))
    }
}

/// Checks that a folder can be written to before any work is done. Where nothing is feasible the reasons are printed in
/// the format that is named.
///
/// # Errors
/// [`Code::File`] where a file stands in its place or the folder cannot be made.
pub fn prepare(output: &OutputArgs) -> Result<Format, Diagnostic> {
    match &output.output {
        Some(folder) if folder.is_file() => {
            Err(Diagnostic::new(Code::File, "this is a file, and --emit writes a folder")
                .at(folder.display().to_string())
                .help("name a folder, for example -o deploy"))
        }
        Some(folder) => load::make_folder(folder),
        None => Ok(()),
    }?;
    output.printed()
}

/// Writes the files that start a plan, into the folder of `-o` or one after the other to standard output. Where there
/// are none, why is printed, and no file is written.
///
/// # Errors
/// A file that cannot be written.
pub fn answer(output: &OutputArgs, answered: &Answered) -> Result<Outcome, Diagnostic> {
    match (answered, &output.output) {
        (Answered::Text { .. }, _) => {
            print(&answered.text())?;
            return Ok(Outcome::NothingFeasible);
        }
        (Answered::Files(files), Some(folder)) => {
            for file in files {
                load::write_whole(&Path::new(folder).join(&file.name), file.text.as_bytes())?;
            }
            let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
            talk::say(&format!("wrote {} to {}", names.join(", "), folder.display()));
        }
        (Answered::Files(files), None) => {
            let several = files.len() > 1;
            // One after the other they are the documents of one manifest, where all are.
            let yaml = files.iter().all(|f| Path::new(&f.name).extension().is_some_and(|e| e == "yaml"));
            let between = if yaml { "---\n" } else { "" };
            let texts = files.iter().enumerate().map(|(n, f)| match (several, n) {
                (false, _) => f.text.clone(),
                (true, 0) => format!("# file: {}\n{}", f.name, f.text),
                (true, _) => format!("{between}# file: {}\n{}", f.name, f.text),
            });
            print(&texts.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Outcome::Found)
}
