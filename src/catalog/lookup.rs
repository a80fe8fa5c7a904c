//! Descriptions by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

use super::builtin::{self, BuiltIn};
use super::cluster::Cluster;
use super::engine::Engine;
use super::entry::Entry;
use super::folder::{self, UserFile};
use super::framework::Framework;
use super::gpu::Gpu;
use super::kernels::{Collectives, GpuClass, KernelOverlay, KernelTables};
use super::kind::Kind;
use super::link::LinkKind;
use super::scheduling::SchedulingOverlay;
use super::version::Asked;
use super::{known, measured};
use crate::diagnostic::{Code, Diagnostic, same_letters, same_words};
use crate::load;

/// The class whose collectives were measured over PCIe.
pub(super) const PCIE_CLASS: &str = "gddr-pcie";

/// The class whose collectives were measured over NVLink.
pub(super) const NVLINK_CLASS: &str = "datacenter-hbm";

/// What is meant where no engine claims a GPU's platform.
pub const DEFAULT_ENGINE: &str = "vllm";

/// Descriptions by name: the user's folders, the earlier the stronger, over what is built in.
///
/// A description overrides those of the same identifier behind it. Files are read when they are asked
/// for; one that is broken is an error only where it is needed.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    files: Vec<UserFile>,
    /// Measured kernel latencies, if the user has any.
    pub(super) measured: Option<Arc<measured::Database>>,
    /// Constants of engines that are tried, over those of files.
    tried: Vec<SchedulingOverlay>,
    /// Whether names are those of entries alone.
    sealed: bool,
}

impl Catalog {
    /// What is built in, without any of the user's folders.
    pub const fn built_in() -> Catalog {
        Catalog { files: Vec::new(), measured: None, tried: Vec::new(), sealed: false }
    }

    /// The catalogue as strangers may ask it: names are those of its entries alone, and no file or hub is looked at because a question
    /// names it.
    pub fn sealed(self) -> Catalog {
        Catalog { sealed: true, ..self }
    }

    /// Whether names are those of entries alone.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether a name is that of a YAML file that may be read.
    pub(super) fn means_file(&self, name: &str) -> bool {
        load::is_yaml(name) && !self.sealed
    }

    /// Checks that an option may name a file.
    ///
    /// # Errors
    /// [`Code::Usage`] where names are those of entries alone.
    pub fn reads_files(&self, option: &str) -> Result<(), Diagnostic> {
        match self.sealed {
            false => Ok(()),
            true => Err(Diagnostic::new(Code::Usage, "no files are read here").at(option.to_owned())),
        }
    }

    /// Whether it has a database of measured kernels.
    pub fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    /// Folders with `gpus/`, `clusters/`, `classes/`, `engines/`, `models/`, `kernels/` and `scheduling/`, the strongest
    /// first, over what is built in.
    ///
    /// # Errors
    /// [`Code::File`] for a folder that is missing or cannot be listed.
    pub fn open(folders: &[PathBuf]) -> Result<Catalog, Diagnostic> {
        let mut catalog = Catalog::built_in();
        for folder in folders {
            catalog.files.extend(folder::open(folder)?);
        }
        Ok(catalog)
    }

