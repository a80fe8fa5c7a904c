//! `--emit`: a plan as files that start it.

use std::path::Path;

use clap::Args;

use super::output::OutputArgs;
use crate::diagnostic::{Code, Diagnostic};
use crate::launch::artefact::{self, File};
use crate::launch::release::Release;
use crate::load;
use crate::report::Format;

/// Arguments of commands whose plans can be started.
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// Write what starts exactly this plan: command, docker, k8s, llm-d, dynamo, kserve, slurm, skypilot or ray, or
    /// several: command,k8s. With -o DIR as files
    #[arg(long, value_name = "TARGET[,TARGET]", help_heading = "Launch")]
    pub emit: Option<String>,
}

impl EmitArgs {
    /// The targets that are asked for.
    ///
    /// # Errors
    /// [`Code::UnknownName`] for a target that is none, before any work is done.
    pub fn targets(&self) -> Result<Vec<&str>, Diagnostic> {
        let names: Vec<&str> = self.emit.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
        let known = artefact::names();
        for name in &names {
            if !known.contains(name) {
                let list = format!("known: {}", known.join(", "));
                return Err(Diagnostic::unknown("target to write for", name, known.iter().copied(), &list)
                    .at("--emit"));
            }
        }
        Ok(names)
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

/// Writes the files of each target, into the folder of `-o` or one after the other to standard output.
///
/// # Errors
/// Where a target cannot say what the plan needs; nothing is written then.
pub fn write(targets: &[&str], release: &Release, output: &OutputArgs) -> Result<(), Diagnostic> {
    let mut files: Vec<File> = Vec::new();
    for target in targets {
        files.extend(artefact::write(target, release)?);
    }
    match &output.output {
        Some(folder) => {
            for file in &files {
                load::write_whole(&Path::new(folder).join(&file.name), file.text.as_bytes())?;
            }
            let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
            super::talk::say(&format!("wrote {} to {}", names.join(", "), folder.display()));
            Ok(())
        }
        None => {
            let several = files.len() > 1;
            let texts = files.iter().map(|f| match several {
                true => format!("# file: {}\n{}", f.name, f.text),
                false => f.text.clone(),
            });
            super::output::print(&texts.collect::<Vec<_>>().join("\n"))
        }
    }
}
