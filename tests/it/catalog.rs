//! Every built-in description parses, makes sense, and leads to an answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common;
use shardfit::catalog::kernels::GpuClass;
use shardfit::catalog::{self, ClusterFile, Engine, Framework, Gpu, Kind, entries};
use shardfit::dtype::DType;
use shardfit::load;
use shardfit::model::{self, Scope};
use shardfit::rank::Objective;
use shardfit::search::Question;
use shardfit::workload::Workload;

fn gpus() -> Vec<Gpu> {
    entries(Kind::Gpu).iter().map(|e| catalog::gpu(e.id).unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads each file of a folder as YAML and hands it over with its stem and the embedded JSON.
fn each_file<T: serde::de::DeserializeOwned>(folder: &str, kind: Kind, check: impl Fn(&str, T, T)) {
    let files = yaml_files(folder);
    // Boards and slices of a GPU are entries of its file.
    let is_own = |e: &&catalog::BuiltIn| {
        let file: serde_json::Value = serde_json::from_str(e.json).unwrap();
        file["id"] == e.id
    };
    assert_eq!(files.len(), entries(kind).iter().filter(is_own).count(), "{folder}");
    for path in files {
        let name = path.display().to_string();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let from_yaml: T =
            load::yaml(&fs::read_to_string(&path).unwrap(), &name).unwrap_or_else(|e| panic!("{e}"));
        let entry = entries(kind).iter().find(|e| e.id == stem).unwrap_or_else(|| panic!("no {stem}"));
        let embedded: T = load::json(entry.json, stem).unwrap_or_else(|e| panic!("{e}"));
        check(stem, from_yaml, embedded);
    }
}

#[test]
fn every_file_reads_as_yaml_to_what_is_embedded_and_bears_its_identifier() {
    each_file("hardware/gpus", Kind::Gpu, |stem, file: Gpu, embedded| {
        assert_eq!(file, embedded);
        assert_eq!(file.id, stem);
        file.validate().unwrap_or_else(|e| panic!("{e}"));
    });
    each_file("hardware/clusters", Kind::Cluster, |stem, file: ClusterFile, embedded| {
        assert_eq!(file, embedded);
        assert_eq!(file.id, stem);
        catalog::pools(stem).unwrap_or_else(|e| panic!("{e}"));
    });
    each_file("fits/classes", Kind::GpuClass, |stem, file: GpuClass, embedded| {
        assert_eq!(file, embedded);
        assert_eq!(file.id, stem);
        file.kernels.validate().unwrap_or_else(|e| panic!("{stem}: {e}"));
    });
    each_file("engines", Kind::Engine, |stem, file: Engine, embedded| {
        assert_eq!(file, embedded);
        assert_eq!(file.id, stem);
        file.validate().unwrap_or_else(|e| panic!("{e}"));
    });
    each_file("frameworks", Kind::Framework, |stem, file: Framework, embedded| {
        assert_eq!(file, embedded);
        assert_eq!(file.id, stem);
        file.validate().unwrap_or_else(|e| panic!("{e}"));
    });
}

#[test]
fn every_model_reads_and_counts() {
    for entry in entries(Kind::Model) {
        for scope in [Scope::Full, Scope::Text] {
            let model = model::find(entry.id, &[], scope).unwrap_or_else(|e| panic!("{}: {e}", entry.id));
            // What no family knows is read by the general rules and says so.
            assert!(model.recognised || !model.notes.is_empty(), "{}", entry.id);
            assert!(model.parameters().unwrap().total > 0, "{}", entry.id);
        }
    }
}

#[test]
fn a_name_means_one_thing() {
    for kinds in [
        &[Kind::Gpu, Kind::Cluster][..],
        &[Kind::Engine],
        &[Kind::Model],
        &[Kind::Framework],
        &[Kind::GpuClass],
    ] {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for entry in kinds.iter().flat_map(|kind| entries(*kind)) {
            for name in std::iter::once(&entry.id).chain(entry.aliases) {
                let other = seen.insert(name.to_ascii_lowercase(), entry.id);
                assert_eq!(other, None, "`{name}` names {} too", entry.id);
            }
        }
    }
}

#[test]
fn every_alias_finds_its_entry() {
    for kind in [Kind::Gpu, Kind::Cluster, Kind::Engine, Kind::Framework, Kind::Model] {
        for entry in entries(kind) {
            for alias in entry.aliases {
                assert_eq!(catalog::find(kind, &alias.to_uppercase()).unwrap().id(), entry.id);
            }
        }
    }
}

#[test]
fn every_gpu_has_sources_and_positive_figures() {
    for gpu in gpus() {
        let id = &gpu.id;
        assert!(!gpu.sources.is_empty(), "{id}");
        assert!(gpu.bandwidth.get() > 0.0 && gpu.memory.get() > 0 && gpu.cache.get() > 0, "{id}");
        assert!(gpu.tdp.get() > 0.0 && gpu.idle_power.get() > 0.0, "{id}");
        assert!(gpu.idle_power.get() <= gpu.tdp.get(), "{id}");
        assert!(gpu.peak.values().all(|p| p.get() > 0.0), "{id}");
        assert!(gpu.scale_up.latency.get() > 0.0 && gpu.scale_out.latency.get() > 0.0, "{id}");
        assert!(gpu.price.as_ref().is_none_or(|p| p.on_demand.get() > 0.0 && !p.source.is_empty()), "{id}");
        assert!(gpu.stand_ins.small.is_some(), "{id}: its class states no small kernels");
    }
}

#[test]
fn narrower_types_are_never_slower() {
    for gpu in gpus() {
        for (narrow, wide) in [
            (DType::Fp8, DType::Bf16),
            (DType::Fp4, DType::Fp8),
            (DType::Int8, DType::Bf16),
            (DType::Bf16, DType::Fp32),
        ] {
            if let (Some(n), Some(w)) = (gpu.peak(narrow), gpu.peak(wide)) {
                // The B300 has traded its INT8 units away.
                assert!(
                    n >= w || (gpu.architecture.contains("blackwell") && narrow == DType::Int8),
                    "{} {narrow} {wide}",
                    gpu.id
                );
            }
        }
    }
}

#[test]
fn no_gpu_claims_a_type_that_its_generation_lacks() {
    for gpu in gpus() {
        let lacks = |dtypes: &[DType]| {
            for dtype in dtypes {
                assert!(gpu.peak(*dtype).is_none(), "{} has no {dtype}", gpu.id);
            }
        };
        match gpu.architecture.as_str() {
            "volta" | "turing" => lacks(&[DType::Bf16, DType::Fp8, DType::Fp4]),
            "ampere" => lacks(&[DType::Fp8, DType::Fp4]),
            "ada" | "hopper" => lacks(&[DType::Fp4]),
            "cdna2" => lacks(&[DType::Fp8, DType::Fp4]),
            "cdna3" => lacks(&[DType::Fp4]),
            _ => {}
        }
    }
    for id in ["a100-sxm-80gb", "a100-sxm-40gb", "a100-pcie-80gb"] {
        assert_eq!(catalog::gpu(id).unwrap().peak(DType::Fp8), None, "{id}");
    }
    for id in ["v100-sxm-32gb", "v100-sxm-16gb", "t4"] {
        assert_eq!(catalog::gpu(id).unwrap().peak(DType::Bf16), None, "{id}");
    }
}

#[test]
fn memory_is_what_the_driver_reports_not_what_the_box_says() {
    // cudaMemGetInfo totals and torch.cuda.get_device_properties of public logs.
    for (id, gib) in [("h100-sxm", 79.19), ("h200-sxm", 139.81), ("a100-sxm-80gb", 79.25), ("l4", 22.03)] {
        let memory = catalog::gpu(id).unwrap().memory.as_gib();
        assert!((memory - gib).abs() < 0.15, "{id}: {memory}");
    }
}

#[test]
fn datasheet_figures_are_those_of_the_datasheets() {
    // Dense 16-bit peak in TFLOP/s and bandwidth in GB/s, from NVIDIA's and AMD's datasheets.
    for (id, tflops, gb_per_s) in [
        ("h100-sxm", 989.0, 3350.0),
        ("h200-sxm", 989.0, 4800.0),
        ("a100-sxm-80gb", 312.0, 2039.0),
        ("l40s", 362.0, 864.0),
        ("mi300x", 1307.0, 5300.0),
        ("v100-sxm-32gb", 125.0, 900.0),
        ("t4", 65.0, 320.0),
    ] {
        let gpu = catalog::gpu(id).unwrap();
        let close = |x: f64, y: f64| (x / y - 1.0).abs() < 0.01;
        let peak = gpu.peak_16bit().unwrap().get() / 1e12;
        assert!(close(peak, tflops), "{id}: {peak} TFLOP/s");
        assert!(close(gpu.bandwidth.get() / 1e9, gb_per_s), "{id}: {} GB/s", gpu.bandwidth.get() / 1e9);
    }
}

#[test]
fn every_gpu_that_an_engine_supports_answers_and_keeps_to_the_roofline() {
    let model = model::find("llama-3.1-8b", &[], Scope::Full).unwrap();
    let engines = catalog::engines().unwrap();
    let (mut answered, mut fast) = (0, Vec::new());
    for gpu in gpus() {
        let supported: Vec<Engine> = engines.iter().filter(|e| e.runs_on(&gpu)).cloned().collect();
        if supported.is_empty() {
            continue;
        }
        let cluster = catalog::cluster(&format!("1x{}", gpu.id)).unwrap();
        let question = Question {
            workload: Workload::new(1024, 256),
            objective: Objective::Latency,
            top: 10,
            ..Question::new(&model, &cluster, &supported)
        };
        let answer = question.answer().unwrap_or_else(|e| panic!("{}: {e}", gpu.id));
        answered += usize::from(!answer.best.is_empty());
        for plan in answer.best.iter().chain(&answer.pareto) {
            // A decode step reads every weight but the embedding's unused rows.
            let embedding = model.vocabulary as f64 * model.hidden as f64 * 2.0;
            let read = plan.memory.weights.as_f64() - embedding;
            let floor = read / gpu.bandwidth.get();
            let tpot = plan.service.tpot.get();
            if tpot < floor {
                fast.push(format!("{} {}: {tpot} < {floor}", gpu.id, plan.engine));
            }
        }
    }
    assert!(answered >= 20, "only {answered} GPUs hold an 8B model");
    assert!(fast.is_empty(), "{}", fast.join("\n"));
}

#[test]
fn the_command_line_answers_for_every_gpu() {
    for gpu in gpus() {
        let run =
            common::shardfit(&format!("plan llama-3.1-8b --cluster 1x{} --engine any --format json", gpu.id));
        assert!(run.code <= 1 && run.stderr.is_empty(), "{}: {}", gpu.id, run.stderr);
    }
}

#[test]
fn every_gpu_and_cloud_machine_that_people_name_is_known() {
    // GPUs that measured rows name.
    for id in [
        "h100-sxm",
        "h100-sxm-96gb",
        "h100-pcie",
        "h100-nvl",
        "h200-sxm",
        "h200-nvl",
        "h800-sxm",
        "h20",
        "gh200",
        "b200-sxm",
        "b300-sxm",
        "gb200",
        "gb300",
        "a100-sxm-80gb",
        "a100-sxm-40gb",
        "a100-pcie-80gb",
        "l40s",
        "rtx-pro-6000",
        "rtx-3090",
        "rtx-4090",
        "rtx-5090",
        "t4",
        "a10",
        "a10g",
        "v100-sxm-32gb",
        "mi300x",
        "mi325x",
        "mi350x",
        "mi355x",
        "arc-pro-b60",
    ] {
        assert_eq!(catalog::gpu(id).unwrap_or_else(|e| panic!("{e}")).id, id);
    }
    for (name, gpu, gpus) in [
        ("p4d.24xlarge", "a100-sxm-40gb", 8),
        ("p4de.24xlarge", "a100-sxm-80gb", 8),
        ("p5.48xlarge", "h100-sxm", 8),
        ("p5e.48xlarge", "h200-sxm", 8),
        ("p5en.48xlarge", "h200-sxm", 8),
        ("p6-b200.48xlarge", "b200-sxm", 8),
        ("u-p6e-gb200x72", "gb200", 72),
        ("g5.12xlarge", "a10g", 4),
        ("g6.48xlarge", "l4", 8),
        ("g6e.12xlarge", "l40s", 4),
        ("a2-highgpu-8g", "a100-sxm-40gb", 8),
        ("a3-highgpu-8g", "h100-sxm", 8),
        ("a3-ultragpu-8g", "h200-sxm", 8),
        ("a4-highgpu-8g", "b200-sxm", 8),
        ("a4x-highgpu-4g", "gb200", 72),
        ("ND_H100_v5", "h100-sxm", 8),
        ("ND_MI300X_v5", "mi300x", 8),
        ("ND_GB200_v6", "gb200", 72),
        ("NC_A100_v4", "a100-pcie-80gb", 4),
        ("BM.GPU.H100.8", "h100-sxm", 8),
        ("v5litepod-8", "tpu-v5e", 8),
        ("v5p-8", "tpu-v5p", 4),
        ("trn2.48xlarge", "trainium2", 16),
        ("dgx-spark", "gb10", 1),
        ("strix-halo", "ryzen-ai-max-395", 1),
    ] {
        let cluster = catalog::cluster(name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((cluster.gpu.id.as_str(), cluster.gpus), (gpu, gpus), "{name}");
    }
}

#[test]
fn no_two_entries_share_a_name() {
    // Clusters and GPUs are asked for in the same place.
    let mut seen = BTreeMap::new();
    for entry in entries(Kind::Gpu).iter().chain(entries(Kind::Cluster)) {
        for name in std::iter::once(&entry.id).chain(entry.aliases) {
            let before = seen.insert(name.to_lowercase(), entry.id);
            assert!(before.is_none(), "{name} means {} and {}", before.unwrap_or_default(), entry.id);
        }
    }
}

/// Ways to write a name that leave its letters and digits.
fn spellings(name: &str) -> [String; 5] {
    let bare: String = name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).collect();
    [name.to_uppercase(), name.replace('-', " "), name.replace(['-', '.'], "_"), format!(" {name} "), bare]
}

#[test]
fn a_name_is_known_by_its_letters_and_digits() {
    let mut ambiguous = 0;
    for kind in [Kind::Gpu, Kind::Cluster, Kind::GpuClass, Kind::Engine, Kind::Framework, Kind::Model] {
        for entry in entries(kind) {
            for name in entry.aliases.iter().chain([&entry.id]) {
                for written in spellings(name) {
                    match catalog::find(kind, &written) {
                        Ok(found) => assert_eq!(found.id(), entry.id, "{written}"),
                        // `qwen257b` is Qwen2-57B or Qwen2.5-7B: both are said, neither is guessed.
                        Err(error) => {
                            let said = error.to_string();
                            assert!(said.contains("may mean several") && said.contains(entry.id), "{said}");
                            assert!(!written.contains(['-', ' ', '_', '.']), "{said}");
                            ambiguous += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(ambiguous <= 10, "{ambiguous} names have the letters of others");
}

#[test]
fn gpus_and_clusters_are_read_as_people_write_them() {
    // Name, GPU, nodes, GPUs in all.
    let written = [
        ("RTX 4090", "rtx-4090", 1, 1),
        ("rtx4090", "rtx-4090", 1, 1),
        ("NVIDIA GeForce RTX 4090", "rtx-4090", 1, 1),
        ("M3 Max", "m3-max", 1, 1),
        ("7900xtx", "rx-7900-xtx", 1, 1),
        ("7900 XTX", "rx-7900-xtx", 1, 1),
        ("h100x8", "h100-sxm", 1, 8),
        ("H100:8", "h100-sxm", 1, 8),
        ("8xH100", "h100-sxm", 1, 8),
        ("8 x H100", "h100-sxm", 1, 8),
        ("8×H100", "h100-sxm", 1, 8),
        ("8 H100", "h100-sxm", 1, 8),
        ("8x H100 SXM5 80GB", "h100-sxm", 1, 8),
        ("2x3090", "rtx-3090", 1, 2),
        ("3090x2", "rtx-3090", 1, 2),
        ("2 x 8 x H200", "h200-sxm", 2, 16),
        ("4x h100x8", "h100-sxm", 4, 32),
        ("mi300x8", "mi300x", 1, 8),
        ("mi300xx4", "mi300x", 1, 4),
        ("p5.48xlarge", "h100-sxm", 1, 8),
        ("2xp5.48xlarge", "h100-sxm", 2, 16),
        ("p5.48xlarge x 2", "h100-sxm", 2, 16),
        ("ND96isr_H100_v5", "h100-sxm", 1, 8),
        ("Standard_ND96isr_H100_v5", "h100-sxm", 1, 8),
        ("2xDGX H100", "h100-sxm", 2, 16),
    ];
    for (name, gpu, nodes, gpus) in written {
        let cluster = catalog::cluster(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((cluster.gpu.id.as_str(), cluster.nodes, cluster.gpus), (gpu, nodes, gpus), "{name}");
        // It goes by the name that was asked for.
        assert_eq!(cluster.id, name);
        assert_eq!(catalog::pools(name).unwrap().id, name);
    }
    // Twice the instance is the instance with its own network and price.
    let (one, two) = (catalog::cluster("p5.48xlarge").unwrap(), catalog::cluster("2xp5.48xlarge").unwrap());
    assert_eq!((one.scale_out, one.price), (two.scale_out, two.price));
    // Oracle asks 80 dollars an hour for its eight H100; what Google asks for the Mega servers is not known, and no other
    // provider's price stands in.
    let price = |name: &str| catalog::cluster(name).unwrap().price.map(|price| price.get());
    assert_eq!((price("BM.GPU.H100.8"), price("a3-megagpu-8g")), (Some(10.0), None));
    assert_eq!(price("hgx-h100"), price("8xh100-sxm"));
    for wrong in
        ["0xp5.48xlarge", "2x2x2xh100", "2x2xp5.48xlarge", "99999999xh100", "8x", "xh100", "8xrtx6090"]
    {
        assert!(catalog::pools(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_suggestion_has_other_letters_than_what_was_typed() {
    for name in ["RTX 4O90", "h100 smx", "8 x H10O", "nd96irs-h100-v5"] {
        let error = catalog::pools(name).unwrap_err().to_string();
        let suggested = error.split("did you mean `").nth(1).and_then(|rest| rest.split('`').next());
        let suggested = suggested.unwrap_or_else(|| panic!("{error}"));
        assert!(!shardfit::diagnostic::same_letters(suggested, name), "{error}");
    }
}

#[test]
fn an_oversubscribed_fabric_leaves_each_gpu_its_share() {
    let link = catalog::cluster("hgx-h100-16-oversubscribed").unwrap().scale_out;
    // 400 Gbit/s through half as many uplinks as ports.
    assert_eq!((link.bandwidth.get(), link.under_load().get()), (50e9, 25e9));
}

#[test]
fn bridges_end_at_the_pair_and_the_server_behind_them_is_pcie() {
    for (name, gpus, bridge) in
        [("h100-nvl-pairs", 2, 300e9), ("h200-nvl-4", 4, 450e9), ("a6000-nvlink-pairs", 2, 56.25e9)]
    {
        let cluster = catalog::cluster(name).unwrap();
        let joined = cluster.bridge.as_ref().unwrap().bridge;
        assert_eq!((joined.gpus, joined.link.bandwidth.get()), (gpus, bridge), "{name}");
        assert_eq!(cluster.scale_up.kind, catalog::link::LinkKind::Pcie, "{name}");
        assert_eq!(cluster.nodes, 1, "{name}");
    }
}
