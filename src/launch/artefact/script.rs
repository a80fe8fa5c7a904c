//! The engine's own commands as shell text, and a batch script that runs them.

use super::super::line::{Line, here_document};
use super::super::platform::Platform;
use super::super::release::{Member, Node, Rank, Release};
use super::super::server::Pool;
use super::parts::File;
use super::router::{Address, BOOTSTRAP, Router, SIDE_CHANNEL, Seats};
use crate::diagnostic::Diagnostic;

/// One script: every server's command. Servers of one node are given their GPUs and ports; those of other nodes are
/// started there by the same lines.
pub(super) fn command(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let mut text = String::from("#!/bin/sh\n") + &release.comments();
    // Servers of both pools stand side by side where a node holds them all.
    let together = release.fits_a_node();
    let mut seats = Seats::of(release);
    let (mut prefill, mut decode): (Vec<Address>, Vec<Address>) = (Vec::new(), Vec::new());
    let mut started = 0;
    let several = release.members.iter().map(|m| u64::from(m.copies)).sum::<u64>() > 1 || release.is_split();
    if release.is_split() && !together && release.members[0].server.engine == "vllm" {
        // By which servers on other hosts find the side channel of this one.
        text += &format!("\nexport {SIDE_CHANNEL_HOST}={OWN_ADDRESS}\n");
    }
    for member in &release.members {
        let nodes = member.nodes(release.gpus_per_node);
        let line = member.line()?;
        let addresses = match member.server.pool {
            Some(Pool::Prefill) => &mut prefill,
            _ => &mut decode,
        };
        if let Some((name, keys)) = &line.options {
            text += &format!("\n{}", here_document(name, keys)?);
        }
        if nodes > 1 {
            text += &over_nodes(release, member, nodes)?;
            for copy in 0..member.copies {
                let host = variable(member, copy);
                addresses.push(Address { at: format!("{host}:{}", member.port()), bootstrap: BOOTSTRAP });
            }
            continue;
        }
        let on_node = (release.gpus_per_node / member.gpus.max(1)).max(1).min(member.copies.into());
        let whole = release.beside.gpus == 0
            && release.cards.is_empty()
            && (member.gpus == release.gpus_per_node || release.gpus() == member.gpus);
        let spread = u64::from(member.copies) > on_node;
        if spread {
            text += &format!("\n# {} {} in all: these lines on each node\n", member.copies, servers(member));
        } else if !together {
            text += &format!("\n# {} {}: on a node of this pool\n", member.copies, servers(member));
        }
        let before = seats.clone();
        for copy in 0..member.copies {
            if u64::from(copy) % on_node == 0 && copy > 0 {
                seats = before.clone();
            }
            let seat = seats.take(member);
            let host = match together {
                true => "127.0.0.1".to_owned(),
                false => variable(member, (u64::from(copy) / on_node) as u32),
            };
            addresses.push(Address { at: format!("{host}:{}", seat.port), bootstrap: seat.bootstrap });
            // The lines of a node stand once.
            if u64::from(copy) >= on_node {
                continue;
            }
            let mut one = line.clone();
            if let Some(name) = Platform::of(&release.vendor).visible.filter(|_| !whole) {
                one.variables.push((name.into(), seat.shown(release)));
            }
            one.variables
                .extend(seat.variables(member).into_iter().map(|(name, value)| (name.into(), value)));
            for (flag, value) in seat.flags(member) {
                one.set(flag, value)?;
            }
            if !together || spread {
                // Who asks is on another host, and engines but vLLM listen to their own alone.
                one.set("--host", "0.0.0.0")?;
            }
            one.set("--port", seat.port)?;
            started += 1;
            let end = if several { " &\n" } else { "\n" };
            text += &format!("\n{}{end}", one.shell().trim_end());
        }
        if !together {
            seats = Seats::of(release);
        }
    }
    if let Some(port) = seats.router() {
        let engine = release.members[0].server.engine.as_str();
        let router = Router::of(engine, &prefill, &decode, port);
        text += "\n# the router: requests go to it";
        if let Some(package) = router.package {
            text += &format!(" (pip install {package})");
        }
        if !together {
            text += ", on any host; each variable is the address of a node of that pool";
        }
        text.push('\n');
        if let Some((name, keys)) = &router.options {
            text += open_document(name, keys)?.trim_start();
        }
        text += &format!("{} &\n", router.shell());
        started += 1;
    }
    if several && started > 0 {
        text += "\nwait\n";
    }
    Ok(vec![File { name: "serve.sh".into(), text }])
}

/// The variable of vLLM's side channel, and this host's own address in a shell.
const SIDE_CHANNEL_HOST: &str = "VLLM_NIXL_SIDE_CHANNEL_HOST";
const OWN_ADDRESS: &str = "$(hostname -i | cut -d' ' -f1)";

/// The variable that holds the address of a node of a pool.
fn variable(member: &Member, node: u32) -> String {
    format!("${}_{node}", member.role().to_ascii_uppercase())
}

