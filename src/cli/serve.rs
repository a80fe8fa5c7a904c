//! `shardfit serve`: the page and the API over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::serve::{self, Bounds, Server};

use super::outcome::Outcome;
use super::talk;

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  shardfit serve\n  shardfit serve --port 0\n  \
    shardfit serve --host 0.0.0.0 --port 8080\n  shardfit serve --export site/\n\n\
    POST /api/v1/plan takes the options of `plan` with underscores and answers with its --format json; \
    /api/v1/openapi.json describes the rest.")]
pub struct ServeArgs {
    /// Address to listen at; any other than this machine's own lets others ask
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// Port to listen at; 0 takes one that is free
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// Write the page, the catalogue and the API's description to DIR instead of serving them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    export: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ServeArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    if let Some(folder) = &args.export {
        return export(folder, catalog);
    }
    let host = match args.host.as_str() {
        "localhost" => "127.0.0.1",
        other => other.trim_matches(['[', ']']),
    };
    let address: IpAddr = host.parse().map_err(|_| {
        Diagnostic::new(Code::Usage, format!("`{}` is no address", crate::diagnostic::brief(&args.host)))
            .at("--host")
            .help("an IP address of this machine, 127.0.0.1 for this machine alone, 0.0.0.0 for all that reach it")
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let server =
        Server::bind(SocketAddr::new(address, args.port), catalog.clone(), Bounds::for_cores(cores))?;
    talk::say(&format!("shardfit answers at http://{}/ (Ctrl-C ends it)", server.address()?));
    if !address.is_loopback() {
        talk::say(
            "note: everyone who reaches this address may ask: estimates and the catalogue, yours included, without a \
             password and unencrypted; put a proxy before it that asks who they are",
        );
    }
    server.run()?;
    Ok(Outcome::Found)
}

/// Writes what needs no server: the page, the catalogue, the API's description.
fn export(folder: &std::path::Path, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    load::make_folder(folder)?;
    let files = serve::exported(catalog)?;
    for (name, text) in &files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            load::make_folder(parent)?;
        }
        load::write_whole(&path, text.as_bytes())?;
    }
    talk::say(&format!("wrote {} files to {}", files.len(), folder.display()));
    Ok(Outcome::Found)
}
