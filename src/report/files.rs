//! Files that start a plan, as programs read them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::launch::artefact::File;

use super::answer::{self, ANSWER_VERSION};

/// Files that start a plan.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Files")]
pub(super) struct FilesAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// The files.
    files: Vec<FileAnswer<'a>>,
}

/// A file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "File")]
struct FileAnswer<'a> {
    /// Its name.
    name: &'a str,
    /// What it holds.
    text: &'a str,
}

/// Files that start a plan, as JSON.
pub fn files_json(files: &[File]) -> Json {
    let files = files.iter().map(|file| FileAnswer { name: &file.name, text: &file.text }).collect();
    answer::json(&FilesAnswer { schema_version: ANSWER_VERSION, files })
}
