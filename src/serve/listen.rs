//! Connections: so many at once, and none that dawdles over its headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::state::Shared;

/// Serves every connection until the process ends.
pub async fn accept(listener: TcpListener, router: Router, site: Shared) {
    let open = Arc::new(Semaphore::new(site.bounds.connections));
    loop {
        let Ok(room) = open.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others close in the meantime.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (service, reading) = (TowerToHyperService::new(router.clone()), site.bounds.reading);
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(reading).max_buf_size(64 << 10);
            // A connection that breaks is the business of who broke it.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(room);
        });
    }
}
