//! The local cache: `models--org--name/refs/<revision>` holds a commit, `snapshots/<commit>/` its files.

use std::path::PathBuf;

use crate::load;

use super::id::Id;
use super::source::Hub;

impl Hub {
    /// The folder of a model's files in the local cache, if it has the revision.
    pub fn snapshot(&self, id: &Id) -> Option<PathBuf> {
        let repository =
            self.cache.as_ref()?.join(format!("models--{}", id.repository.replacen('/', "--", 1)));
        let snapshots = repository.join("snapshots");
        let named = || {
            let commit = load::text(&repository.join("refs").join(id.revision())).ok()?;
            let commit = commit.trim();
            is_commit(commit).then(|| snapshots.join(commit))
        };
        let itself = || is_commit(id.revision()).then(|| snapshots.join(id.revision()));
        named().or_else(itself).filter(|folder| folder.is_dir())
    }
}

/// Hexadecimal, so that it cannot lead out of the folder.
fn is_commit(text: &str) -> bool {
    (5..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cached() -> (tempfile::TempDir, Hub) {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("models--org--name");
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::create_dir_all(repository.join("snapshots").join(COMMIT)).unwrap();
        fs::write(repository.join("refs/main"), COMMIT).unwrap();
        fs::write(repository.join("snapshots").join(COMMIT).join("config.json"), "{}").unwrap();
        let hub = Hub { cache: Some(folder.path().into()), ..Hub::none() };
        (folder, hub)
    }

    #[test]
    fn a_cached_model_is_found_by_branch_and_by_commit() {
        let (_folder, hub) = cached();
        for id in ["org/name".to_owned(), "org/name@main".into(), format!("org/name@{COMMIT}")] {
            let id = Id::parse(&id).unwrap();
            let text = hub.text(&id, "config.json").unwrap().unwrap();
            assert_eq!((text.text.as_str(), text.commit.as_deref()), ("{}", Some(COMMIT)), "{id}");
        }
        assert_eq!(hub.text(&Id::parse("org/name").unwrap(), "hf_quant_config.json"), Ok(None));
        assert!(hub.snapshot(&Id::parse("org/name@v2").unwrap()).is_none());
    }

    #[test]
    fn a_reference_cannot_lead_out_of_the_cache() {
        let (folder, hub) = cached();
        fs::write(folder.path().join("models--org--name/refs/main"), "../../../etc").unwrap();
        assert!(hub.snapshot(&Id::parse("org/name").unwrap()).is_none());
    }
}
