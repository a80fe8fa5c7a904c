//! The JSON Schema of a quantity: text with one of its units.

use schemars::{Schema, json_schema};

/// A number and one of `units`, with an example in the unit that files usually have.
pub fn schema(units: &[(&str, f64)]) -> Schema {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let alternatives = names.join("|");
    json_schema!({
        "type": "string",
        "pattern": format!("^ *[0-9.]+([eE][-+]?[0-9]+)? *({alternatives}) *$"),
        "examples": [example(names.first().copied().unwrap_or_default())],
        "x-units": names,
    })
}

/// An example of a quantity, by its first unit.
fn example(unit: &str) -> String {
    let usual = match unit {
        "GB" => "80 GB",
        "GB/s" => "900 GB/s",
        "FLOP/s" => "989 TFLOP/s",
        "s" => "5 us",
        "W" => "700 W",
        "USD/h" => "2.49 USD/h",
        "req/s" => "20 req/s",
        other => return format!("1 {other}"),
    };
    usual.to_owned()
}
