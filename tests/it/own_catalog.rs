//! The user's own catalogue: which folder wins, what a broken file breaks, and what is left alone.

use std::fs;
use std::path::Path;

use crate::common::{Run, shardfit, shardfit_with};

const GPU: &str = include_str!("../data/valid/gpu.yaml");
const ENGINE: &str = include_str!("../data/valid/engine.yaml");
const CLUSTER: &str = include_str!("../data/valid/cluster.yaml");
const KERNELS: &str = include_str!("../data/valid/kernels.yaml");
const CONFIG: &str = include_str!("../data/valid/config.json");

/// A valid description under another identifier and name.
fn renamed(text: &str, id: &str, name: &str) -> String {
    text.lines()
        .map(|line| match line {
            line if line.starts_with("id:") => format!("id: {id}\n"),
            line if line.starts_with("name:") => format!("name: {name}\n"),
            line if line.starts_with("aliases:") => String::new(),
            line => format!("{line}\n"),
        })
        .collect()
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A catalogue with one entry of every kind, none of them known otherwise.
fn own() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let gpu = renamed(GPU, "my-gpu", "My GPU") + "aliases: [mine]\n";
    write(at, "gpus/my-gpu.yaml", &gpu);
    write(at, "engines/my-engine.yaml", &renamed(ENGINE, "my-engine", "My engine"));
    let cluster = renamed(CLUSTER, "my-cluster", "My cluster");
    let gpu_line = cluster.lines().find(|l| l.starts_with("gpu:")).unwrap().to_owned();
    write(at, "clusters/my-cluster.yaml", &cluster.replace(&gpu_line, "gpu: my-gpu"));
    let model = CONFIG.replacen('{', "{\"_shardfit\": {\"name\": \"Mine\", \"aliases\": [\"mine\"]},", 1);
    write(at, "models/me--my-model.json", &model);
    folder
}

fn with(folder: &Path, line: &str) -> Run {
    shardfit(&format!("{line} --catalog {}", folder.display()))
}

#[test]
fn every_kind_of_entry_is_found_by_name_and_alias() {
    let own = own();
    for line in [
        "plan me/my-model --cluster my-cluster --engine my-engine",
        "plan mine --cluster 2xmine --engine my-engine",
        "estimate my-model --gpu my-gpu",
        "estimate me/my-modle --gpu my-gpu",
        "inspect me/my-model",
        "catalog gpus MINE",
        "catalog engines my-engine",
    ] {
        if line.contains("my-modle") {
            let run = with(own.path(), line).exits(2);
            assert!(run.stderr.contains("did you mean `me/my-model`"), "{}", run.stderr);
        } else {
            let run = with(own.path(), line).exits(0);
            assert_eq!(run.stderr, "", "{line}");
        }
    }
}

/// What a GPU takes for a product of one row, under a folder of one's own.
fn one_product(folder: &Path) -> f64 {
    let line = "validate kernels tests/data/valid/kernels.csv -o";
    let out = folder.join("out.csv");
    let run = with(folder, &format!("{line} {}", out.display())).exits(0);
    assert_eq!(run.stderr, "");
    let text = fs::read_to_string(out).unwrap();
    text.lines().nth(1).unwrap().split(',').nth(8).unwrap().parse().unwrap()
}

#[test]
fn kernel_coefficients_go_over_those_of_their_gpu_and_leave_the_rest() {
    let bare = tempfile::tempdir().unwrap();
    fs::create_dir(bare.path().join("kernels")).unwrap();
    let built_in = one_product(bare.path());
    let own = tempfile::tempdir().unwrap();
    write(own.path(), "kernels/h100-sxm.yaml", KERNELS);
    // 33.6 MB at half of 3.35 TB/s, beside 4 us and a depth of 1.2 us.
    let overlaid = one_product(own.path());
    assert!((overlaid - 24.1).abs() < 0.2 && built_in < 17.0, "{built_in} {overlaid}");
    // Prompt attention is not in the file.
    let explain = "estimate llama-3.1-8b --gpu h100-sxm --explain";
    let attention = |folder: &Path| {
        let text = with(folder, explain).exits(0).stdout;
        text.lines().find(|l| l.contains("attention") && l.contains("us")).map(str::to_owned)
    };
    assert_eq!(attention(bare.path()), attention(own.path()));
}

