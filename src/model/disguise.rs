//! Texts that stand where JSON was meant: pointers of Git LFS, web pages.

use crate::diagnostic::{Code, Diagnostic};

/// What a text is by its first characters, if it cannot be JSON.
pub(super) fn of(text: &str) -> Option<Diagnostic> {
    let start = text.trim_start().get(..64).unwrap_or(text.trim_start()).to_ascii_lowercase();
    if start.starts_with("version https://git-lfs.github.com") {
        return Some(refusal(
            "a Git LFS pointer stands in the place of the file",
            "fetch the file itself: `git lfs pull` in the repository, or `huggingface-cli download`",
        ));
    }
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml") {
        return Some(refusal(
            "this is a web page, not JSON: maybe what a server answered instead of the file",
            "download the raw file (on the hub /resolve/ instead of /blob/ in the address), signed in if the model \
             is gated",
        ));
    }
    None
}

fn refusal(cause: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::Model, cause).help(help)
}
