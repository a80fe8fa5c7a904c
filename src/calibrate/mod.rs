//! Calibration: the coefficients of kernel forms from measured rows, for one GPU or pooled over a class of
//! them, and the constants of engines from measured servers, by robust least squares on the very forms that
//! estimates use.

mod coefficients;
pub mod engine;
mod fitting;
mod outcome;
mod overlay;
mod solver;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, Gpu, KernelTables};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::search::in_parallel;
use crate::validate::{Key, Kind, Measured, Row, Table, Unread, unreadable};

pub use coefficients::Coefficients;
use fitting::Point;
pub use outcome::{Calibration, FEWEST, Group, Outcome, Subject};
pub use overlay::{name, overlay};

/// The measured rows, ready to be grouped and fitted.
pub struct Questions {
    subject: Subject,
    groups: Vec<(Key, Vec<Point>)>,
    left_out: BTreeMap<String, u64>,
    /// Columns of the files that nobody reads.
    pub unread: Vec<Unread>,
    through_host: bool,
}

impl Questions {
    /// Reads the rows of CSV files.
    ///
    /// # Errors
    /// A file that cannot be read, is no CSV or lacks `kernel_class` or `latency_us`; an unknown GPU or
    /// class; no row of the GPU.
    pub fn read(files: &[PathBuf], subject: Subject, catalog: &Catalog) -> Result<Questions, Diagnostic> {
        let subject = settled(subject, catalog)?;
        let mut reader = Reader { catalog, subject: &subject, gpus: BTreeMap::new() };
        let mut groups: BTreeMap<Key, Vec<Point>> = BTreeMap::new();
        let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
        let mut unread = Vec::new();
        for file in files {
            let table = table(file)?;
            unread.extend(Unread::of(&table, Kind::Kernels, &[]));
            for number in 0..table.len() {
                match reader.point(&table.row(number))? {
                    Ok((key, point)) => groups.entry(key).or_default().push(point),
                    Err(why) => *left_out.entry(why).or_default() += 1,
                }
            }
        }
        if groups.is_empty() {
            const SHOWN: usize = 8;
            let all = left_out.iter().take(SHOWN);
            let reasons: Vec<String> = all.map(|(why, n)| format!("{n} rows: {why}")).collect();
            let cause = format!("no row can be fitted for {}", subject.id());
            return Err(Diagnostic::new(Code::Range, cause).help(reasons.join("; ")));
        }
        let through_host = reader.gpus.values().any(|gpu| gpu.scale_up.through_host());
        Ok(Questions { groups: groups.into_iter().collect(), left_out, unread, through_host, subject })
    }

    /// Groups that will be looked at.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Fits every group, in parallel; `done` hears of each.
    ///
    /// # Errors
    /// Never for rows that were read; the type is that of work in parallel.
    pub fn answer(mut self, done: impl Fn() + Sync) -> Result<Calibration, Diagnostic> {
        let pooled = matches!(self.subject, Subject::Class(_));
        let fit = |groups: &[(Key, Vec<Point>)]| -> Result<Vec<Group>, Diagnostic> {
            let fitted = in_parallel(groups.len(), |i| {
                let (key, points) = &groups[i];
                let fitted = fitting::groups(key, points, pooled);
                done();
                Ok(fitted)
            })?;
            Ok(fitted.into_iter().flatten().collect())
        };
        // An engine's own all-reduce competes with the library's, which is therefore settled first.
        let (mut customs, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.groups).into_iter().partition(|(key, _)| key.table == CUSTOM);
        let mut groups = fit(&others)?;
        for (key, points) in &mut customs {
            let library = groups.iter().find(|g| g.key.table == "collective" && g.key.format == key.format);
            if let Some(Outcome::Fitted(Coefficients::Library(library))) = library.map(|g| g.outcome) {
                points.iter_mut().for_each(|point| point.settle_library(library));
            }
        }
        groups.extend(fit(&customs)?);
        let Questions { subject, left_out, through_host, .. } = self;
        Ok(Calibration { subject, groups, left_out, through_host })
    }
}

/// The table of engines' own all-reduces.
const CUSTOM: &str = "custom_all_reduce";

/// The subject under its identifier.
fn settled(subject: Subject, catalog: &Catalog) -> Result<Subject, Diagnostic> {
    Ok(match subject {
        Subject::Gpu(name) => Subject::Gpu(catalog.gpu(&name)?.id),
        Subject::Class(name) => {
            Subject::Class(catalog.find(crate::catalog::Kind::GpuClass, &name)?.id().to_owned())
        }
    })
}

fn table(file: &Path) -> Result<Table, Diagnostic> {
    let table = Table::parse(&load::text(file)?, &file.display().to_string())?;
    table.require(&["kernel_class".to_owned(), "latency_us".to_owned()])?;
    Ok(table)
}

/// Reads rows, each GPU once.
struct Reader<'a> {
    catalog: &'a Catalog,
    subject: &'a Subject,
    gpus: BTreeMap<String, Gpu>,
}

impl Reader<'_> {
    /// A row's key and point, or why it is left out; an error only where a GPU cannot be read.
    fn point(&mut self, row: &Row) -> Result<Result<(Key, Point), String>, Diagnostic> {
        let name = match (row.text("gpu"), self.subject) {
            (Some(name), _) => name.to_owned(),
            (None, Subject::Gpu(id)) => id.clone(),
            (None, Subject::Class(_)) => return Ok(Err("no GPU".to_owned())),
        };
        if !self.gpus.contains_key(&name) {
            let gpu = self.gpu(&name)?;
            self.gpus.insert(name.clone(), gpu);
        }
        let Some(gpu) = self.gpus.get(&name) else { return Ok(Err("no GPU".to_owned())) };
        if let Subject::Gpu(id) = self.subject
            && *id != gpu.id
        {
            return Ok(Err(format!("of {}, not of {id}", gpu.id)));
        }
        Ok(read(row, gpu, self.catalog))
    }

    /// A GPU as the rows see it: when pooled, without coefficients of its own.
    fn gpu(&self, name: &str) -> Result<Gpu, Diagnostic> {
        let gpu = self.catalog.gpu(name)?;
        Ok(match self.subject {
            Subject::Gpu(_) => gpu,
            Subject::Class(_) => Gpu { kernels: KernelTables::default(), ..gpu },
        })
    }
}

fn read(row: &Row, gpu: &Gpu, catalog: &Catalog) -> Result<(Key, Point), String> {
    if let Some(why) = unreadable(row, Kind::Kernels) {
        return Err(why);
    }
    let latency = row.number("latency_us").filter(|us| *us > 0.0).ok_or("no latency_us above 0")?;
    if row.text("eager_floor_suspect").is_some_and(|text| text != "0") {
        return Err("eager_floor_suspect: the host's time, not the GPU's".to_owned());
    }
    let key = Key::of(row, gpu)?;
    let measured = Measured::read_on(row, gpu, catalog)?;
    if Coefficients::of(&measured).is_none() {
        return Err("no coefficients to start from".to_owned());
    }
    let own = key.stands_in(gpu);
    let point = Point::new(&gpu.id, measured, latency, (key.kernel.clone(), own));
    Ok((Key { kernel: None, ..key }, point))
}