#[test]
fn kernel_coefficients_of_the_first_folder_win() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(first.path(), "kernels/h100-sxm.yaml", KERNELS);
    let slower = KERNELS.replace("memory_efficiency: 0.5", "memory_efficiency: 0.25");
    write(second.path(), "kernels/h100-sxm.yaml", &slower);
    let predicted = |folders: [&Path; 2]| {
        let out = first.path().join("out.csv");
        let [a, b] = folders.map(|f| f.display().to_string());
        let line = "validate kernels tests/data/valid/kernels.csv";
        shardfit(&format!("{line} --catalog {a} --catalog {b} -o {}", out.display())).exits(0);
        fs::read_to_string(out).unwrap()
    };
    let (one, other) = (predicted([first.path(), second.path()]), predicted([second.path(), first.path()]));
    assert_ne!(one, other);
    let value =
        |text: &str| -> f64 { text.lines().nth(1).unwrap().split(',').nth(8).unwrap().parse().unwrap() };
    assert!(value(&one) < value(&other) * 0.6, "{one}\n{other}");
}

#[test]
fn broken_kernel_coefficients_are_named_with_their_file() {
    let own = tempfile::tempdir().unwrap();
    write(own.path(), "kernels/h100-sxm.yaml", &KERNELS.replace("sharpness: 2", "sharpness: 0"));
    let run = with(own.path(), "plan llama-3.1-8b --cluster 1xh100-sxm").exits(2);
    assert!(run.stderr.contains("kernels.gemm.vllm.bf16.sharpness: must be positive"), "{}", run.stderr);
    assert!(run.stderr.contains("h100-sxm.yaml"), "{}", run.stderr);
    // Other GPUs do not need it.
    with(own.path(), "plan llama-3.1-8b --cluster 1xh200-sxm").exits(0);
}

#[test]
fn without_the_folder_nothing_of_it_is_known() {
    for line in ["inspect me/my-model", "catalog gpus my-gpu", "catalog engines my-engine"] {
        shardfit(line).exits(2);
    }
}

#[test]
fn a_list_says_where_an_entry_comes_from() {
    let own = own();
    let run = with(own.path(), "catalog gpus --format csv").exits(0);
    let (header, rows) = run.csv();
    let (id, origin) = (0, header.iter().position(|c| c == "origin").unwrap());
    let of = |name: &str| &rows.iter().find(|r| r[id] == name).unwrap()[origin];
    assert_eq!(of("h100-sxm"), "built-in");
    assert_eq!(of("my-gpu"), &own.path().join("gpus/my-gpu.yaml").display().to_string());
}

/// A folder whose `h100-sxm` has this name.
fn named(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "gpus/h100-sxm.yaml", &renamed(GPU, "h100-sxm", name));
    folder
}

#[test]
fn flag_goes_before_variable_before_configuration_before_built_in() {
    let (flag, variable, other, home) =
        (named("by flag"), named("by variable"), named("by other"), tempfile::tempdir().unwrap());
    write(home.path(), "shardfit/gpus/h100-sxm.yaml", &renamed(GPU, "h100-sxm", "by configuration"));
    let text = |folder: &tempfile::TempDir| folder.path().display().to_string();
    let listed = std::env::join_paths([variable.path(), other.path()]).unwrap().into_string().unwrap();
    let home_only = [("XDG_CONFIG_HOME", &*text(&home)), ("APPDATA", &*text(&home))];
    let both = [home_only[0], home_only[1], ("SHARDFIT_CATALOG", &*listed)];
    let name = |run: Run| {
        let run = run.exits(0);
        run.stdout.lines().find(|l| l.starts_with("name:")).unwrap().to_owned()
    };
    assert_eq!(name(shardfit("catalog gpus h100-sxm --format yaml")), "name: NVIDIA H100 SXM 80 GB");
    assert_eq!(
        name(shardfit_with("catalog gpus h100-sxm --format yaml", &home_only)),
        "name: by configuration"
    );
    assert_eq!(name(shardfit_with("catalog gpus h100 --format yaml", &both)), "name: by variable");
    let line =
        format!("catalog gpus h100-sxm --format yaml --catalog {} --catalog {}", text(&flag), text(&other));
    assert_eq!(name(shardfit_with(&line, &both)), "name: by flag");
}

#[test]
fn a_broken_file_is_an_error_only_where_it_is_needed() {
    let own = own();
    write(own.path(), "gpus/broken.yaml", "id: broken\nname: [\n");
    let fine = with(own.path(), "plan me/my-model --cluster 1xmy-gpu").exits(0);
    assert_eq!(fine.stderr, "");
    let by_alias = with(own.path(), "plan me/my-model --cluster 1xmine").exits(0);
    assert_eq!(by_alias.stderr.matches("note: left out of the catalogue").count(), 1, "{}", by_alias.stderr);
    assert!(by_alias.stderr.contains("broken.yaml"));
    let list = with(own.path(), "catalog gpus").exits(0);
    assert_eq!(list.stderr.matches("broken.yaml\n").count(), 1, "{}", list.stderr);
    assert!(list.stdout.contains("my-gpu") && !list.stdout.contains("broken"));
    let needed = with(own.path(), "plan me/my-model --cluster 1xbroken").exits(2);
    assert!(
        needed.stderr.starts_with("error: ") && needed.stderr.contains("broken.yaml"),
        "{}",
        needed.stderr
    );
    assert!(!needed.stderr.contains("note:"), "{}", needed.stderr);
}

