//! Names of models on the hub.

/// A model on the hub: `org/name` or `org/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// `org/name`.
    pub repository: String,
    /// Branch, tag or commit; `main` when none is named.
    pub revision: Option<String>,
}

impl Id {
    /// Reads `org/name` or `org/name@revision`; `None` when the text cannot be one.
    pub fn parse(text: &str) -> Option<Id> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let fits = is_part(organisation) && is_part(name) && revision.is_none_or(is_revision);
        fits.then(|| Id { repository: repository.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The name of its file in a folder of models: `org--name.json`.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.repository.replacen('/', "--", 1))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

/// One half of `org/name` (`validate_repo_id` of `huggingface_hub`): letters, digits, `-`, `_`, `.`, at
/// most 96, no `--` or `..`, neither `-` nor `.` at an end.
fn is_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=96).contains(&text.len())
        && text.chars().all(allowed)
        && !text.contains("--")
        && !text.contains("..")
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

/// A branch, tag or commit that is safe in an address and in a path.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (1..=255).contains(&text.len())
        && text.chars().all(allowed)
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}
