//! What all handlers share.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use tokio::sync::Semaphore;

use super::job::Jobs;
use super::limits::Bounds;
use super::metrics::Metrics;
use crate::catalog::Catalog;

/// One site and its bounds.
pub struct Site {
    pub catalog: Catalog,
    pub bounds: Bounds,
    /// Whether only this machine can ask.
    pub loopback: bool,
    /// Questions that are worked on.
    pub at_work: Arc<Semaphore>,
    /// Of these, those that stand for several.
    pub lists: Arc<Semaphore>,
    /// Large requests that are read.
    pub large: Semaphore,
    pub metrics: Metrics,
    pub jobs: Jobs,
    /// The list of models, which takes long to make.
    pub models: OnceLock<Bytes>,
}

/// The site as handlers hold it.
pub type Shared = Arc<Site>;

impl Site {
    pub fn new(catalog: Catalog, bounds: Bounds, loopback: bool) -> Shared {
        Arc::new(Site {
            catalog,
            at_work: Arc::new(Semaphore::new(bounds.at_once)),
            lists: Arc::new(Semaphore::new(bounds.lists)),
            large: Semaphore::new(bounds.large),
            jobs: Jobs::default(),
            bounds,
            loopback,
            metrics: Metrics::default(),
            models: OnceLock::new(),
        })
    }
}

/// The state of a handler.
pub type At = State<Shared>;
