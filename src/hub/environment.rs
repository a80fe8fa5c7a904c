//! What the variables of the `huggingface_hub` package say.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::source::{ENDPOINT, Hub, Token};

impl Hub {
    /// The hub, its cache and the token that the environment names: `HF_ENDPOINT`, `HF_HUB_CACHE`,
    /// `HF_HOME`, `XDG_CACHE_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`,
    /// `HF_HUB_DOWNLOAD_TIMEOUT` (seconds), `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    ///
    /// # Errors
    /// [`Code::Usage`] when one of them makes no sense.
    pub fn from_environment() -> Result<Hub, Diagnostic> {
        Hub::from_variables(&|name| env::var(name).ok())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Hub, Diagnostic> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
        let is_true = |names: &[&str]| {
            first(names).is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.to_uppercase().as_str()))
        };
        let user = first(&["HOME", "USERPROFILE"]).map(PathBuf::from);
        let path = |text: String| match (text.strip_prefix("~/"), &user) {
            (Some(rest), Some(user)) => user.join(rest),
            _ => PathBuf::from(text),
        };
        let caches = variable("XDG_CACHE_HOME").map(path).or_else(|| Some(user.as_ref()?.join(".cache")));
        let home = variable("HF_HOME").map(path).or_else(|| Some(caches?.join("huggingface")));
        let cache = first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).map(path);
        let token_path = variable("HF_TOKEN_PATH").map(path).or_else(|| Some(home.as_ref()?.join("token")));
        let stored = || match is_true(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
            true => None,
            false => load::text(&token_path?).ok(),
        };
        Ok(Hub {
            endpoint: endpoint(variable("HF_ENDPOINT"))?,
            token: token(first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(stored))?,
            cache: cache.or_else(|| Some(home.as_ref()?.join("hub"))),
            offline: is_true(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            timeout: timeout(variable("HF_HUB_DOWNLOAD_TIMEOUT"))?,
            announce: |_| {},
        })
    }
}

fn endpoint(named: Option<String>) -> Result<String, Diagnostic> {
    let Some(text) = named else { return Ok(ENDPOINT.to_owned()) };
    let text = text.trim().trim_end_matches('/');
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['@', ' ', '?', '#']) => Ok(text.to_owned()),
        _ => Err(Diagnostic::new(Code::Usage, format!("`{text}` is not the address of a hub"))
            .at("HF_ENDPOINT")
            .help(format!("for example {ENDPOINT}"))),
    }
}

/// Tokens stand in a header: printable characters only.
fn token(text: Option<String>) -> Result<Option<Token>, Diagnostic> {
    let Some(text) = text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()) else { return Ok(None) };
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Diagnostic::new(Code::Usage, "the token holds characters that no token has")
            .at("HF_TOKEN or the stored token")
            .help("tokens are listed at https://huggingface.co/settings/tokens"));
    }
    Ok(Some(Token(text)))
}

fn timeout(text: Option<String>) -> Result<Duration, Diagnostic> {
    let Some(text) = text else { return Ok(Duration::from_secs(10)) };
    match text.trim().parse::<f64>() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(Diagnostic::new(Code::Usage, format!("`{text}` is not a number of seconds"))
            .at("HF_HUB_DOWNLOAD_TIMEOUT")
            .help("from 0.001 to 3600")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub, Diagnostic> {
        let all: Vec<(String, String)> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Hub::from_variables(&|name| all.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn the_cache_is_where_the_nearest_variable_says() {
        let cache = |variables: &[(&str, &str)]| hub(variables).unwrap().cache.unwrap();
        assert_eq!(cache(&[("HOME", "/u")]), PathBuf::from("/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("HF_HOME", "~/h")]), PathBuf::from("/u/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_stored_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_stored\n").unwrap();
        let home = folder.path().display().to_string();
        let token = |variables: &[(&str, &str)]| hub(variables).unwrap().token;
        assert_eq!(token(&[("HF_HOME", &home)]), Some(Token("hf_stored".into())));
        assert_eq!(token(&[("HF_HOME", &home), ("HF_TOKEN", "hf_own")]), Some(Token("hf_own".into())));
        assert_eq!(token(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
    }

    #[test]
    fn senseless_variables_are_named() {
        for (name, value) in [
            ("HF_ENDPOINT", "huggingface.co"),
            ("HF_ENDPOINT", "https://user@host"),
            ("HF_TOKEN", "a\nb"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
        ] {
            let error = hub(&[(name, value)]).unwrap_err();
            assert!(error.place.unwrap().contains(name), "{name}={value}");
        }
    }

    #[test]
    fn offline_is_what_the_package_takes_for_true() {
        for (value, offline) in [("1", true), ("true", true), ("ON", true), ("0", false), ("", false)] {
            assert_eq!(hub(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
        }
    }
}