    /// The catalogue with a folder whose files go before those it has.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn with_folder(mut self, folder: &Path) -> Result<Catalog, Diagnostic> {
        let mut files = folder::open(folder)?;
        files.append(&mut self.files);
        Ok(Catalog { files, ..self })
    }

    /// The catalogue with folders of models, `<org>--<name>.json`, that go before those it has.
    ///
    /// # Errors
    /// [`Code::File`] for a folder that is missing.
    pub fn with_models(mut self, folders: &[PathBuf]) -> Result<Catalog, Diagnostic> {
        let mut files = Vec::new();
        for folder in folders {
            files.extend(folder::of_kind(Kind::Model, folder)?);
        }
        files.append(&mut self.files);
        Ok(Catalog { files, ..self })
    }

    /// The user's files of a kind, the strongest first.
    fn files(&self, kind: Kind) -> impl Iterator<Item = &UserFile> {
        self.files.iter().filter(move |file| file.kind == kind)
    }

    /// Every entry of a kind, sorted by identifier: the strongest of each.
    pub fn entries(&self, kind: Kind) -> Vec<Entry<'_>> {
        let mut all: Vec<Entry> = self.all(kind).collect();
        all.sort_by(|a, b| a.id().cmp(b.id()));
        all.dedup_by(|later, earlier| later.id() == earlier.id());
        all
    }

    /// The entry that a name or alias means; case, spaces, dots, dashes and underscores are ignored where no name
    /// is written just so. Identifiers go before aliases.
    ///
    /// # Errors
    /// [`Code::UnknownName`] with the nearest known name, or with all that the
    /// name may mean.
    pub fn find(&self, kind: Kind, name: &str) -> Result<Entry<'_>, Diagnostic> {
        match self.meant(kind, name).as_slice() {
            [one] => Ok(*one),
            [] => {
                if let Some(entry) =
                    Some(kind).filter(|k| *k == Kind::Gpu).and_then(|_| self.spoken_gpu(name))
                {
                    return Ok(entry);
                }
                let all = self.entries(kind);
                if let Some(said) = known::answer(kind, name) {
                    let cause = format!("unknown {} `{}`", kind.noun(), crate::diagnostic::brief(name));
                    return Err(Diagnostic::new(Code::UnknownName, cause).help(said));
                }
                Err(Diagnostic::unknown(kind.noun(), name, all.iter().flat_map(names), kind.list_hint()))
            }
            several => {
                let noun = kind.noun();
                let cause = format!("{noun} `{}` may mean several", crate::diagnostic::brief(name));
                let known = several.iter().map(|entry| format!("`{}`", entry.id())).collect::<Vec<_>>();
                Err(Diagnostic::new(Code::UnknownName, cause).help(format!("write {}", known.join(" or "))))
            }
        }
    }

    /// Whether a name means an entry of a kind.
    pub(super) fn knows(&self, kind: Kind, name: &str) -> bool {
        !self.meant(kind, name).is_empty()
    }

    /// The entries that a name may mean: one where an identifier or an alias is so written, case apart, else
    /// each that has its words, else each that has its letters. Identifiers go before aliases.
    pub(super) fn meant(&self, kind: Kind, name: &str) -> Vec<Entry<'_>> {
        let name = name.trim();
        if let Some(one) = self.by_id(kind, name).or_else(|| self.by_alias(kind, name)) {
            return vec![one];
        }
        for alike in [same_words, same_letters] {
            let by_id = self.all(kind).filter(|entry| alike(entry.id(), name)).map(Entry::id);
            let mut ids: BTreeSet<&str> = by_id.collect();
            if ids.is_empty() {
                let goes_by = |entry: &Entry| entry.other_names().any(|alias| alike(alias, name));
                ids = self.all(kind).filter(goes_by).map(Entry::id).collect();
            }
            if !ids.is_empty() {
                return ids.into_iter().filter_map(|id| self.by_id(kind, id)).collect();
            }
        }
        Vec::new()
    }

    /// Every entry of a kind, the strongest first, those that are overridden among them.
    fn all(&self, kind: Kind) -> impl Iterator<Item = Entry<'_>> {
        let built_in = builtin::entries(kind).iter().map(Entry::BuiltIn);
        self.files(kind).map(Entry::File).chain(built_in)
    }

    pub(super) fn by_id(&self, kind: Kind, id: &str) -> Option<Entry<'_>> {
        self.all(kind).find(|entry| entry.id().eq_ignore_ascii_case(id))
    }

    pub(super) fn by_alias(&self, kind: Kind, alias: &str) -> Option<Entry<'_>> {
        let goes_by = |entry: &Entry| entry.other_names().any(|a| a.eq_ignore_ascii_case(alias));
        let found = self.all(kind).find(goes_by)?;
        self.by_id(kind, found.id())
    }

    /// What is wrong with the user's files that were looked at and not needed.
    pub fn faults(&self) -> impl Iterator<Item = &Diagnostic> {
        self.files.iter().filter_map(UserFile::fault)
    }

    /// A description by name, alias or YAML file, and the file if it is the user's.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<(T, Option<String>), Diagnostic> {
        if self.means_file(name) {
            return Ok((load::yaml(&load::text(Path::new(name))?, name)?, Some(name.to_owned())));
        }
        let entry = self.find(kind, name)?;
        Ok((entry.parse()?, matches!(entry, Entry::File(_)).then(|| entry.place())))
    }

    /// A GPU by name, alias or YAML file, with what fills the gaps in its kernel coefficients.
    ///
    /// # Errors
    /// [`Code::UnknownName`], or what is wrong with the file.
    pub fn gpu(&self, name: &str) -> Result<Gpu, Diagnostic> {
        let (mut gpu, file) = self.described(name)?;
        gpu.stand_ins = self.stand_ins(&gpu).map_err(|d| in_file(d, &file))?;
        gpu.twin = self.twin(&gpu).map_err(|d| in_file(d, &file))?;
        gpu.platform = self.find(Kind::GpuClass, &gpu.class)?.parse::<GpuClass>()?.platform;
        Ok(gpu)
    }

    /// A GPU as its file describes it, with the coefficients that ship for it where the file states none, under those of
    /// the user's `kernels/`; and the file if it is the user's.
    fn described(&self, name: &str) -> Result<(Gpu, Option<String>), Diagnostic> {
        let (mut gpu, file): (Gpu, _) = self.read(Kind::Gpu, name)?;
        // Its boards and slices have them, too.
        gpu.kernels = gpu.kernels.filled_from(fitted(&gpu.id)?);
        let mut gpu = match self.means_file(name) {
            true => gpu.meant_by(&[]),
            false => gpu.meant_by(&[self.find(Kind::Gpu, name)?.id(), name]),
        };
        gpu.kernels = self.overlaid(&gpu.id, gpu.kernels)?;
        gpu.validate().and_then(|()| self.stand_ins_exist(&gpu)).map_err(|d| in_file(d, &file))?;
        Ok((gpu, file))
    }

    /// The user's `kernels/` for a GPU over the coefficients that it has otherwise.
    fn overlaid(&self, id: &str, own: KernelTables) -> Result<KernelTables, Diagnostic> {
        let files = self.files(Kind::Kernels).filter(|f| f.id.eq_ignore_ascii_case(id));
        let mut strongest = KernelTables::default();
        for file in files {
            let overlay: KernelOverlay = Entry::File(file).parse()?;
            if let Some(problem) = overlay.problems().into_iter().next() {
                return Err(in_file(problem, &Some(file.place())));
            }
            strongest = strongest.filled_from(overlay.kernels);
        }
        Ok(strongest.filled_from(own))
    }

    fn stand_ins_exist(&self, of: &Gpu) -> Result<(), Diagnostic> {
        let wrong =
            |d: Diagnostic, name: &str| d.within(format!("GPU {}, field `{name}`", of.id)).field(name);
        self.find(Kind::GpuClass, &of.class).map_err(|d| wrong(d, "class"))?;
        match &of.kernels_from {
            Some(name) if !load::is_yaml(name) => {
                self.find(Kind::Gpu, name).map(|_| ()).map_err(|d| wrong(d, "kernels_from"))
            }
            _ => Ok(()),
        }
    }

    /// An engine by name, alias or YAML file; `vllm@0.19` or `trtllm@engine` is it in another version.
    ///
    /// # Errors
    /// [`Code::UnknownName`], what is wrong with the file, or
    /// [`Code::Range`] for a version that is not described.
    pub fn engine(&self, name: &str) -> Result<Engine, Diagnostic> {
        match name.rsplit_once('@') {
            Some((engine, version)) if !self.means_file(name) => {
                self.every_version(engine)?.at(&Asked::read(version))
            }
            _ => match self.in_version(name) {
                Some((engine, version)) => self.every_version(engine)?.at(&Asked::read(version)),
                None => self.every_version(name).map(|e| Engine { versions: Vec::new(), ..e }),
            },
        }
    }

    /// The engine and the version of a name that holds both as package managers, images and folders write them:
    /// `vllm==0.11.0`, `vllm:v0.8.5`, `vllm-0.10.2`.
    fn in_version<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        if self.means_file(name) || self.knows(Kind::Engine, name) {
            return None;
        }
        let parts = name.match_indices(['=', ':', '-', '_', ' ', '>']).map(|(at, _)| name.split_at(at));
        let is_version = |text: &str| text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        let split = parts
            .map(|(engine, rest)| (engine, rest.trim_start_matches(['=', ':', '-', '_', ' ', '>', '~'])));
        split.rev().find(|(engine, version)| is_version(version) && self.knows(Kind::Engine, engine))
    }

    /// An engine with all its versions.
    ///
    /// # Errors
    /// As [`Catalog::engine`].
    pub fn every_version(&self, name: &str) -> Result<Engine, Diagnostic> {
        self.whole_engine(name).map(Arc::unwrap_or_clone)
    }

    /// The same; what ships is read once.
    fn whole_engine(&self, name: &str) -> Result<Arc<Engine>, Diagnostic> {
        if !self.means_file(name)
            && let Entry::BuiltIn(entry) = self.find(Kind::Engine, name)?
            && self.files(Kind::Scheduling).next().is_none()
            && self.tried.is_empty()
        {
            return shipped(entry);
        }
        let (mut engine, file): (Engine, _) = self.read(Kind::Engine, name)?;
        engine.validate().map_err(|d| in_file(d, &file))?;
        self.schedule(&mut engine)?;
        Ok(Arc::new(engine))
    }

    /// Writes the user's `scheduling/` for an engine over its own constants.
    fn schedule(&self, engine: &mut Engine) -> Result<(), Diagnostic> {
        let id = engine.id.clone();
        let files: Vec<&UserFile> =
            self.files(Kind::Scheduling).filter(|f| f.id.eq_ignore_ascii_case(&id)).collect();
        for file in files.into_iter().rev() {
            let overlay: SchedulingOverlay = Entry::File(file).parse()?;
            let place = Some(file.place());
            overlay.apply(engine).and_then(|()| engine.validate()).map_err(|d| in_file(d, &place))?;
        }
        self.tried.iter().filter(|tried| tried.id == id).try_for_each(|tried| tried.apply(engine))
    }

    /// The catalogue with constants of an engine that are tried, over those of files.
    pub fn with_scheduling(mut self, overlay: SchedulingOverlay) -> Catalog {
        self.tried.push(overlay);
        self
    }

    /// A training framework by name, alias or YAML file.
    ///
    /// # Errors
    /// [`Code::UnknownName`], or what is wrong with the file.
    pub fn framework(&self, name: &str) -> Result<Framework, Diagnostic> {
        let (framework, file): (Framework, _) = self.read(Kind::Framework, name)?;
        framework.validate().map_err(|d| in_file(d, &file))?;
        self.find(Kind::Engine, &framework.kernels)
            .map_err(|d| in_file(d.within(format!("framework {}, field `kernels`", framework.id)), &file))?;
        Ok(framework)
    }

    /// Every engine.
    ///
    /// # Errors
    /// One of the user's files that is broken; never an entry that ships.
    pub fn engines(&self) -> Result<Vec<Engine>, Diagnostic> {
        self.entries(Kind::Engine).iter().map(|e| self.engine(e.id())).collect()
    }

    /// The engine that is meant on a GPU when none is named: the one whose file says so, else
    /// [`DEFAULT_ENGINE`], or one that runs there where that has no kernels for the GPU.
    ///
    /// # Errors
    /// As [`Catalog::engines`].
    pub fn usual_engine(&self, gpu: &Gpu) -> Result<Engine, Diagnostic> {
        let claims = |e: &Engine| e.default_for.iter().any(|p| p == gpu.platform());
        let entries = self.entries(Kind::Engine);
        let engines: Vec<Arc<Engine>> =
            entries.iter().map(|e| self.whole_engine(e.id())).collect::<Result<_, _>>()?;
        let usual = match engines.iter().find(|engine| claims(engine)) {
            Some(found) => Arc::clone(found),
            None => self.whole_engine(DEFAULT_ENGINE)?,
        };
        // A GPU that is too old for it has another.
        let too_old =
            usual.lacks.iter().any(|lack| lack.architecture == gpu.architecture) && !usual.runs_on(gpu);
        let other = engines.into_iter().find(|engine| too_old && engine.runs_on(gpu));
        let engine = Engine::clone(&other.unwrap_or(usual));
        Ok(Engine { versions: Vec::new(), ..engine })
    }

    /// The engines that are meant on a cluster when none is named: the usual one of each pool's GPU.
    ///
    /// # Errors
    /// As [`Catalog::engines`].
    pub fn usual_engines(&self, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let mut all: Vec<Engine> = Vec::new();
        for pool in pools {
            let engine = self.usual_engine(&pool.gpu)?;
            if all.iter().all(|known| known.id != engine.id) {
                all.push(engine);
            }
        }
        Ok(all)
    }

    /// The coefficients of the GPU of the same architecture that a GPU names, if it names one. Collectives are lent between
    /// GPUs with the same kind of link; those through the host's memory are of the host and stay with it.
    fn twin(&self, of: &Gpu) -> Result<KernelTables, Diagnostic> {
        let Some(name) = &of.kernels_from else { return Ok(KernelTables::default()) };
        let (twin, _) = self.described(name)?;
        let alike = twin.scale_up.kind == of.scale_up.kind;
        let collectives = if alike { twin.kernels.clone() } else { KernelTables::default() };
        let through_host = Collectives::default();
        Ok(twin.kernels.with_collectives_of(KernelTables { through_host, ..collectives }))
    }

    /// The pooled coefficients of a GPU's class.
    fn stand_ins(&self, of: &Gpu) -> Result<KernelTables, Diagnostic> {
        let class: GpuClass = self.find(Kind::GpuClass, &of.class)?.parse()?;
        let mut tables = class.kernels;
        if let Some(base) = &class.base {
            tables = tables.filled_from(self.class_tables(base)?.without_sets());
        }
        if of.scale_up.kind == LinkKind::Pcie && of.class != PCIE_CLASS {
            tables = tables.with_collectives_of(self.class_tables(PCIE_CLASS)?);
        }
        Ok(tables)
    }

    pub(super) fn class_tables(&self, name: &str) -> Result<KernelTables, Diagnostic> {
        self.find(Kind::GpuClass, name)?.parse::<GpuClass>().map(|class| class.kernels)
    }
}

