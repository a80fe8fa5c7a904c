//! The user's own folders: one file per entry, read when a question needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::kind::Kind;
use super::variant::{Slice, Variant, names};
use crate::diagnostic::{Code, Diagnostic};
use crate::load::{self, Located};

/// A description in one of the user's folders.
#[derive(Clone, Debug)]
pub struct UserFile {
    /// What it describes, by the folder that holds it.
    pub kind: Kind,
    /// Identifier: the file's name without its extension, `--` standing for `/` in models.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
    about: OnceLock<Result<About, Diagnostic>>,
}

/// What listings and names need of a file.
#[derive(Clone, Debug)]
pub struct About {
    /// One line for listings.
    pub title: String,
    /// Other names.
    pub aliases: Vec<String>,
}

/// The beginning of every YAML description.
#[derive(Deserialize)]
struct YamlHeader {
    id: Located<String>,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    /// Boards of a GPU's chip.
    #[serde(default)]
    variants: Vec<Variant>,
    /// Slices of a GPU.
    #[serde(default)]
    mig: BTreeMap<String, Slice>,
}

impl YamlHeader {
    /// What the description goes by, its boards and slices among it.
    fn other_names(self) -> Vec<String> {
        let own: Vec<&str> = self.aliases.iter().map(String::as_str).collect();
        let mut all = self.aliases.clone();
        for profile in self.mig.keys() {
            all.push(names::slice_id(&self.id.value, profile));
            all.extend(names::slice_aliases(&own, profile));
        }
        all.extend(self.variants.into_iter().flat_map(|v| std::iter::once(v.id).chain(v.aliases)));
        all
    }
}

/// What a `config.json` may say about its own names.
#[derive(Deserialize)]
struct JsonHeader {
    #[serde(default, rename = "_shardfit")]
    about: ModelAbout,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ModelAbout {
    name: Option<String>,
    aliases: Vec<String>,
}

impl UserFile {
    /// Title and other names; the file is read once.
    ///
    /// # Errors
    /// What is wrong with the file; [`Code::Catalog`] when its `id` is not its name.
    pub fn about(&self) -> Result<&About, &Diagnostic> {
        self.about.get_or_init(|| self.read()).as_ref()
    }

    /// What was found wrong with the file when its names were read, if they were.
    pub fn fault(&self) -> Option<&Diagnostic> {
        self.about.get()?.as_ref().err()
    }

    /// The file's place in messages.
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> Result<About, Diagnostic> {
        let (text, place) = (load::text(&self.path)?, self.place());
        if self.kind == Kind::Model {
            let about = load::json::<JsonHeader>(&text, &place)?.about;
            return Ok(About {
                title: about.name.unwrap_or_else(|| self.id.clone()),
                aliases: about.aliases,
            });
        }
        let header: YamlHeader = load::yaml(&text, &place)?;
        if header.id.value != self.id {
            let cause = format!("id: `{}` is not the file's name", header.id.value);
            let place = format!("{place}, line {}", load::line(&header.id));
            let help = format!("write `id: {}`, or rename the file", self.id);
            return Err(Diagnostic::new(Code::Catalog, cause).at(place).help(help));
        }
        Ok(About { title: header.name.clone(), aliases: header.other_names() })
    }
}

/// The descriptions in a folder's `gpus/`, `clusters/`, `classes/`, `engines/`, `models/`, `kernels/` and
/// `scheduling/`, by kind and identifier.
///
/// # Errors
/// [`Code::File`] when the folder is missing or cannot be listed.
pub fn open(folder: &Path) -> Result<Vec<UserFile>, Diagnostic> {
    load::entries(folder)?;
    let mut files = Vec::new();
    for kind in Kind::ALL {
        let inner = folder.join(kind.folder());
        if inner.is_dir() {
            files.extend(of_kind(kind, &inner)?);
        }
    }
    Ok(files)
}

/// Whether a folder holds any of the folders that a catalogue has.
pub fn is_catalog(folder: &Path) -> bool {
    Kind::ALL.iter().any(|kind| folder.join(kind.folder()).is_dir())
}

/// The files of one kind in a folder.
///
/// # Errors
/// [`Code::File`] when the folder is missing or cannot be listed.
pub fn of_kind(kind: Kind, folder: &Path) -> Result<Vec<UserFile>, Diagnostic> {
    let extensions: &[&str] = if kind == Kind::Model { &["json"] } else { &["yaml", "yml"] };
    let mut files: Vec<UserFile> = Vec::new();
    for path in load::entries(folder)? {
        let text = |part: Option<&std::ffi::OsStr>| part.and_then(|s| s.to_str()).map(str::to_owned);
        let (Some(stem), Some(extension)) = (text(path.file_stem()), text(path.extension())) else {
            continue;
        };
        if !extensions.contains(&extension.as_str()) || !path.is_file() {
            continue;
        }
        let id = if kind == Kind::Model { stem.replacen("--", "/", 1) } else { stem };
        let about = OnceLock::new();
        if let Some(first) = files.iter().find(|f| f.id == id) {
            let cause = format!("{} describes `{id}` already", first.place());
            let fault = Diagnostic::new(Code::Catalog, cause).at(path.display().to_string());
            about.get_or_init(|| Err(fault));
        }
        files.push(UserFile { kind, id, path, about });
    }
    Ok(files)
}
