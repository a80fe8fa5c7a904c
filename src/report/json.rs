//! What `plan` and `estimate` answer, as programs read it: names and shape are fixed, scripts lean on them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::estimate::deployment::Estimate;
use crate::plan::{Counts, Plan, Reason, Rejection};
use crate::search::{Advice, Answer, Combined, CurrentAnswer, Named, WhatIf};

use super::answer::{self, ANSWER_VERSION, Digits, WorkloadAnswer};
use super::column::{Cells, Column, List};
use super::columns::{DELTA_COLUMNS, PLAN_COLUMNS, Plans, Row};
use super::fit::{Fit, RemedyAnswer, RoomAnswer};
use super::keeping::{TierAnswer, tiers};
use super::subject::Subject;

/// Every column of a plan.
pub(super) enum Ranked {}

impl List for Ranked {
    type Of = Plans;
    const NAME: &'static str = "Plan";
    fn columns() -> &'static [Column<Plans>] {
        PLAN_COLUMNS
    }
}

/// Every column of a plan but its place in a ranking, which is the first.
pub(super) enum Unranked {}

impl List for Unranked {
    type Of = Plans;
    const NAME: &'static str = "UnrankedPlan";
    fn columns() -> &'static [Column<Plans>] {
        PLAN_COLUMNS.get(1..).unwrap_or_default()
    }
}

/// Columns of a plan that is compared with what runs today.
enum Changes {}

impl List for Changes {
    type Of = Plans;
    const NAME: &'static str = "Changes";
    fn columns() -> &'static [Column<Plans>] {
        DELTA_COLUMNS
    }
}

/// One plan: its columns, memory in an object of its own, and what tiers below the cache are worth to it.
#[derive(Serialize)]
#[serde(bound = "")]
pub(super) struct PlanAnswer<L: List> {
    #[serde(flatten)]
    pub(super) cells: Cells<L>,
    #[serde(flatten)]
    changes: Option<Cells<Changes>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<TierAnswer>,
}

impl<L: List<Of = Plans>> PlanAnswer<L> {
    /// A plan, with its difference to what runs today where that is asked for.
    fn compared(row: &Row, compared: bool) -> PlanAnswer<L> {
        PlanAnswer {
            cells: Cells::of(row),
            changes: compared.then(|| Cells::of(row)),
            tiers: tiers(row.estimate),
        }
    }
}

impl<L: List<Of = Plans>> From<&Estimate> for PlanAnswer<L> {
    fn from(estimate: &Estimate) -> PlanAnswer<L> {
        PlanAnswer::compared(&Row::from(estimate), false)
    }
}

impl<L: List<Of = Plans>> JsonSchema for PlanAnswer<L> {
    fn schema_name() -> Cow<'static, str> {
        L::NAME.into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Cells::<L>::json_schema(generator);
        let changes = Cells::<Changes>::json_schema(generator);
        let mut tiers = generator.subschema_for::<Vec<TierAnswer>>();
        tiers.insert("description".to_owned(), "Tiers below the GPUs' cache, the fastest first; left out without any.".into());
        if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
            let changes = changes.get("properties").and_then(Json::as_object);
            properties.extend(changes.into_iter().flatten().map(|(name, schema)| (name.clone(), schema.clone())));
            properties.insert("tiers".to_owned(), tiers.into());
        }
        schema
    }
}

/// What an answer about serving is about.
#[derive(Serialize, JsonSchema)]
pub(super) struct SubjectAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// Whether the model's family is known; general rules were used where it is not.
    recognised: bool,
    /// Cluster.
    cluster: &'a str,
    /// Lengths, load and targets.
    workload: WorkloadAnswer,
}

impl<'a> From<&Subject<'a>> for SubjectAnswer<'a> {
    fn from(subject: &Subject<'a>) -> SubjectAnswer<'a> {
        SubjectAnswer {
            schema_version: ANSWER_VERSION,
            model: &subject.model.id,
            recognised: subject.model.recognised,
            cluster: subject.cluster,
            workload: subject.workload.into(),
        }
    }
}

/// Every plan for a model on a cluster, ranked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ranking")]
pub(super) struct RankingAnswer<'a> {
    #[serde(flatten)]
    subject: SubjectAnswer<'a>,
    /// How many plans there were, and how many fell at each stage.
    space: SpaceAnswer,
    /// What runs today; left out where the question does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<CurrentPlan>,
    /// Three plans by what they are best at; left out where a load, a batch or a limit on a time is given.
    #[serde(skip_serializing_if = "Names::is_empty")]
    named: Names<NamedPlan>,
    /// The best plan of each layout, the best layout first.
    plans: Vec<PlanAnswer<Ranked>>,
    /// Names of the servers of plans by their GPU; left out where clusters have none of their own.
    #[serde(skip_serializing_if = "Names::is_empty")]
    servers: Names<&'a str>,
    /// The best plan whose kernels were measured on its GPU; left out where the first one's were.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated_runner_up: Option<PlanAnswer<Ranked>>,
    /// Plans that no other beats in all that the front is drawn over; their rank is null.
    pareto: Vec<PlanAnswer<Ranked>>,
    /// Why plans fell, the most frequent reason first.
    rejected: Vec<RejectionAnswer<'a>>,
    /// What GPUs of several kinds deliver together; null where there is one kind.
    combined: Option<CombinedAnswer>,
    /// Replicas of different sizes that deliver more than the best plan, where that leaves GPUs idle.
    mixed_replicas: Option<CombinedAnswer>,
    /// What would make the question answerable, where nothing is feasible.
    advice: Vec<AdviceAnswer<'a>>,
    /// The best plan on GPUs that differ, where that is asked for.
    what_if: Vec<WhatIfAnswer>,
    /// What to know of the model and the engines.
    notes: Vec<String>,
}

/// Values by names that are no fields of ours, in their order.
#[derive(Default)]
struct Names<T>(Vec<(String, T)>);