/// An engine that ships, with all its versions.
fn shipped(entry: &'static BuiltIn) -> Result<Arc<Engine>, Diagnostic> {
    static READ: Mutex<BTreeMap<&str, Arc<Engine>>> = Mutex::new(BTreeMap::new());
    // Whoever panics has not begun to write.
    let locked = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = locked().get(entry.id) {
        return Ok(Arc::clone(known));
    }
    let engine: Engine = Entry::BuiltIn(entry).parse()?;
    engine.validate()?;
    let engine = Arc::new(engine);
    locked().insert(entry.id, Arc::clone(&engine));
    Ok(engine)
}

/// The coefficients that ship for a GPU.
fn fitted(id: &str) -> Result<KernelTables, Diagnostic> {
    match builtin::entries(Kind::Kernels).iter().find(|entry| entry.id == id) {
        Some(entry) => Ok(Entry::BuiltIn(entry).parse::<KernelOverlay>()?.kernels),
        None => Ok(KernelTables::default()),
    }
}

/// The identifier of an entry, then its other names.
pub(super) fn names<'a>(entry: &Entry<'a>) -> Vec<&'a str> {
    std::iter::once(entry.id()).chain(entry.aliases()).collect()
}

/// Adds the file, if there is one, and the line of the field at fault.
pub(super) fn in_file(diagnostic: Diagnostic, file: &Option<String>) -> Diagnostic {
    match file {
        Some(file) => load::tree::blame(diagnostic, file),
        None => diagnostic,
    }
}