/// The commands of servers that each span nodes.
fn over_nodes(release: &Release, member: &Member, nodes: u64) -> Result<String, Diagnostic> {
    let per_node = release.gpus_per_node;
    let count = format!("\n# {} {}", member.copies, servers(member));
    if member.server.engine == "trtllm" {
        // One MPI world of all ranks, started from one node (docs of `trtllm-serve`).
        let node = Node { rank: Rank::Is(0), nodes, address: "" };
        let mut line = member.line_of_node(node, per_node)?;
        line.set("--host", "0.0.0.0")?;
        let shell = line.shell();
        let (variables, command) = shell.split_at(shell.find("trtllm-llmapi-launch").unwrap_or(0));
        return Ok(count
            + &format!(
                ", each one MPI world over {nodes} nodes: run it on the first, in a folder that all of them see; HOSTFILE \
                 names a file with a line `ADDRESS slots={per_node}` for each node\n"
            )
            + &format!(
                "{variables}mpirun -np {} --hostfile \"$HOSTFILE\" --map-by ppr:{per_node}:node -x HF_TOKEN \\\n  {command}",
                member.gpus
            ));
    }
    let mut text = count
        + &format!(": one command on each of its {nodes} nodes; HEAD is the address of its first node\n");
    for rank in 0..nodes {
        let node = Node { rank: Rank::Is(rank), nodes, address: "$HEAD" };
        let mut line = member.line_of_node(node, per_node)?;
        if rank == 0 {
            line.set("--host", "0.0.0.0")?;
        }
        text += &format!("\n# node {rank}\n{}", open(&line.shell()));
    }
    Ok(text)
}

fn servers(member: &Member) -> String {
    let role = member.role();
    match (role, member.copies) {
        ("server", 1) => "server".into(),
        ("server", _) => "servers".into(),
        (_, 1) => format!("{role} server"),
        _ => format!("{role} servers"),
    }
}

/// Variables that the script's reader sets stay open: `'$HEAD'` was quoted as a whole word.
fn open(shell: &str) -> String {
    shell.replace("'$HEAD'", "\"$HEAD\"").replace("'$HEAD:20000'", "\"$HEAD:20000\"")
}

/// A file in which the script puts variables in.
fn open_document(
    name: &str,
    keys: &serde_json::Map<String, serde_json::Value>,
) -> Result<String, Diagnostic> {
    Ok(format!("\n{}", here_document(name, keys)?.replacen("<<'EOF'", "<<EOF", 1)))
}

/// CPU cores and GiB of memory of the host that a server is given for each GPU, where it shares a node.
const CORES: u64 = 6;
const HOST_GIB: u64 = 64;

