//! A calibration of an engine as a file of the user's catalogue.

use std::fmt::Write as _;

use super::super::overlay::quoted;
use super::{EngineCalibration, Fitted};

/// The new constants of an engine as `scheduling/<id>.yaml`; `None` when there are none.
pub fn overlay_yaml(calibration: &EngineCalibration, engine: &str, source: &str) -> Option<String> {
    let new = |c: &&Fitted| c.engine == engine && c.after.is_some();
    let constants: Vec<&Fitted> = calibration.constants.iter().filter(new).collect();
    let first = constants.first()?;
    let mut out = format!("id: {engine}\nname: {}\n", quoted(&format!("{engine} as calibrated")));
    let _ = writeln!(out, "source: {}", quoted(source));
    let of = |from| constants.iter().filter(move |c| c.constant.from == from);
    if first.constant.from.is_none() {
        out += "scheduling:\n";
        of(None).for_each(|c| out += &format!("  {}\n", line(c)));
    }
    let mut versions: Vec<_> = constants.iter().filter_map(|c| c.constant.from).collect();
    versions.dedup();
    if !versions.is_empty() {
        out += "versions:\n";
    }
    for from in versions {
        let _ = writeln!(out, "  - from: {from}\n    scheduling:");
        of(Some(from)).for_each(|c| out += &format!("      {}\n", line(c)));
    }
    Some(out)
}

/// `step_overhead: 0.95 ms`, to three digits.
fn line(c: &Fitted) -> String {
    let (field, value) = (c.constant.field, c.after.unwrap_or(c.constant.value));
    let digits = if value > 0.0 { (2.0 - value.log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    let unit = if field.unit().is_empty() { String::new() } else { format!(" {}", field.unit()) };
    format!("{}: {value:.digits$}{unit} # {} rows", field.name(), c.rows)
}
