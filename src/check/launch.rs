//! Launches: what their engines would refuse, and what cannot be read.

use std::path::Path;

use super::problem::Problem;
use crate::launch::{self, Server};
use crate::load;
use crate::model::{self, Scope};

/// The servers of a text; files that it names are looked for in `folder`.
fn servers(text: &str, folder: Option<&Path>) -> Result<Vec<Server>, Problem> {
    let beside = folder.unwrap_or(Path::new("."));
    let find = |name: &str| {
        let path = beside.join(Path::new(name).file_name()?);
        path.is_file().then(|| load::text(&path).ok()).flatten()
    };
    let found = launch::invocations(text, &find)?;
    Ok(found.iter().map(|invocation| launch::speech::read(invocation, None)).collect())
}

/// Whether a text starts a server that is known.
pub fn starts(text: &str, folder: Option<&Path>) -> bool {
    servers(text, folder).is_ok()
}

/// What an engine would refuse of a launch: flags that its version does not take, values of the wrong type. What
/// stands in variables is no problem of the file.
pub fn problems(text: &str, folder: Option<&Path>) -> Vec<Problem> {
    let servers = match servers(text, folder) {
        Ok(servers) => servers,
        Err(problem) => return vec![problem],
    };
    let mut out = Vec::new();
    for server in &servers {
        let model = server.model.as_ref().and_then(|name| model::find(name, &[], Scope::Full).ok());
        for problem in launch::refused::of_model(server, model.as_ref()) {
            let field = server.model.clone().unwrap_or_default();
            out.push(Problem { line: line_of(text, &field), field, problem, help: None });
        }
        for note in server.unread.iter().filter(|note| note.refused) {
            let field = note.text.split([' ', '=']).next().unwrap_or_default().to_owned();
            let (problem, help) = match note.why.split_once("; ") {
                Some((problem, help)) => (problem.to_owned(), Some(help.to_owned())),
                None => (note.why.clone(), None),
            };
            out.push(Problem { line: line_of(text, &field), field, problem, help });
        }
        for note in &server.elsewhere {
            let field = note.text.clone();
            out.push(Problem { line: line_of(text, &field), field, problem: note.why.clone(), help: None });
        }
    }
    out.sort_by_key(|problem| problem.line);
    out.dedup();
    out
}

/// The first line that holds a word.
fn line_of(text: &str, word: &str) -> Option<u64> {
    (1..).zip(text.lines()).find(|(_, line)| !word.is_empty() && line.contains(word)).map(|(n, _)| n)
}
