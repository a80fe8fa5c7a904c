//! Machines by what their tools print: outputs from public reports, kept to the lines that say something.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{on_a_bare_machine, shardfit};
use shardfit::catalog::{self, Catalog, Cluster};
use shardfit::detect::{Machine, Outputs};

fn machines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/machines")
}

fn local(file: &str) -> String {
    format!("local:{}", machines().join(file).display())
}

fn joined(cluster: &Cluster) -> String {
    let rate = |bandwidth: f64| format!("{:.1}", bandwidth / 1e9).trim_end_matches(".0").to_owned();
    let own = format!("{} {}", cluster.scale_up.kind.name(), rate(cluster.scale_up.bandwidth.get()));
    cluster.bridge.as_ref().map_or(own.clone(), |bridged| {
        let link = &bridged.bridge.link;
        format!("{own} + {} {} x {}", link.kind.name(), rate(link.bandwidth.get()), bridged.bridge.gpus)
    })
}

#[test]
fn thirty_machines_are_what_their_owners_say() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/machines.csv");
    let mut reader = csv::Reader::from_path(table).unwrap();
    let mut count = 0;
    for row in reader.records().map(Result::unwrap) {
        let pools = catalog::pools(&local(&format!("{}.txt", &row[0])))
            .unwrap_or_else(|e| panic!("{}: {e}", &row[0]));
        let each =
            |of: &dyn Fn(&Cluster) -> String| pools.pools.iter().map(of).collect::<Vec<_>>().join(" and ");
        let memory = |c: &Cluster| {
            format!("{:.2}", c.gpu.memory.as_gib()).trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        assert_eq!(each(&|c| format!("{} {}", c.gpus, c.gpu.id)), &row[1], "{}", &row[0]);
        assert_eq!(each(&joined), &row[2], "{}", &row[0]);
        assert_eq!(each(&memory), &row[3], "{}", &row[0]);
        let host =
            pools.pools[0].host.map_or(String::new(), |host| format!("{:.1}", host.bandwidth.get() / 1e9));
        assert_eq!(host, &row[4], "{}", &row[0]);
        count += 1;
    }
    let files = std::fs::read_dir(machines())
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().extension().unwrap() == "txt");
    assert_eq!(count, files.count());
    assert!(count >= 30, "{count}");
}

#[test]
fn a_card_of_another_size_is_planned_with_the_memory_that_it_has() {
    let text = "$ nvidia-smi --query-gpu=name,memory.total --format=csv\nname, memory.total [MiB]\n\
                NVIDIA GeForce RTX 3070, 16384 MiB\n";
    let found = Catalog::built_in().of_machine(&Machine::read(&Outputs::of_text(text)));
    let gpu = &found.groups[0].cluster.gpu;
    // Twice the 8,192 MiB of the card that NVIDIA sells, of which its driver leaves 7.78 GiB.
    assert_eq!(gpu.id, "rtx-3070");
    assert!((gpu.memory.as_gib() - 15.56).abs() < 0.01, "{}", gpu.memory.as_gib());
    assert!(found.notes[0].contains("16.0 GiB where 8.0 are catalogued"), "{:?}", found.notes);
}

#[test]
fn memory_that_macos_was_told_to_lend_and_fewer_cores_count() {
    let said = shardfit(&format!("doctor --from {}", machines().join("m2-max-32.txt").display())).exits(0);
    assert!(said.stdout.contains("30 GPU cores where 38 are catalogued"), "{}", said.stdout);
    let cluster = catalog::cluster(&local("m2-max-32.txt")).unwrap();
    // 13.6 TFLOP/s of 38 cores.
    assert!((cluster.gpu.peak_16bit().unwrap().get() / 1e12 - 13.6 * 30.0 / 38.0).abs() < 1e-6);
    let text = "$ system_profiler SPHardwareDataType\n Chip: Apple M3 Max\n Memory: 64 GB\n\
                $ sysctl hw.memsize iogpu.wired_limit_mb\nhw.memsize: 68719476736\niogpu.wired_limit_mb: 57344\n";
    let found = Catalog::built_in().of_machine(&Machine::read(&Outputs::of_text(text)));
    assert_eq!(found.groups[0].cluster.gpu.memory.as_gib(), 56.0);
}

#[test]
fn a_machine_that_no_entry_describes_names_what_is_missing_and_prints_what_to_complete() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machine.txt");
    std::fs::write(
        &file,
        "$ nvidia-smi --query-gpu=name,memory.total,compute_cap --format=csv\nname, memory.total [MiB], compute_cap\n\
         NVIDIA GeForce RTX 6090, 49152 MiB, 13.0\n",
    )
    .unwrap();
    let file = file.display();
    let said = shardfit(&format!("plan llama-3.1-8b --cluster local:{file}")).exits(2);
    for text in
        ["`NVIDIA GeForce RTX 6090`, 48.0 GiB is in no catalogue", "memory bandwidth and peak are missing"]
    {
        assert!(said.stderr.contains(text), "{text}: {}", said.stderr);
    }
    let said = shardfit(&format!("doctor --from {file}")).exits(0);
    for line in ["id: rtx-6090", "class: gddr-pcie", "bandwidth: … GB/s # datasheet"] {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
}

