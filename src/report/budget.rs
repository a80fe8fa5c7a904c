//! Budgets: sizes by approach, and smaller models trained longer.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::budget::{Approach, Longer, best, law};
use crate::request::budget::Pace;
use crate::units::{Flops, group_thousands};

use super::answer::{self, ANSWER_VERSION, Digits, kind, schema};
use super::cell::{Value, round};
use super::column::{self, Cells, Column, List, Rows};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// An answer.
pub struct Budgeted<'a> {
    /// The budget.
    pub flops: Flops,
    /// The law that the curve follows.
    pub approach: Approach,
    /// Smaller models trained longer; empty unless asked for.
    pub longer: &'a [Longer],
    /// The GPU at what it reaches, where one is named.
    pub pace: Option<&'a Pace>,
}

/// What is known of some FLOPs on a GPU.
#[derive(Clone, Copy)]
struct Spent<'a> {
    flops: Flops,
    pace: Option<&'a Pace>,
}

impl Spent<'_> {
    /// Hours of one GPU, if one is named.
    fn hours(self) -> Option<f64> {
        self.pace.map(|p| self.flops.get() / (p.peak.get() * p.mfu) / 3600.0)
    }

    /// What they cost, if the price is known.
    fn dollars(self) -> Option<f64> {
        self.hours().zip(self.pace?.price).map(|(h, p)| h * p.get())
    }
}

/// Sizes that a budget buys, as rows: one for each law.
enum Sizes {}

/// A law, and the budget.
struct Size<'a>(Approach, Spent<'a>);

impl Rows for Sizes {
    type Row<'a> = Size<'a>;
}

type SizeColumn = Column<Sizes>;

const SIZE_COLUMNS: &[SizeColumn] = &[
    SizeColumn::plain("approach", "law of scaling", |s| s.0.name().into()).text(),
    SizeColumn::plain("parameters_b", "parameters, in billions", |s| {
        (best(s.0, s.1.flops).parameters / 1e9).into()
    }),
    SizeColumn::plain("tokens_b", "tokens to train on, in billions", |s| {
        (best(s.0, s.1.flops).tokens / 1e9).into()
    }),
    SizeColumn::plain("tokens_per_parameter", "tokens for each parameter", |s| {
        best(s.0, s.1.flops).ratio().into()
    }),
    SizeColumn::plain("loss", "loss by the law, of those that state none by the corrected one", |s| {
        law(s.0).loss(&best(s.0, s.1.flops)).into()
    }),
    SizeColumn::plain("gpu_hours", "hours of one GPU", |s| s.1.hours().into()).nullable(),
    SizeColumn::plain("cost_usd", "what they cost", |s| s.1.dollars().into()).nullable(),
];

/// Smaller models trained longer, as rows.
enum Curve {}

/// A model on the curve, and the GPU that it is trained on.
struct Point<'a>(&'a Longer, Option<&'a Pace>);

impl Point<'_> {
    fn training(&self) -> Spent<'_> {
        Spent { flops: self.0.training, pace: self.1 }
    }
}

impl Rows for Curve {
    type Row<'a> = Point<'a>;
}

impl List for Curve {
    type Of = Curve;
    const NAME: &'static str = "Longer";
    fn columns() -> &'static [Column<Curve>] {
        CURVE_COLUMNS
    }
}

type CurveColumn = Column<Curve>;

const CURVE_COLUMNS: &[CurveColumn] = &[
    CurveColumn::plain("parameters_b", "parameters, in billions", |p| (p.0.size.parameters / 1e9).into()),
    CurveColumn::plain("tokens_b", "tokens to train on, in billions", |p| (p.0.size.tokens / 1e9).into()),
    CurveColumn::plain("tokens_per_parameter", "tokens for each parameter", |p| p.0.size.ratio().into()),
    CurveColumn::plain("training_flops", "FLOPs of training, in three digits", |p| exponent(p.0.training))
        .text(),
    CurveColumn::plain("inference_flops", "FLOPs of what is served, the same", |p| exponent(p.0.inference))
        .text(),
    CurveColumn::plain("total_flops", "both", |p| exponent(p.0.total())).text(),
    CurveColumn::plain("training_gpu_hours", "hours of one GPU for training", |p| {
        p.training().hours().into()
    })
    .nullable(),
    CurveColumn::plain("training_usd", "what they cost", |p| p.training().dollars().into()).nullable(),
];

fn exponent(flops: Flops) -> Value {
    Value::Text(format!("{:.2e}", flops.get()))
}

/// Without what only a GPU has.
fn narrowed(mut sheet: Sheet, has_gpu: bool, columns: usize) -> Sheet {
    if !has_gpu {
        sheet.columns.truncate(columns);
        sheet.rows.iter_mut().for_each(|row| row.truncate(columns));
    }
    sheet
}

