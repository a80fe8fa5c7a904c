//! Where the servers of a node stand, and what joins split pools: the router of each engine.

use serde_json::{Map, Value, json};

use super::super::line::open;
use super::super::platform::Platform;
use super::super::release::{Member, Release};
use super::super::server::Pool;

/// The first port of the side channel over which vLLM's servers agree on a transfer (`VLLM_NIXL_SIDE_CHANNEL_PORT` in
/// `vllm/envs.py`); each rank of a server has one of its own.
pub(super) const SIDE_CHANNEL: u64 = 5600;

/// The port by which SGLang's prefill servers are found (`--disaggregation-bootstrap-port` in `server_args.py`).
pub(super) const BOOTSTRAP: u64 = 8998;

/// What one server of a node has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Its port.
    pub port: u64,
    /// The first of its GPUs.
    pub first_gpu: u64,
    /// Its GPUs.
    pub gpus: u64,
    /// By which decode servers find it, if it computes prompts under SGLang.
    pub bootstrap: u64,
}

impl Seat {
    /// The numbers of its GPUs; of cards of several kinds those of each kind, one server's after another's.
    pub fn cards(&self, release: &Release) -> Vec<String> {
        if release.cards.is_empty() {
            return (self.first_gpu..self.first_gpu + self.gpus).map(|n| n.to_string()).collect();
        }
        let server = self.first_gpu / self.gpus.max(1);
        let of = |(first, each): &(u64, u64)| first + server * each..first + (server + 1) * each;
        release.cards.iter().flat_map(of).map(|n| n.to_string()).collect()
    }

    /// Its GPUs as NVIDIA's container runtime names them: cards by number, slices as those of the first card.
    pub fn devices(&self, release: &Release) -> Vec<String> {
        let of_slice = |n: String| if release.slice.is_some() { format!("0:{n}") } else { n };
        self.cards(release).into_iter().map(of_slice).collect()
    }

    /// Its GPUs as the variable of their platform lists them.
    pub fn shown(&self, release: &Release) -> String {
        match release.cards.is_empty() {
            true => Platform::of(&release.vendor).shown(&release.gpu, self.first_gpu, self.gpus),
            false => self.cards(release).join(","),
        }
    }

    /// Flags that servers of split pools on one host need to be told apart.
    pub fn flags(&self, member: &Member) -> Vec<(&'static str, String)> {
        match (member.server.engine.as_str(), member.server.pool) {
            ("sglang", Some(Pool::Prefill)) => {
                vec![("--disaggregation-bootstrap-port", self.bootstrap.to_string())]
            }
            _ => Vec::new(),
        }
    }

    /// Variables that they need to be told apart.
    pub fn variables(&self, member: &Member) -> Vec<(&'static str, String)> {
        match (member.server.engine.as_str(), member.server.pool) {
            ("vllm", Some(_)) => {
                vec![("VLLM_NIXL_SIDE_CHANNEL_PORT", (SIDE_CHANNEL + self.first_gpu).to_string())]
            }
            _ => Vec::new(),
        }
    }
}

/// Deals out ports and GPUs of one node.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    next_port: u64,
    next_gpu: u64,
    next_bootstrap: u64,
    router: Option<u64>,
}

impl Seats {
    /// Those of a node on which nothing but other parts of the deployment stands. A router has the engine's usual port.
    pub fn of(release: &Release) -> Seats {
        let usual = release.members.first().map_or(8000, |m| u64::from(m.port())) + release.beside.servers;
        let router = release.is_split().then_some(usual);
        Seats {
            next_port: usual + u64::from(router.is_some()),
            next_gpu: release.beside.gpus,
            next_bootstrap: BOOTSTRAP + release.beside.servers,
            router,
        }
    }

    /// The router's port, where there is one.
    pub fn router(&self) -> Option<u64> {
        self.router
    }

    /// The next server.
    pub fn take(&mut self, member: &Member) -> Seat {
        let seat = Seat {
            port: self.next_port,
            first_gpu: self.next_gpu,
            gpus: member.gpus,
            bootstrap: self.next_bootstrap,
        };
        self.next_port += 1;
        self.next_gpu += member.gpus;
        self.next_bootstrap += 1;
        seat
    }
}

/// A server as its router finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Host and port.
    pub at: String,
    /// By which a decode server finds it, under SGLang.
    pub bootstrap: u64,
}

/// What joins the pools.
#[derive(Clone, Debug)]
pub(super) struct Router {
    /// Its command, as words in which a shell puts variables in.
    pub words: Vec<String>,
    /// The file that the command names.
    pub options: Option<(String, Map<String, Value>)>,
    /// The Python package that has it, where the engine does not bring it.
    pub package: Option<&'static str>,
}

/// The file of TensorRT-LLM's router.
const ROUTER_FILE: &str = "trtllm-router.yaml";

impl Router {
    /// The router of an engine between its prefill and decode servers.
    ///
    /// Sources: `docs/model-routing/pd-disaggregation.md` of vLLM's router; `advanced_features/pd_disaggregation` of
    /// SGLang's docs; `examples/disaggregated` of TensorRT-LLM.
    pub fn of(engine: &str, prefill: &[Address], decode: &[Address], port: u64) -> Router {
        let mut words: Vec<String> = Vec::new();
        let mut say = |all: &[&str]| words.extend(all.iter().map(|word| (*word).to_owned()));
        let url = |address: &Address| format!("http://{}", address.at);
        match engine {
            "trtllm" => {
                let pool = |servers: &[Address]| {
                    let urls: Vec<&str> = servers.iter().map(|a| a.at.as_str()).collect();
                    json!({ "num_instances": servers.len(), "urls": urls })
                };
                say(&["trtllm-serve", "disaggregated", "-c", ROUTER_FILE]);
                let keys = [
                    ("hostname", json!("0.0.0.0")),
                    ("port", json!(port)),
                    ("backend", json!("pytorch")),
                    ("context_servers", pool(prefill)),
                    ("generation_servers", pool(decode)),
                ];
                let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                return Router { words, options: Some((ROUTER_FILE.into(), keys)), package: None };
            }
            "sglang" => {
                say(&["python3", "-m", "sglang_router.launch_router", "--pd-disaggregation"]);
                for server in prefill {
                    say(&["--prefill", &url(server), &server.bootstrap.to_string()]);
                }
            }
            _ => {
                say(&["vllm-router", "--vllm-pd-disaggregation"]);
                for server in prefill {
                    say(&["--prefill", &url(server)]);
                }
            }
        }
        for server in decode {
            say(&["--decode", &url(server)]);
        }
        say(&["--host", "0.0.0.0", "--port", &port.to_string()]);
        let package = if engine == "sglang" { "sglang-router" } else { "vllm-router" };
        Router { words, options: None, package: Some(package) }
    }

    /// Its command as shell text, one server a line.
    pub fn shell(&self) -> String {
        let mut out = String::new();
        for word in &self.words {
            match word.starts_with("--") {
                true => out += " \\\n  ",
                false if out.is_empty() => {}
                false => out.push(' '),
            }
            out += &open(word);
        }
        out
    }

    /// Its command with what installs it, for a container whose image may lack it.
    pub fn installed(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| open(word)).collect();
        match self.package {
            Some(package) => {
                format!("pip install --no-cache-dir {package} && exec {}", words.join(" "))
            }
            None => format!("exec {}", words.join(" ")),
        }
    }
}
