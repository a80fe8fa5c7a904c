//! The page and the API over HTTP: [`crate::ask`] behind addresses, bounded in time, size and number.
//!
//! Loopback unless told otherwise. A request names entries of the catalogue or brings its `config.json`; no file and no
//! address of its choosing is looked at.

mod api;
mod bounds;
mod document;
mod job;
mod jobs;
mod limits;
mod listen;
mod metrics;
mod page;
mod reply;
mod state;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};

use crate::ask::{self, View};
use crate::catalog::{Catalog, Kind};
use crate::diagnostic::{Code, Diagnostic};

pub use document::openapi;
pub use limits::Bounds;
pub use page::files;
use state::{Shared, Site};

/// Everything that is served, as one service.
fn router(site: Shared) -> Router {
    let api = Router::new()
        .route("/api/v1/openapi.json", get(document::get))
        .route("/api/v1/schema", get(document::schemas))
        .route("/api/v1/catalog/{kind}", get(api::list))
        .route("/api/v1/catalog/{kind}/{*id}", get(api::entry))
        .route("/api/v1/jobs", post(jobs::begin))
        .route("/api/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/api/v1/jobs/{id}/events", get(jobs::events))
        .route("/api/v1/{command}", post(api::answer))
        .route("/healthz", get(api::health))
        .route("/health", get(api::health))
        .route("/docs", get(api::description))
        .route("/metrics", get(api::metrics))
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .fallback(any(reply::nothing_here))
        .method_not_allowed_fallback(reply::another_method);
    api.layer(middleware::from_fn_with_state(site.clone(), bounds::watch))
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

/// A server that listens and does not answer yet.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: tokio::net::TcpListener,
    site: Shared,
}

impl Server {
    /// Listens at an address; port 0 takes one that is free.
    ///
    /// # Errors
    /// [`Code::Usage`] for an address that cannot be listened at.
    pub fn bind(address: SocketAddr, catalog: Catalog, bounds: Bounds) -> Result<Server, Diagnostic> {
        let fail = |e: std::io::Error| {
            Diagnostic::new(Code::Usage, format!("cannot listen at {address}: {e}"))
                .at("--port")
                .help("name another port with --port; 0 takes one that is free")
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(bounds.at_once + bounds.jobs + 1)
            .enable_all()
            .build()
            .map_err(fail)?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(fail)?;
        let loopback = address.ip().is_loopback();
        Ok(Server { runtime, listener, site: Site::new(catalog.sealed(), bounds, loopback) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Code::File`] where the system does not say.
    pub fn address(&self) -> Result<SocketAddr, Diagnostic> {
        self.listener
            .local_addr()
            .map_err(|e| Diagnostic::new(Code::File, format!("cannot tell the address: {e}")))
    }

    /// Answers until the process ends.
    ///
    /// # Errors
    /// Never in practice: what goes wrong with a connection ends that connection.
    pub fn run(self) -> Result<(), Diagnostic> {
        let router = router(self.site.clone());
        self.runtime.block_on(listen::accept(self.listener, router, self.site));
        Ok(())
    }
}

/// What needs no server, by its path: the page, the catalogue, and what the model page asks of popular models.
///
/// # Errors
/// Never in practice: what is built in is whole.
pub fn exported(catalog: &Catalog) -> Result<Vec<(String, String)>, Diagnostic> {
    let mut out: Vec<(String, String)> = Vec::new();
    for file in files() {
        match file.name {
            // The page finds its files beside it, and knows that nobody answers.
            "index.html" => out.push((
                file.name.to_owned(),
                file.text.replace("=\"/assets/", "=\"assets/").replace("<html ", "<html data-static=\"\" "),
            )),
            name => out.push((format!("assets/{name}"), file.text.to_owned())),
        }
    }
    for (name, kind) in [
        ("gpus", Kind::Gpu),
        ("clusters", Kind::Cluster),
        ("engines", Kind::Engine),
        ("models", Kind::Model),
        ("frameworks", Kind::Framework),
    ] {
        let text = ask::catalog::list(catalog, kind, View::JSON, (None, None), |_| ())?;
        out.push((format!("api/v1/catalog/{name}"), text + "\n"));
    }
    let sealed = catalog.clone().sealed();
    for model in page::POPULAR {
        for mode in ["pretrain", "prefill", "decode"] {
            let request = format!(r#"{{"model": "{model}", "mode": "{mode}"}}"#);
            let text = ask::answer("inspect", &request, &sealed)?;
            out.push((format!("api/v1/inspect/{model}-{mode}.json"), text));
        }
    }
    out.push(("api/v1/openapi.json".to_owned(), format!("{:#}\n", openapi())));
    Ok(out)
}