impl Budgeted<'_> {
    /// One row per approach.
    fn sheet(&self) -> Sheet {
        let spent = Spent { flops: self.flops, pace: self.pace };
        column::sheet(SIZE_COLUMNS.iter(), &Approach::ALL.map(|approach| Size(approach, spent)))
    }

    fn curve(&self) -> Vec<Point<'_>> {
        self.longer.iter().map(|longer| Point(longer, self.pace)).collect()
    }

    /// The size with the least FLOPs of training and inference together.
    fn least(&self) -> Option<&Longer> {
        self.longer.iter().min_by(|a, b| a.total().total_cmp(&b.total()))
    }

    /// Sizes by each law, and smaller models trained longer.
    pub fn report(&self) -> Report {
        Report::new(self.page(), self.json(), self.sheet())
    }

    fn page(&self) -> Page {
        let mut out = Page::from(format!("{:.3e} FLOPs", self.flops.get()));
        if let Some(pace) = self.pace {
            let how = match &pace.estimated {
                None => "given".to_owned(),
                Some(on) => format!("estimated for {} of them in {}", on.gpus, on.framework),
            };
            let (peak, mfu) = (round(pace.peak.get() / 1e12), 100.0 * pace.mfu);
            let _ = write!(out, ": {} at {peak} TFLOP/s and {mfu:.1} % of it, {how}", pace.gpu);
        }
        let sheet = narrowed(self.sheet(), self.pace.is_some(), 5);
        out.push_str("\n\n");
        out.table(sheet);
        out.push_str("\n");
        for approach in Approach::ALL {
            let _ = writeln!(out, "{:>11}: {}", approach.name(), approach.about());
        }
        out.push_str("Approaches 1 and 2 state no loss; theirs is the corrected law's.\n");
        if let Some(least) = self.least() {
            let about = self.approach.about();
            let _ = write!(out, "\nSmaller models trained longer, to the same loss ({about}):\n\n");
            let curve = column::sheet(CURVE_COLUMNS.iter(), &self.curve());
            out.table(narrowed(curve, self.pace.is_some(), 6));
            out.push_str("\n");
            let _ = writeln!(
                out,
                "Of these, {:.1} B parameters on {} B tokens take the fewest FLOPs with what is served.",
                least.size.parameters / 1e9,
                group_thousands((least.size.tokens / 1e9).round() as u64)
            );
        }
        out
    }

    fn json(&self) -> Json {
        let spent = Spent { flops: self.flops, pace: self.pace };
        answer::json(&BudgetAnswer {
            schema_version: ANSWER_VERSION,
            flops: Digits(self.flops.get()),
            gpu_hours: spent.hours().map(Digits),
            cost_usd: spent.dollars().map(Digits),
            rate: self.pace.map(RateAnswer::from),
            approaches: Approach::ALL.map(|approach| ApproachAnswer::of(approach, self.flops)),
            longer: self.curve().iter().map(Cells::of).collect(),
        })
    }
}

/// What a budget buys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Budget")]
struct BudgetAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// The budget.
    flops: Digits,
    /// Hours of one GPU; null where none is named.
    gpu_hours: Option<Digits>,
    /// What they cost; null where no price is known.
    cost_usd: Option<Digits>,
    /// The GPU at what it reaches; null where none is named.
    rate: Option<RateAnswer<'a>>,
    /// Sizes by each law.
    approaches: [ApproachAnswer; 4],
    /// Smaller models trained longer, to the same loss; empty unless it is said how much is served.
    longer: Vec<Cells<Curve>>,
}

/// A GPU at what it reaches.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rate")]
struct RateAnswer<'a> {
    /// The GPU.
    gpu: &'a str,
    /// Its peak.
    peak_tflops: Digits,
    /// Model FLOPs utilisation.
    mfu_percent: Digits,
    /// Whether that is an estimate.
    mfu_estimated: bool,
    /// On how many GPUs it is estimated; null where it was given.
    mfu_gpus: Option<u32>,
    /// For which framework it is estimated; null where it was given.
    mfu_framework: Option<&'a str>,
    /// What an hour costs; null where no price is known.
    usd_per_gpu_hour: Option<f64>,
}

impl<'a> From<&'a Pace> for RateAnswer<'a> {
    fn from(pace: &'a Pace) -> RateAnswer<'a> {
        RateAnswer {
            gpu: &pace.gpu,
            peak_tflops: Digits(pace.peak.get() / 1e12),
            mfu_percent: Digits(100.0 * pace.mfu),
            mfu_estimated: pace.estimated.is_some(),
            mfu_gpus: pace.estimated.as_ref().map(|on| on.gpus),
            mfu_framework: pace.estimated.as_ref().map(|on| on.framework.as_str()),
            usd_per_gpu_hour: pace.price.map(|price| price.get()),
        }
    }
}

/// The size that a law says is the best for a budget.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Approach")]
struct ApproachAnswer {
    /// The law.
    approach: &'static str,
    /// Where it is from.
    about: &'static str,
    /// Parameters.
    parameters: Digits,
    /// Tokens to train on.
    tokens: Digits,
    /// Tokens for each parameter.
    tokens_per_parameter: Digits,
    /// Loss by the law, of those that state none by the corrected one.
    loss: Digits,
}

impl ApproachAnswer {
    fn of(approach: Approach, flops: Flops) -> ApproachAnswer {
        let size = best(approach, flops);
        ApproachAnswer {
            approach: approach.name(),
            about: approach.about(),
            parameters: Digits(size.parameters),
            tokens: Digits(size.tokens),
            tokens_per_parameter: Digits(size.ratio()),
            loss: Digits(law(approach).loss(&size)),
        }
    }
}

/// The JSON Schema of what `budget` answers.
pub(super) fn budget_schema() -> Json {
    schema("BudgetAnswer", &[kind::<BudgetAnswer>])
}
