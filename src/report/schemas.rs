//! What each command answers, described: JSON Schemas made from the types that answers are.

use serde_json::Value as Json;

use super::answer::{kind, schema};
use super::budget::budget_schema;
use super::check::check_schema;
use super::compared::ComparedAnswers;
use super::doctor::doctor_schema;
use super::engine_calibration::calibration_schema;
use super::examined::ExaminationAnswer;
use super::explain::ExplanationAnswer;
use super::files::FilesAnswer;
use super::fitting::fit_schema;
use super::inspect::inspection_schema;
use super::json::{EstimateAnswer, RankingAnswer};
use super::launched::UnjudgedAnswer;
use super::observation::observation_schema;
use super::simulation::simulation_schema;
use super::size::FleetsAnswer;
use super::training::training_schema;
use super::validation::validation_schema;
use super::verify::verification_schema;

/// Names of the commands whose answers have a schema: those that print a result of their own form.
pub const ANSWERS: [&str; 15] = [
    "plan",
    "estimate",
    "size",
    "simulate",
    "inspect",
    "verify",
    "train",
    "budget",
    "fit",
    "emit",
    "observe",
    "validate",
    "calibrate",
    "check",
    "doctor",
];

/// The JSON Schema (2020-12) of what a command answers with `--format json`; `verify` is `inspect --verify`.
pub fn answer_schema(command: &str) -> Option<Json> {
    Some(match command {
        "plan" => schema(
            "PlanAnswer",
            &[
                kind::<RankingAnswer>,
                kind::<ExplanationAnswer>,
                kind::<ExaminationAnswer>,
                kind::<FilesAnswer>,
                kind::<ComparedAnswers>,
            ],
        ),
        "estimate" => schema(
            "EstimateAnswer",
            &[
                kind::<EstimateAnswer>,
                kind::<ExplanationAnswer>,
                kind::<UnjudgedAnswer>,
                kind::<FilesAnswer>,
                kind::<ComparedAnswers>,
            ],
        ),
        "size" => schema("SizeAnswer", &[kind::<FleetsAnswer>, kind::<ComparedAnswers>]),
        "simulate" => simulation_schema(),
        "inspect" => inspection_schema(),
        "verify" => verification_schema(),
        "train" => training_schema(),
        "budget" => budget_schema(),
        "fit" => fit_schema(),
        // Where nothing can be deployed, there is nothing to write, and the question is answered.
        "emit" => schema(
            "EmitAnswer",
            &[
                kind::<FilesAnswer>,
                kind::<RankingAnswer>,
                kind::<EstimateAnswer>,
                kind::<ExplanationAnswer>,
                kind::<UnjudgedAnswer>,
            ],
        ),
        "observe" => observation_schema(),
        "validate" => validation_schema(),
        "calibrate" => calibration_schema(),
        "check" => check_schema(),
        "doctor" => doctor_schema(),
        _ => return None,
    })
}
