//! Budgets: sizes by approach, and smaller models trained longer.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::budget::{Approach, Longer, best, law};
use crate::units::{Flops, group_thousands};

use super::cell::{Value, round};
use super::sheet::Sheet;

/// An answer.
pub struct Budgeted<'a> {
    /// The budget.
    pub flops: Flops,
    /// The law that the curve follows.
    pub approach: Approach,
    /// Smaller models trained longer; empty unless asked for.
    pub longer: &'a [Longer],
    /// Hours of one GPU, if one is named.
    pub hours: &'a dyn Fn(Flops) -> Option<f64>,
    /// What they cost, if the price is known.
    pub dollars: &'a dyn Fn(Flops) -> Option<f64>,
    /// The GPU, its peak, its MFU.
    pub rate: Option<Json>,
}

/// Without what only a GPU has.
fn narrowed(mut sheet: Sheet, has_gpu: bool, columns: usize) -> Sheet {
    if !has_gpu {
        sheet.columns.truncate(columns);
        sheet.rows.iter_mut().for_each(|row| row.truncate(columns));
    }
    sheet
}

fn real(x: Option<f64>) -> Value {
    x.map_or(Value::Missing, Value::from)
}

impl Budgeted<'_> {
    /// One row per approach.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new([
            "approach",
            "parameters_b",
            "tokens_b",
            "tokens_per_parameter",
            "loss",
            "gpu_hours",
            "cost_usd",
        ]);
        for approach in Approach::ALL {
            let size = best(approach, self.flops);
            sheet.rows.push(vec![
                approach.name().into(),
                (size.parameters / 1e9).into(),
                (size.tokens / 1e9).into(),
                size.ratio().into(),
                law(approach).loss(&size).into(),
                real((self.hours)(self.flops)),
                real((self.dollars)(self.flops)),
            ]);
        }
        sheet
    }

    fn curve(&self) -> Sheet {
        let mut sheet = Sheet::new([
            "parameters_b",
            "tokens_b",
            "tokens_per_parameter",
            "training_flops",
            "inference_flops",
            "total_flops",
            "training_gpu_hours",
            "training_usd",
        ]);
        for l in self.longer {
            let exponent = |f: Flops| Value::Text(format!("{:.2e}", f.get()));
            sheet.rows.push(vec![
                (l.size.parameters / 1e9).into(),
                (l.size.tokens / 1e9).into(),
                l.size.ratio().into(),
                exponent(l.training),
                exponent(l.inference),
                exponent(l.total()),
                real((self.hours)(l.training)),
                real((self.dollars)(l.training)),
            ]);
        }
        sheet
    }

    /// The size with the least FLOPs of training and inference together.
    fn least(&self) -> Option<&Longer> {
        self.longer.iter().min_by(|a, b| a.total().total_cmp(&b.total()))
    }

    /// For the terminal.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut out = format!("{:.3e} FLOPs", self.flops.get());
        if let Some(rate) = &self.rate {
            let text = |key: &str| rate[key].to_string();
            let how = if rate["mfu_estimated"] == json!(true) { "estimated" } else { "given" };
            let _ = write!(
                out,
                ": {} at {} TFLOP/s and {} % of it, {how}",
                rate["gpu"].as_str().unwrap_or(""),
                text("peak_tflops"),
                text("mfu_percent")
            );
        }
        let sheet = narrowed(self.sheet(), self.rate.is_some(), 5);
        let _ = writeln!(out, "\n\n{}\n", sheet.table(width));
        for approach in Approach::ALL {
            let _ = writeln!(out, "{:>11}: {}", approach.name(), approach.about());
        }
        out.push_str("Approaches 1 and 2 state no loss; theirs is the corrected law's.\n");
        if let Some(least) = self.least() {
            let _ = writeln!(
                out,
                "\nSmaller models trained longer, to the same loss ({}):\n\n{}\n",
                self.approach.about(),
                narrowed(self.curve(), self.rate.is_some(), 6).table(width)
            );
            let _ = writeln!(
                out,
                "Of these, {:.1} B parameters on {} B tokens take the fewest FLOPs with what is served.",
                least.size.parameters / 1e9,
                group_thousands((least.size.tokens / 1e9).round() as u64)
            );
        }
        out
    }

    /// As JSON.
    pub fn json(&self) -> Json {
        let approaches: Vec<Json> = Approach::ALL
            .into_iter()
            .map(|approach| {
                let size = best(approach, self.flops);
                json!({
                    "approach": approach.name(), "about": approach.about(),
                    "parameters": round(size.parameters), "tokens": round(size.tokens),
                    "tokens_per_parameter": round(size.ratio()), "loss": round(law(approach).loss(&size)),
                })
            })
            .collect();
        json!({
            "flops": round(self.flops.get()),
            "gpu_hours": (self.hours)(self.flops).map(round),
            "cost_usd": (self.dollars)(self.flops).map(round),
            "rate": self.rate,
            "approaches": approaches,
            "longer": self.curve().json(),
        })
    }
}
