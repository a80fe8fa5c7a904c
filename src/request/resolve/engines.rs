//! The engines that compete, in which formats, and what was measured of them.

use std::str::FromStr;

use itertools::Itertools as _;

use crate::catalog::engine::{LaunchOption, SchedulingPatch};
use crate::catalog::{Catalog, Cluster, Engine, classes};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::measured;
use crate::estimate::memory::GraphMode;
use crate::load;
use crate::model::Model;
use crate::plan::Precision;
use crate::request::Request;
use crate::request::checks::{texts, usage};
use crate::search::Current;

/// Speeds of hosts that make sense beside those of the published runs.
const HOST_SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

impl Request {
    /// The first of the options that are given and that an engine does not take.
    pub(super) fn lacking(&self, engine: &Engine) -> Option<LaunchOption> {
        let given = self.given();
        LaunchOption::ALL
            .into_iter()
            .find(|option| given.contains_key(option.field()) && !engine.options.contains(option))
    }

    /// The engines that take every option that is given; those that were named must.
    pub(super) fn that_take_the_options(&self, engines: Vec<Engine>) -> Result<Vec<Engine>, Diagnostic> {
        let lacks = |engine: &Engine| self.lacking(engine);
        let named = self.engine.is_some() && texts(&self.engine) != ["any"];
        let first = engines.iter().find_map(|engine| Some((engine.id.clone(), lacks(engine)?)));
        let (with, _): (Vec<Engine>, Vec<Engine>) = engines.into_iter().partition(|e| lacks(e).is_none());
        match first.filter(|_| named || with.is_empty()) {
            Some((id, option)) => {
                let flag = format!("--{}", option.field().replace('_', "-"));
                Err(usage(format!("{id} has no such option: it would be ignored"))
                    .at(flag)
                    .help("leave it out"))
            }
            None => Ok(with),
        }
    }

    /// The engines to consider on these pools: those named, every one that runs on one of them, or the usual ones.
    ///
    /// # Errors
    /// An unknown engine or version; scheduling that no engine has.
    pub fn engines(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let mut engines = match texts(&self.engine) {
            [] => self.usual_engines(catalog, pools)?,
            [any] if any == "any" => {
                let runs = |e: &Engine| pools.iter().any(|pool| e.runs_on(&pool.gpu));
                let (fit, rest): (Vec<_>, Vec<_>) = catalog.engines()?.into_iter().partition(runs);
                if fit.is_empty() { rest } else { fit }
            }
            list => list
                .iter()
                .map(|name| name.trim())
                .unique()
                .map(|name| catalog.engine(name))
                .collect::<Result<_, _>>()?,
        };
        let mode = self.captured()?.mode;
        for engine in &mut engines {
            let eager = self.enforce_eager == Some(true) || mode == Some(GraphMode::None);
            if eager && !engine.launch.eager {
                engine.launch_with(&["eager"]);
            }
            if let Some(mode) = mode {
                engine.scheduling.prefill_graphs = mode.has_prompts();
            }
        }
        Engine::tell_apart(&mut engines);
        if let Some(text) = &self.scheduling {
            let patch = load::assignments::<SchedulingPatch>(text, "--scheduling")?;
            for engine in &mut engines {
                patch.apply(&mut engine.scheduling);
                engine.validate().map_err(|d| d.within("--scheduling"))?;
            }
        }
        if let Some(speed) = self.host_speed {
            if !HOST_SPEEDS.contains(&speed) {
                let (low, high) = (HOST_SPEEDS.start(), HOST_SPEEDS.end());
                let cause = format!("{speed} is out of range; expected a number from {low} to {high}");
                return Err(Diagnostic::new(Code::Range, cause).at("--host-speed"));
            }
            for engine in &mut engines {
                engine.scheduling = engine.scheduling.clone().on_host(speed);
            }
        }
        self.have_the_cache(&engines)?;
        Ok(engines)
    }

    /// That an engine has one of the types of KV cache that are asked for.
    ///
    /// # Errors
    /// [`Code::Usage`] with what they have.
    fn have_the_cache(&self, engines: &[Engine]) -> Result<(), Diagnostic> {
        // What is no type is said where types are read; a launch is answered with why its engine refuses it.
        let caches: Vec<DType> = texts(&self.kv).iter().filter_map(|t| t.parse().ok()).collect();
        let any = || engines.iter().any(|engine| caches.iter().any(|kv| engine.kv_types.contains(kv)));
        if self.launched || caches.is_empty() || any() {
            return Ok(());
        }
        let asked = caches.iter().join(" or ");
        let have = engines.iter().map(|e| format!("{}: {}", e.id, e.kv_types.iter().join(", "))).unique();
        Err(usage(format!("no engine that is asked for has a KV cache of {asked}"))
            .at("--kv")
            .help(format!("they have {}", have.collect_vec().join("; "))))
    }

