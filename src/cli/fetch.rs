//! `shardfit fetch`: a model's description from the hub into a file.

use std::path::PathBuf;

use clap::Args;

use crate::diagnostic::{Code, Diagnostic};
use crate::hub::{Hub, Id};
use crate::load;
use crate::model::{self, Downloaded, Scope};
use crate::units::group_thousands;

use super::outcome::Outcome;
use super::output::print;
use super::talk;

/// Arguments of `fetch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  shardfit fetch Qwen/Qwen3-8B -o models/\n  \
    shardfit fetch mistralai/Mistral-7B-v0.3 --revision main -o mistral.json\n\n\
    HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and the local Hugging Face cache are respected.")]
pub struct FetchArgs {
    /// Model on the hub: org/name or org/name@revision
    pub id: String,
    /// Branch, tag or commit
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// File to write, or folder, where it is named <org>--<name>.json as --models expects
    #[arg(short, long, value_name = "PATH", default_value = ".")]
    pub output: PathBuf,
    /// Take it from the local cache or not at all
    #[arg(long)]
    pub offline: bool,
}

/// Runs the command.
pub fn run(args: &FetchArgs) -> Result<Outcome, Diagnostic> {
    let wanted = match &args.revision {
        Some(revision) => format!("{}@{revision}", args.id),
        None => args.id.clone(),
    };
    let id = Id::parse(&wanted).ok_or_else(|| {
        Diagnostic::new(Code::Usage, format!("`{wanted}` is no id of the hub"))
            .help("write org/name or org/name@revision")
    })?;
    let is_folder = args.output.is_dir() || args.output.to_string_lossy().ends_with(['/', '\\']);
    let target = if is_folder { args.output.join(id.file_name()) } else { args.output.clone() };
    load::check_writable(&target)?;
    let found = model::download(&id, &hub(args.offline)?)?;
    let read = model::from_config(&found.config, &id.to_string(), Scope::Full);
    load::write_whole(&target, text(&id, &found).as_bytes())?;
    match read.and_then(|model| Ok((model.family.clone(), model.parameters()?))) {
        Ok((family, count)) => {
            let total = group_thousands(count.total);
            print(&format!("{}: {id}, {family}, {total} parameters\n", target.display()))?;
        }
        Err(cause) => {
            print(&format!("{}: {id}\n", target.display()))?;
            talk::say(&format!("note: it is not a model that can be read as it is: {cause}"));
        }
    }
    Ok(Outcome::Found)
}

/// The configuration with a note of where it is from.
fn text(id: &Id, found: &Downloaded) -> String {
    let mut config = found.config.clone();
    let commit = found.commit.as_deref().unwrap_or(id.revision());
    let source = serde_json::json!({"name": id.repository, "source": format!("{}@{commit}", id.repository)});
    config.insert("_shardfit".into(), source);
    format!("{:#}\n", serde_json::Value::Object(config))
}

/// The hub as the environment names it, talking on stderr.
pub fn hub(offline: bool) -> Result<Hub, Diagnostic> {
    let hub = Hub::from_environment()?;
    Ok(Hub { offline: offline || hub.offline, announce: talk::say, ..hub })
}
