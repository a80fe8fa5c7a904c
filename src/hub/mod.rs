//! The Hugging Face hub: its local cache first, then the network.
//!
//! Names, variables and the cache's layout are those of the `huggingface_hub` package
//! (`constants.py`, `file_download.py`); what an answer means is in its `utils/_http.py`.

mod cache;
mod environment;
#[cfg(feature = "fetch")]
mod http;
mod id;
#[cfg(feature = "fetch")]
mod refusal;
mod source;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;
pub use id::Id;
pub use source::{Download, ENDPOINT, Hub, Part, Token};

/// A file of a repository as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// The commit that it is from, if known.
    pub commit: Option<String>,
}

impl Hub {
    /// A file of a repository as text: from the local cache, else from the hub. `None` where the
    /// repository is known not to have it.
    ///
    /// # Errors
    /// [`Code::Hub`] when neither has the repository, or the hub cannot be asked.
    pub fn text(&self, id: &Id, file: &str) -> Result<Option<Text>, Diagnostic> {
        if let Some(snapshot) = self.snapshot(id)
            && snapshot.join("config.json").is_file()
        {
            let path = snapshot.join(file);
            let commit = snapshot.file_name().map(|name| name.to_string_lossy().into_owned());
            let text = if path.is_file() { Some(load::text(&path)?) } else { None };
            return Ok(text.map(|text| Text { text, commit }));
        }
        let part = Part::Whole { limit: load::MAX_INPUT_BYTES };
        let Some(download) = self.get(id, file, part)? else { return Ok(None) };
        let text = String::from_utf8(download.bytes).map_err(|_| {
            Diagnostic::new(Code::Hub, format!("`{file}` is not text")).at(self.address(id, file))
        })?;
        Ok(Some(Text { text, commit: download.commit }))
    }

    /// A file, or a part of one, over the network. `None` where the repository has no such file.
    ///
    /// # Errors
    /// [`Code::Hub`] when offline, refused, missing, too large, or out of reach.
    pub fn get(&self, id: &Id, file: &str, part: Part) -> Result<Option<Download>, Diagnostic> {
        if self.offline {
            return Err(Diagnostic::new(
                Code::Hub,
                format!("`{id}` is not in the local cache, and the network is off"),
            )
            .help("leave out --offline and HF_HUB_OFFLINE, or name a path to its config.json"));
        }
        #[cfg(feature = "fetch")]
        {
            (self.announce)(&format!("asking {} for {file} of {id}", self.endpoint));
            http::get(self, id, file, part)
        }
        #[cfg(not(feature = "fetch"))]
        {
            let _ = (file, part);
            Err(Diagnostic::new(
                Code::Hub,
                format!("`{id}` is not in the local cache, and this build cannot fetch it"),
            )
            .help("build with the feature `fetch`, or name a path to its config.json"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_organisation_and_a_name_with_or_without_a_revision() {
        let id = Id::parse("meta-llama/Llama-3.1-8B@refs/pr/3").unwrap();
        assert_eq!((id.repository.as_str(), id.revision()), ("meta-llama/Llama-3.1-8B", "refs/pr/3"));
        assert_eq!(Id::parse("gpt/oss").unwrap().revision(), "main");
        assert_eq!(id.file_name(), "meta-llama--Llama-3.1-8B.json");
    }

    #[test]
    fn paths_and_addresses_are_no_ids() {
        for text in [
            "llama", "a/b/c", "../x", "a/..", "a/b@", "a/b@../c", "a/b@/c", "/a", "a/", "a b/c", "a/b?x",
            "é/b",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let hub = Hub { token: Some(Token("hf_secret".into())), ..Hub::none() };
        assert!(!format!("{hub:?}").contains("secret"));
    }

    #[test]
    fn offline_says_what_to_do() {
        let id = Id::parse("a/b").unwrap();
        let error = Hub::none().text(&id, "config.json").unwrap_err();
        assert_eq!(error.code, Code::Hub);
        assert!(error.help.unwrap().contains("--offline"));
    }
}