#[test]
fn what_is_no_output_of_a_tool_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "two cards, I think\n").unwrap();
    let notes = format!("doctor --from {}", file.display());
    for (line, text) in [
        (notes.as_str(), "doctor --save"),
        ("doctor --from nowhere.txt", "nowhere.txt"),
        ("plan llama-3.1-8b --cluster k8s:nowhere.json", "nowhere.json"),
    ] {
        let said = shardfit(line).exits(2);
        assert!(said.stderr.contains(text), "{text}: {}", said.stderr);
    }
}

#[test]
fn a_folder_of_outputs_called_by_their_commands_reads_as_one_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("nvidia-smi-L.txt", "GPU 0: NVIDIA L4 (UUID: GPU-0)\nGPU 1: NVIDIA L4 (UUID: GPU-1)\n");
    put("meminfo.txt", "MemTotal:       65536000 kB\n");
    put("bandwidth.txt", "host memory bandwidth, measured: 61.5 GB/s\n");
    let cluster = catalog::cluster(&format!("local:{}", folder.path().display())).unwrap();
    assert_eq!((cluster.gpus, cluster.gpu.id.as_str()), (2, "l4"));
    let host = cluster.host.unwrap();
    assert_eq!((host.memory.as_gib(), host.bandwidth.get()), (62.5, 61.5e9));
}

#[test]
fn nodes_of_kubernetes_are_pools_by_their_labels_and_capacity() {
    let nodes = machines().join("nodes.json");
    let pools = catalog::pools(&format!("k8s:{}", nodes.display())).unwrap();
    let mut is: Vec<String> =
        pools.pools.iter().map(|p| format!("{} x {} {}", p.nodes, p.gpus_per_node, p.gpu.id)).collect();
    is.sort();
    assert_eq!(
        is,
        [
            "1 x 2 a100-pcie-40gb-mig-2g.10gb",
            "1 x 4 a100-pcie-40gb-mig-1g.5gb",
            "1 x 8 h200-sxm",
            "1 x 8 mi300x",
            "2 x 8 h100-sxm",
        ]
    );
    // The instance's own price, not the GPU's.
    let instance = catalog::cluster("p5en.48xlarge").unwrap();
    let h200 = pools.pools.iter().find(|p| p.gpu.id == "h200-sxm").unwrap();
    assert_eq!(h200.price, instance.price);
    let found = Catalog::built_in().detected(&format!("k8s:{}", nodes.display())).unwrap().unwrap();
    assert!(found.notes.iter().any(|note| note == "gpu-c is cordoned"), "{:?}", found.notes);
}

#[test]
fn nodes_may_be_piped_in() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardfit"));
    on_a_bare_machine(&mut command);
    let nodes = r#"{"items": [{"kind": "Node", "metadata": {"name": "n", "labels": {"nvidia.com/gpu.product": "NVIDIA-L4"}},
        "status": {"allocatable": {"nvidia.com/gpu": "4"}}}]}"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nodes.json");
    std::fs::write(&file, nodes).unwrap();
    let piped = std::fs::File::open(&file).unwrap();
    let words = ["plan", "llama-3.1-8b", "--cluster", "k8s", "--json"];
    let output = command.args(words).stdin(piped).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("note: k8s is 4 × NVIDIA L4"), "{said}");
    // Nothing is piped in.
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardfit"));
    let output = command.args(words).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("kubectl get nodes -o json"));
}

#[test]
fn a_server_asks_no_tool_of_its_machine() {
    let sealed = Catalog::built_in().sealed();
    for name in ["local", "k8s", "local:/etc", "k8s:nodes.json"] {
        let said = sealed.pools(name).unwrap_err().to_string();
        assert!(said.contains("is not asked for here"), "{name}: {said}");
    }
}

#[test]
fn any_command_takes_the_machine_that_is_described_and_says_what_it_is() {
    let said = shardfit(&format!("plan llama-3.1-8b --cluster {}", local("2x3090-nvlink.txt"))).exits(0);
    assert!(said.stderr.contains("2 × NVIDIA GeForce RTX 3090 24 GB"), "{}", said.stderr);
    shardfit(&format!("estimate llama-3.1-8b --cluster {}", local("m3-max-36.txt"))).exits(0);
}

#[cfg(unix)]
#[test]
fn a_tool_that_hangs_is_left_after_a_few_seconds_and_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("nvidia-smi");
    // The grandchild holds the pipe open after its parent is gone.
    std::fs::write(&tool, "#!/bin/sh\n/bin/sleep 40\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardfit"));
    on_a_bare_machine(&mut command);
    let began = Instant::now();
    let output = command.args(["doctor", "--json"]).env("PATH", folder.path()).output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("`nvidia-smi` did not answer within 6 s"), "{said}");
}

#[test]
fn what_is_saved_has_no_serial_numbers_and_reads_as_the_machine_does() {
    let text = "$ nvidia-smi -L\nGPU 0: NVIDIA L4 (UUID: GPU-1234)\n$ system_profiler SPHardwareDataType SPDisplaysDataType\n\
                Serial Number (system): ABC\nHardware UUID: X\nChip: none\n";
    let outputs = Outputs::of_text(text);
    let saved = outputs.transcript();
    assert!(!saved.contains("1234") && !saved.contains("ABC") && !saved.contains("UUID"), "{saved}");
    assert_eq!(Machine::read(&Outputs::of_text(&saved)), Machine::read(&outputs));
}