/// A batch script of Slurm: one server a job step, its nodes and GPUs asked for.
pub(super) fn slurm(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let per_node = release.gpus_per_node.max(1);
    // Elements of an array may share a node, so that each server has a port of its own.
    let mut before = u64::from(release.is_split()) + release.beside.servers;
    let mut gpus_before = release.beside.gpus;
    let mut addresses: [Vec<Address>; 2] = Default::default();
    let mut files = release
        .members
        .iter()
        .map(|member| {
            let first = before;
            before += u64::from(member.copies);
            let first_gpu = gpus_before;
            gpus_before += u64::from(member.copies) * member.gpus;
            let port = u64::from(member.port()) + first;
            let pool = usize::from(member.server.pool != Some(Pool::Prefill));
            for copy in 0..member.copies {
                let host = variable(member, copy);
                addresses[pool].push(Address {
                    at: format!("{host}:{}", port + u64::from(copy)),
                    bootstrap: BOOTSTRAP + first + u64::from(copy),
                });
            }
            let nodes = member.nodes(per_node);
            let gpus = member.gpus.min(per_node);
            let name = format!("{}-{}", release.name(), member.role());
            let mut text = String::from("#!/bin/bash\n");
            // Every rank of an MPI world is a task; other engines start their own.
            let tasks = if member.server.engine == "trtllm" && nodes > 1 { gpus } else { 1 };
            text += &format!(
                "#SBATCH --job-name={name}\n#SBATCH --nodes={nodes}\n#SBATCH --ntasks-per-node={tasks}\n"
            );
            text += &format!("#SBATCH --gpus-per-node={gpus}\n");
            // A task is given one core and its part of the memory unless it is told.
            text += &match gpus == per_node {
                true => "#SBATCH --exclusive\n#SBATCH --mem=0\n".to_owned(),
                false => format!(
                    "#SBATCH --cpus-per-task={}\n#SBATCH --mem={}G\n",
                    CORES * gpus / tasks,
                    HOST_GIB * gpus
                ),
            };
            text += "#SBATCH --output=%x-%A-%a.log\n";
            if member.copies > 1 {
                // Each element of the array is one server.
                text += &format!("#SBATCH --array=0-{}\n", member.copies - 1);
            }
            text += &release.comments_of(std::slice::from_ref(member));
            let line = member.line()?;
            if let Some((name, keys)) = &line.options {
                text += &format!("\n{}", here_document(name, keys)?);
            }
            text += "\nset -eu\n";
            let numbered = |base: u64, step: u64| match (member.copies, step) {
                (1, _) => base.to_string(),
                (_, 1) => format!("$(({base} + SLURM_ARRAY_TASK_ID))"),
                _ => format!("$(({base} + {step} * SLURM_ARRAY_TASK_ID))"),
            };
            text += &format!("PORT={}\n", numbered(port, 1));
            let mut more = "--host 0.0.0.0 --port \"$PORT\"".to_owned();
            match (member.server.engine.as_str(), member.server.pool) {
                ("vllm", Some(_)) => {
                    let channel = numbered(SIDE_CHANNEL + first_gpu, member.gpus);
                    if nodes == 1 {
                        text += &format!("export {SIDE_CHANNEL_HOST}={OWN_ADDRESS}\n");
                    }
                    text += &format!("export VLLM_NIXL_SIDE_CHANNEL_PORT={channel}\n");
                }
                ("sglang", Some(Pool::Prefill)) => {
                    text += &format!("BOOTSTRAP={}\n", numbered(BOOTSTRAP + first, 1));
                    more += " --disaggregation-bootstrap-port \"$BOOTSTRAP\"";
                }
                _ => {}
            }
            if nodes > 1 {
                if member.server.engine != "trtllm" {
                    text +=
                        "HEAD=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n 1)\nexport HEAD\n";
                }
                text += &several(member, nodes, per_node, &more)?;
            } else {
                // A step inherits no number of cores from its job (Slurm from 22.05 on).
                let cores = match gpus == per_node {
                    true => "--cpu-bind=none".to_owned(),
                    false => format!("--cpus-per-task={}", CORES * gpus),
                };
                text += &format!("srun {cores} {} \\\n  {more}\n", variables_first(&line).trim_end());
            }
            Ok(File { name: format!("{}.sbatch", member.role()), text })
        })
        .collect::<Result<Vec<_>, Diagnostic>>()?;
    if release.is_split() {
        files.push(router_script(release, &addresses)?);
    }
    Ok(files)
}

/// The router beside jobs whose nodes are known when they run.
fn router_script(release: &Release, [prefill, decode]: &[Vec<Address>; 2]) -> Result<File, Diagnostic> {
    let member = &release.members[0];
    let router = Router::of(&member.server.engine, prefill, decode, member.port().into());
    let mut text = String::from("#!/bin/sh\n# the router: requests go to it");
    if let Some(package) = router.package {
        text += &format!(" (pip install {package})");
    }
    text += "; each variable is the node of one server, which `squeue` tells when it runs\n";
    if let Some((name, keys)) = &router.options {
        text += open_document(name, keys)?.trim_start();
    }
    text += &format!("exec {}\n", router.shell());
    Ok(File { name: "router.sh".into(), text })
}

/// A command behind another one: its variables are set by `env`.
fn variables_first(line: &Line) -> String {
    match line.variables.is_empty() {
        true => line.shell(),
        false => format!("env {}", line.shell()),
    }
}

fn several(member: &Member, nodes: u64, per_node: u64, more: &str) -> Result<String, Diagnostic> {
    let first = Node { rank: Rank::Is(0), nodes, address: "$HEAD" };
    if member.server.engine == "trtllm" {
        let line = member.line_of_node(first, per_node)?;
        let step =
            format!("srun --mpi=pmix --ntasks={} --ntasks-per-node={per_node} --cpu-bind=none", member.gpus);
        return Ok(format!("{step} {} \\\n  {more}\n", variables_first(&line).trim_end()));
    }
    let mut out = String::new();
    let shell = |line: &Line| open(variables_first(line).trim_end());
    // The ranks of each node have a side channel at its own address: this script runs on the first alone.
    let apart = member.server.engine == "vllm" && member.server.pool.is_some();
    for rank in (0..nodes).filter(|_| apart) {
        out += &format!(
            "ADDRESS_{rank}=$(srun --nodes=1 --ntasks=1 --relative={rank} hostname -i | cut -d' ' -f1)\n"
        );
    }
    for rank in 0..nodes {
        let node = Node { rank: Rank::Is(rank), ..first };
        let line = member.line_of_node(node, per_node)?;
        let own = match apart {
            true => format!("env {SIDE_CHANNEL_HOST}=\"$ADDRESS_{rank}\" "),
            false => String::new(),
        };
        let step =
            format!("srun --nodes=1 --ntasks=1 --relative={rank} --cpu-bind=none {own}{}", shell(&line));
        out += &step;
        if rank == 0 {
            out += &format!(" \\\n  {more}");
        }
        out += " &\n";
    }
    Ok(out + "wait\n")
}