#[test]
fn measured_rows_and_scenarios_see_the_folder() {
    let own = own();
    let here = own.path();
    write(here, "rows.csv", "id,model,gpu,engine,tp,kv_cache_gib_per_gpu\n1,mine,my-gpu,my-engine,1,\n");
    let json =
        with(here, &format!("validate memory {}/rows.csv --format json", here.display())).exits(0).json();
    assert_eq!(json["predicted"], 1);
    write(
        here,
        "scenario.yaml",
        "name: own\nmodels: [mine]\nclusters: [my-cluster, 4xmine]\nengines: [my-engine]\n\
         workloads: [{name: w, isl: 512, osl: 128}]\n",
    );
    let at = here.display();
    with(here, &format!("sweep {at}/scenario.yaml -o {at}/out")).exits(0);
    assert_eq!(fs::read_to_string(here.join("out/results.csv")).unwrap().lines().count(), 3);
}

#[test]
fn a_folder_of_models_is_a_catalogue_of_models() {
    let own = own();
    let models = own.path().join("models");
    let line = format!("inspect mine --format json --models {}", models.display());
    assert!(shardfit(&line).exits(0).json()["params"]["total"].as_u64().unwrap() > 0);
}

#[test]
fn a_class_of_the_folder_is_one_that_gpus_can_name() {
    let own = own();
    let class = "id: my-class\nname: Mine\nbase: datacenter-hbm\nkernels: {source: none}\n";
    write(own.path(), "classes/my-class.yaml", class);
    let gpu = renamed(GPU, "classy", "Classy").replace("class: datacenter-hbm", "class: my-class");
    write(own.path(), "gpus/classy.yaml", &gpu);
    let tpot =
        |gpu: &str| with(own.path(), &format!("estimate mine --gpu {gpu} --format json")).exits(0).json();
    assert_eq!(tpot("classy")["tpot_ms"], tpot("my-gpu")["tpot_ms"]);
    with(own.path(), "catalog classes my-class").exits(0);
}

#[test]
fn a_gpu_file_of_the_folder_may_borrow_the_kernels_of_another() {
    let own = own();
    let borrowed = renamed(GPU, "twin", "Twin") + "kernels_from: mine\n";
    write(own.path(), "gpus/twin.yaml", &borrowed);
    with(own.path(), "estimate mine --gpu twin").exits(0);
}

#[test]
fn boards_and_slices_of_one_file_are_found_by_their_names() {
    let folder = own();
    let gpu = renamed(GPU, "my-gpu", "My GPU")
        + "aliases: [mine]\nvariants:\n  - {id: my-gpu-half, name: My half, aliases: [half], memory: 40 GiB}\n\
           mig:\n  1g.10gb: {memory: 9 GiB, memory_share: 0.125, multiprocessors: 1}\n";
    write(folder.path(), "gpus/my-gpu.yaml", &gpu);
    for (name, memory) in
        [("my-gpu-half", "40"), ("half", "40"), ("my-gpu-mig-1g.10gb", "9"), ("mig-1g.10gb-mine", "9")]
    {
        let said = with(folder.path(), &format!("catalog gpus {name} --format yaml")).exits(0).stdout;
        assert!(memory == "40" || said.contains("memory: 9 GiB"), "{name}: {said}");
    }
    let catalog = shardfit::catalog::Catalog::open(&[folder.path().to_owned()]).unwrap();
    let (half, whole) = (catalog.gpu("Half").unwrap(), catalog.gpu("mine").unwrap());
    assert_eq!(
        (half.id.as_str(), half.memory.as_gib(), half.bandwidth),
        ("my-gpu-half", 40.0, whole.bandwidth)
    );
    let slice = catalog.gpu("my-gpu-mig-1g.10gb").unwrap();
    assert_eq!(slice.bandwidth, whole.bandwidth * 0.125);
    assert_eq!(slice.kernels_from.as_deref(), Some("my-gpu"));
    assert_eq!(slice.memory.as_gib(), 9.0);
}

#[test]
fn a_board_is_shown_with_its_own_figures_and_no_others() {
    let said = shardfit("catalog gpus m3-max-36gb --format yaml").exits(0).stdout;
    assert!(
        said.contains("id: m3-max-36gb")
            && said.contains("bandwidth: 300 GB/s")
            && !said.contains("variants"),
        "{said}"
    );
    let said = shardfit("catalog gpus h200-sxm-mig-3g.71gb --format yaml").exits(0).stdout;
    assert!(said.contains("slice_of: h200-sxm") && said.contains("memory: 69.5 GiB"), "{said}");
}
