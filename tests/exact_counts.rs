//! Parameter counts against exact counts of real checkpoints, where the reference files are present.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shardfit::dtype::DType;
use shardfit::model::{self, Component, Scope};

/// The reference counts, if this checkout has them beside it.
fn reference() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/truth/params");
    folder.join("models.csv").is_file().then_some(folder)
}

#[test]
fn every_reference_count_of_a_known_family_is_exact() {
    let Some(folder) = reference() else {
        eprintln!("skipped: no reference counts beside this checkout");
        return;
    };
    let mut rows = csv::Reader::from_path(folder.join("models.csv")).unwrap();
    let (mut exact, mut unknown, mut wrong) = (0, BTreeMap::<String, u32>::new(), Vec::new());
    for row in rows.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let name = &row["model"];
        let (file, scope) = match name.strip_suffix("#text") {
            Some(file) => (file, Scope::Text),
            None => (name.as_str(), Scope::Full),
        };
        let path = folder.join("models").join(format!("{file}.json"));
        let model = match model::find(path.to_str().unwrap(), &[], scope) {
            Ok(model) if model.recognised => model,
            Ok(model) => {
                *unknown.entry(model.family).or_default() += 1;
                continue;
            }
            Err(e) => {
                *unknown.entry(format!("refused: {}", e.cause)).or_default() += 1;
                continue;
            }
        };
        let count = model.parameters().unwrap();
        let expected = |column: &str| row[column].parse::<f64>().map_or(0, |x| x as u64);
        let mut pairs = vec![
            ("total", count.total),
            ("active", count.active),
            ("total_untied", count.untied),
            ("embed", count.of(Component::Embedding)),
            ("lm_head", count.of(Component::LmHead)),
            ("attn", count.of(Component::Attention)),
            ("mlp", count.of(Component::Mlp)),
            ("moe_experts", count.of(Component::Experts)),
            ("router", count.of(Component::Router)),
            ("norm", count.of(Component::Norm)),
            ("ssm", count.of(Component::Ssm)),
            ("other", count.of(Component::Other)),
            ("kv_bytes_per_token_bf16", model.kv_bytes_per_token(DType::Bf16).get()),
        ];
        if !row["mtp_extra"].is_empty() {
            pairs.push(("mtp_extra", count.mtp));
        }
        let off: Vec<_> = pairs.iter().filter(|(c, got)| *got != expected(c)).collect();
        if off.is_empty() {
            exact += 1;
        } else {
            let off: Vec<_> = off.iter().map(|(c, got)| format!("{c} {got} not {}", expected(c))).collect();
            wrong.push(format!("{name} ({}): {}", model.family, off.join(", ")));
        }
    }
    println!("{exact} exact; families read by the general rules: {unknown:?}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(exact >= 50, "only {exact} rows compared");
}
