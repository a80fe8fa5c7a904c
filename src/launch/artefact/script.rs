//! The engine's own commands as shell text, and a batch script that runs them.

use super::super::line::{Line, quoted};
use super::super::release::{Member, Node, Rank, Release};
use super::parts::File;
use crate::diagnostic::Diagnostic;
use crate::load;

/// One script: every server's command. Servers of one node are given their GPUs and ports; those of other nodes are
/// started there by the same lines.
pub(super) fn command(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let mut text = String::from("#!/bin/sh\n") + &release.comments();
    let mut files = Vec::new();
    // Servers of both pools stand side by side where a node holds them all.
    let together = release.fits_a_node();
    let (mut next_gpu, mut next_port) = (0, None);
    for member in &release.members {
        let nodes = member.nodes(release.gpus_per_node);
        let line = member.line()?;
        if let Some((name, keys)) = &line.options {
            text += &here_document(name, keys)?;
        }
        if nodes > 1 {
            text += &format!(
                "\n# {} {}: one command on each of its {nodes} nodes",
                member.copies,
                servers(member)
            );
            text += "; HEAD is the address of its first node\n";
            for rank in 0..nodes {
                let node = Node { rank: Rank::Is(rank), nodes, address: "$HEAD" };
                let line = member.line_of_node(node, release.gpus_per_node)?;
                text += &format!("\n# node {rank}\n{}", open(&line.shell()));
            }
            continue;
        }
        let on_node = (release.gpus_per_node / member.gpus.max(1)).max(1).min(member.copies.into());
        let whole = member.gpus == release.gpus_per_node || release.gpus() == member.gpus;
        if u64::from(member.copies) > on_node {
            text += &format!("\n# {} {} in all: these lines on each node\n", member.copies, servers(member));
        }
        for copy in 0..on_node {
            let mut one = line.clone();
            let port = *next_port.get_or_insert(u64::from(member.port()));
            next_port = Some(port + 1);
            let first = next_gpu;
            next_gpu += member.gpus;
            if !whole {
                let cards: Vec<String> = (first..first + member.gpus).map(|n| n.to_string()).collect();
                let variable =
                    if release.vendor == "amd" { "HIP_VISIBLE_DEVICES" } else { "CUDA_VISIBLE_DEVICES" };
                one.variables.push((variable.into(), cards.join(",")));
            }
            one.set("--port", port)?;
            let end = if copy + 1 < on_node || release.members.len() > 1 { " &\n" } else { "\n" };
            text += &format!("\n{}{end}", one.shell().trim_end());
        }
        if !together {
            (next_gpu, next_port) = (0, None);
        }
    }
    files.insert(0, File { name: "serve.sh".into(), text });
    Ok(files)
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

fn here_document(
    name: &str,
    keys: &serde_json::Map<String, serde_json::Value>,
) -> Result<String, Diagnostic> {
    let body = load::to_yaml(&serde_json::Value::Object(keys.clone()))?;
    Ok(format!("\ncat > {} <<'EOF'\n{}\nEOF\n", quoted(name), body.trim_end()))
}

/// A batch script of Slurm: one server a job step, its nodes and GPUs asked for.
pub(super) fn slurm(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let per_node = release.gpus_per_node.max(1);
    release
        .members
        .iter()
        .map(|member| {
            let nodes = member.nodes(per_node);
            let gpus = member.gpus.min(per_node);
            let name = format!("{}-{}", release.name(), member.role());
            let mut text = String::from("#!/bin/bash\n");
            text +=
                &format!("#SBATCH --job-name={name}\n#SBATCH --nodes={nodes}\n#SBATCH --ntasks-per-node=1\n");
            text += &format!("#SBATCH --gpus-per-node={gpus}\n#SBATCH --output=%x-%A-%a.log\n");
            if member.copies > 1 {
                // Each element of the array is one server.
                text += &format!("#SBATCH --array=0-{}\n", member.copies - 1);
            }
            text += &release.comments_of(std::slice::from_ref(member));
            let line = member.line()?;
            if let Some((name, keys)) = &line.options {
                text += &here_document(name, keys)?;
            }
            text += "\nset -eu\n";
            if nodes > 1 {
                text += "HEAD=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n 1)\nexport HEAD\n";
                text += &several(member, nodes, per_node)?;
            } else {
                let mut line = line;
                line.set("--host", "0.0.0.0")?;
                line.set("--port", member.port())?;
                text += &format!("srun {}", line.shell());
            }
            Ok(File { name: format!("{}.sbatch", member.role()), text })
        })
        .collect()
}

fn several(member: &Member, nodes: u64, per_node: u64) -> Result<String, Diagnostic> {
    let first = Node { rank: Rank::Is(0), nodes, address: "$HEAD" };
    if member.server.engine == "trtllm" {
        let line = member.line_of_node(first, per_node)?;
        return Ok(format!("srun --mpi=pmix --ntasks-per-node={per_node} {}", open(&line.shell())));
    }
    let mut out = String::new();
    let shell = |line: &Line| open(line.shell().trim_end());
    for rank in 0..nodes {
        let node = Node { rank: Rank::Is(rank), ..first };
        let line = member.line_of_node(node, per_node)?;
        let step = format!("srun --nodes=1 --ntasks=1 --relative={rank} {}", shell(&line));
        out += &step;
        out += " &\n";
    }
    Ok(out + "wait\n")
}
