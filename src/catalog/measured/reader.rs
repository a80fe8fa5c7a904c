//! Reading a table's file.

use std::path::Path;

use super::columns::Columns;
#[cfg(feature = "parquet")]
use super::decode;
use crate::diagnostic::{Code, Diagnostic};

/// Reads the named columns of a file; columns that it lacks are left empty.
///
/// # Errors
/// [`Code::File`] when the file is missing, is no Parquet file, or is damaged.
#[cfg(feature = "parquet")]
pub fn read(path: &Path, texts: &[&'static str], numbers: &[&'static str]) -> Result<Columns, Diagnostic> {
    let file = crate::load::ordinary(path)?;
    decode::columns(file, texts, numbers).map_err(|cause| {
        Diagnostic::new(Code::File, format!("not a readable Parquet file: {cause}"))
            .at(path.display().to_string())
            .help("get the kernel tables again: `pip download aiconfigurator-core`")
    })
}

/// This build reads no Parquet files.
///
/// # Errors
/// Always.
#[cfg(not(feature = "parquet"))]
pub fn read(path: &Path, _: &[&'static str], _: &[&'static str]) -> Result<Columns, Diagnostic> {
    Err(Diagnostic::new(Code::File, "this build reads no Parquet files")
        .at(path.display().to_string())
        .help("build shardfit with the feature `parquet`: cargo install --path . --features parquet"))
}
