//! Parameter counts against exact counts of real checkpoints, where the reference files are present.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shardfit::dtype::DType;
use shardfit::model::blocks::Cache;
use shardfit::model::{self, Component, Model, Scope};

type Row = BTreeMap<String, String>;

/// Rows whose reference is wrong, with the column and why.
const ARGUED: &[(&str, &str, &str)] = &[
    (
        "Zyphra--Zamba-7B-v1",
        "total_untied",
        "the reference counts the shared block once for each of its 13 uses",
    ),
    (
        "transformers-default--zamba2",
        "total_untied",
        "the reference counts the shared block once for each of its 9 uses",
    ),
    ("xai-org--grok-1", "total_untied", "a closed form that repeats the total although the head is tied"),
    (
        "transformers-default--longcat_flash",
        "active",
        "a token uses 12 of the experts; the reference takes 12/512 of the 768 rows that are allocated",
    ),
    ("longcat_flash__p2.json", "active_if_moe", "the same: it has a token use 132 of 8 experts"),
    (
        "ai21labs--Jamba-v0.1",
        "attn",
        "the reference counts whatever stands in a `JambaAttentionDecoderLayer`, feed-forward layer included",
    ),
    ("ai21labs--Jamba-v0.1", "mlp", "the same"),
    (
        "transformers-default--olmo_hybrid",
        "attn",
        "the reference counts every feed-forward layer in `OlmoHybrid…AttentionDecoderLayer` as attention",
    ),
    ("transformers-default--olmo_hybrid", "mlp", "the same"),
    (
        "Zyphra--Zamba-7B-v1",
        "recurrent_state_bytes_bf16",
        "the reference leaves out the state of `ZambaMambaMixer`, heads × head_dim × d_state per layer",
    ),
];

/// The reference counts, if this checkout has them beside it.
fn reference(file: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/truth/params");
    folder.join(file).is_file().then_some(folder)
}

fn rows(file: &Path) -> Vec<Row> {
    csv::Reader::from_path(file).unwrap().deserialize().map(Result::unwrap).collect()
}

/// Bytes of recurrent state per sequence if all of it were in 16 bits.
fn state_in_16_bits(model: &Model) -> u64 {
    let of = |(cache, layers): (Cache, u64)| match cache {
        Cache::State { bytes, .. } => bytes * layers,
        _ => 0,
    };
    model.caches().map(of).sum()
}

/// The columns of a row that a model does not meet. Empty cells are unknown.
fn misses(name: &str, row: &Row, model: &Model) -> Vec<String> {
    let count = model.parameters().unwrap();
    let pairs = [
        ("total", count.total),
        ("active", count.active),
        ("active_if_moe", count.active),
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
        ("mtp_extra", count.mtp),
        ("recurrent_state_bytes_bf16", state_in_16_bits(model)),
    ];
    pairs
        .into_iter()
        .filter(|(column, _)| !ARGUED.iter().any(|(row, of, _)| row == &name && of == column))
        .filter_map(|(column, got)| {
            let expected = row.get(column)?.parse::<f64>().ok()? as u64;
            (got != expected).then(|| format!("{column} {got} not {expected}"))
        })
        .collect()
}

/// Reads every row's configuration and reports all that are not exact.
fn compare(rows: &[Row], place: impl Fn(&Row) -> (String, PathBuf, Scope)) {
    let (mut exact, mut wrong) = (0, Vec::new());
    for row in rows {
        let (name, path, scope) = place(row);
        match model::find(path.to_str().unwrap(), &[], scope) {
            Ok(model) => {
                let mut misses = misses(&name, row, &model);
                if !model.recognised {
                    misses.push("type not recognised".into());
                }
                if misses.is_empty() {
                    exact += 1;
                } else {
                    wrong.push(format!("{name} ({}): {}", model.family, misses.join(", ")));
                }
            }
            Err(e) => wrong.push(format!("{name}: refused: {e}")),
        }
    }
    println!("{exact} of {} rows exact", rows.len());
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn every_real_checkpoint_is_counted_exactly() {
    let Some(folder) = reference("models.csv") else {
        eprintln!("skipped: no reference counts beside this checkout");
        return;
    };
    compare(&rows(&folder.join("models.csv")), |row| {
        let name = row["model"].clone();
        let (file, scope) = match name.strip_suffix("#text") {
            Some(file) => (file, Scope::Text),
            None => (name.as_str(), Scope::Full),
        };
        let path = folder.join("models").join(format!("{file}.json"));
        (name, path, scope)
    });
}

#[test]
fn every_default_and_perturbed_configuration_is_counted_exactly() {
    let Some(folder) = reference("variants.csv") else {
        eprintln!("skipped: no reference counts beside this checkout");
        return;
    };
    compare(&rows(&folder.join("variants.csv")), |row| {
        let file = Path::new(&row["file"]).file_name().unwrap();
        let name = file.to_string_lossy().into_owned();
        (name, folder.join("variants").join(file), Scope::Full)
    });
}