    /// The usual engines of the pools; where none of them takes any of the formats and types of cache that are asked for,
    /// those that run there and do; and where the host's memory is said, those that use it too.
    fn usual_engines(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let usual = catalog.usual_engines(pools)?;
        // What is no format is said where formats are read.
        let formats: Vec<WeightFormat> = texts(&self.weights).iter().filter_map(|t| t.parse().ok()).collect();
        let caches: Vec<DType> = texts(&self.kv).iter().filter_map(|t| t.parse().ok()).collect();
        let takes = |engine: &Engine| {
            (formats.is_empty() || formats.iter().any(|format| engine.weight_formats.contains(format)))
                && (caches.is_empty() || caches.iter().any(|kv| engine.kv_types.contains(kv)))
        };
        let uses_host = |engine: &Engine| self.host.is_none() || engine.host.is_some();
        let enough = usual.iter().any(takes);
        if enough && usual.iter().any(uses_host) {
            return Ok(usual);
        }
        let runs = |engine: &Engine| pools.iter().any(|pool| engine.runs_on(&pool.gpu));
        let all = catalog.engines()?;
        let others: Vec<Engine> = all.into_iter().filter(|e| runs(e) && takes(e) && uses_host(e)).collect();
        Ok(match (enough, others.is_empty()) {
            (_, true) => usual,
            (false, false) => others,
            (true, false) => usual.into_iter().chain(others).collect(),
        })
    }

    /// That the engines that are named in a version have a class for the model.
    ///
    /// # Errors
    /// [`Code::Usage`] for one that is older than it.
    pub(super) fn know_the_model(&self, engines: &[Engine], model: &Model) -> Result<(), Diagnostic> {
        // A launch is answered with why its engine refuses it.
        let named = !self.launched && texts(&self.engine).iter().any(|name| name.contains('@'));
        let refusal = |engine: &Engine| classes::refusal(&engine.id, &model.family, engine.version);
        match engines.iter().filter(|_| named).find_map(refusal) {
            Some(why) => Err(usage(why).at("--engine").help("name a newer version, or none for the newest")),
            None => Ok(()),
        }
    }

    /// The precisions to consider.
    pub(crate) fn precisions(&self) -> Result<Vec<Precision>, Diagnostic> {
        // Engines' own word for what they do unasked.
        fn precision<T: FromStr<Err = Diagnostic>>(text: &str) -> Result<Option<T>, Diagnostic> {
            if text.eq_ignore_ascii_case("auto") { Ok(None) } else { text.parse().map(Some) }
        }
        fn parsed<T>(flag: &str, list: &[String]) -> Result<Vec<Option<T>>, Diagnostic>
        where
            T: FromStr<Err = Diagnostic>,
        {
            let read = |text: &String| precision(text).map_err(|d| d.within(flag));
            let mut all: Vec<Option<T>> = list.iter().unique().map(read).collect::<Result<_, _>>()?;
            if all.is_empty() {
                all.push(None);
            }
            Ok(all)
        }
        let weights = parsed::<WeightFormat>("--weights", texts(&self.weights))?;
        let caches = parsed::<DType>("--kv", texts(&self.kv))?;
        let pairs = weights.into_iter().cartesian_product(caches);
        Ok(pairs.map(|(weights, kv)| Precision { weights, kv }).collect())
    }
}

/// Gives the GPUs what was measured of the model's kernels; returns engine and GPU of which nothing is known.
pub(super) fn measure(
    catalog: &Catalog,
    pools: &mut [Cluster],
    engines: &[Engine],
    current: Option<&Current>,
    model: &Model,
) -> Result<Vec<(String, String)>, Diagnostic> {
    let mut unknown = Vec::new();
    if catalog.has_kernels() {
        let named = current.iter().filter_map(|current| current.engine.clone());
        let engines: Vec<Engine> = engines.iter().cloned().chain(named).collect();
        let wanted = measured::operations(model);
        for pool in pools {
            for engine in catalog.measure(pool, &engines, &wanted)? {
                unknown.push((engine.name.clone(), pool.gpu.name.clone()));
            }
        }
    }
    Ok(unknown)
}
