//! What `plan` and `estimate` answer, as programs read it: names and shape are fixed, scripts lean on them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value as Json;

use crate::estimate::estimated::Estimate;
use crate::launch::Server;
use crate::plan::{Counts, Plan, Reason, Rejection};
use crate::search::{Advice, Answer, Combined, CurrentAnswer, Named, WhatIf};

use super::answer::{self, ANSWER_VERSION, Digits, Names, ReasonAnswer, WorkloadAnswer};
use super::batches::rows;
use super::column::{Cells, Column, List};
use super::columns::{DELTA_COLUMNS, PLAN_COLUMNS, Plans, Row};
use super::fit::{Fit, RemedyAnswer, RoomAnswer};
use super::keeping::{TierAnswer, tiers};
use super::launched::{Improvement, LaunchedAnswer, stated};
use super::remarks::remarks;
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
        tiers.insert(
            "description".to_owned(),
            "Tiers below the GPUs' cache, the fastest first; left out without any.".into(),
        );
        if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
            let changes = changes.get("properties").and_then(Json::as_object);
            properties
                .extend(changes.into_iter().flatten().map(|(name, schema)| (name.clone(), schema.clone())));
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
            workload: WorkloadAnswer::of(subject.workload, &subject.targets),
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
    /// Which part of this answer to deploy, `combined` or `mixed_replicas`; the first of the plans where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    deploy: Option<&'static str>,
    /// The best plan of each layout, the best layout first.
    plans: Vec<PlanAnswer<Ranked>>,
    /// Every feasible batch of these layouts under their ranks, in closed form; left out where they are not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    batches: Option<Vec<PlanAnswer<Ranked>>>,
    /// Names of the servers of plans by their GPU; left out where clusters have none of their own.
    #[serde(skip_serializing_if = "Names::is_empty")]
    servers: Names<&'a str>,
    /// The best plan whose kernels were measured on its GPU; left out where the first one's were.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated_runner_up: Option<PlanAnswer<Ranked>>,
    /// Plans that no other beats in all that the front is drawn over; their rank is null.
    pareto: Vec<PlanAnswer<Ranked>>,
    /// Why plans fell, the most frequent reason first.
    rejected: Vec<RejectionAnswer>,
    /// What GPUs of several kinds deliver together; null where there is one kind.
    combined: Option<CombinedAnswer>,
    /// Replicas of different sizes that deliver more than the best plan, where that leaves GPUs idle.
    mixed_replicas: Option<CombinedAnswer>,
    /// What would make the question answerable, where nothing is feasible.
    advice: Vec<AdviceAnswer<'a>>,
    /// The best plan on GPUs that differ, where that is asked for.
    what_if: Vec<WhatIfAnswer>,
    /// What to know of the model and the engines, then of the best plan: what its simulation says of the targets, where
    /// measured servers like it lie.
    notes: Vec<String>,
}

/// How many plans there were, and what became of them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Space")]
struct SpaceAnswer {
    /// Plans in the space.
    plans: u64,
    /// Those that a rule of the engine or the model forbids.
    illegal: u64,
    /// Those that found no room.
    out_of_memory: u64,
    /// Those that missed a target or the load.
    target_missed: u64,
    /// Those that can be deployed.
    feasible: u64,
    /// Those that were not looked at one by one, proven to be no better than others.
    dominated: u64,
    /// Those that were not looked at because the search was stopped.
    unseen: u64,
    /// Why the search ended.
    stopped: &'static str,
}

impl From<&Answer> for SpaceAnswer {
    fn from(answer: &Answer) -> SpaceAnswer {
        let Counts { plans, illegal, out_of_memory, target_missed, feasible, dominated, unseen } =
            answer.counts;
        let stopped = answer.stopped.name();
        SpaceAnswer { plans, illegal, out_of_memory, target_missed, feasible, dominated, unseen, stopped }
    }
}

/// What runs today.
#[derive(Serialize, JsonSchema)]
struct CurrentPlan {
    /// Whether the search could propose it.
    feasible: bool,
    /// Why it would not.
    reasons: Vec<ReasonAnswer>,
    /// Its figures; null where a rule forbids the layout.
    plan: Option<PlanAnswer<Ranked>>,
}

impl From<&CurrentAnswer> for CurrentPlan {
    fn from(current: &CurrentAnswer) -> CurrentPlan {
        CurrentPlan {
            feasible: current.reasons.is_empty(),
            reasons: current.reasons.iter().map(ReasonAnswer::from).collect(),
            plan: current.estimate.as_ref().map(PlanAnswer::from),
        }
    }
}

/// A plan that goes by a name.
#[derive(Serialize, JsonSchema)]
struct NamedPlan {
    /// What it is best at.
    meaning: &'static str,
    #[serde(flatten)]
    plan: PlanAnswer<Unranked>,
}

/// Plans that fell for one reason.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rejection")]
struct RejectionAnswer {
    /// Key of the reason.
    reason: String,
    /// How many plans fell.
    count: u64,
    /// The one that came nearest to an answer.
    nearest_miss: NearestMiss,
}

/// The plan that came nearest to an answer.
#[derive(Serialize, JsonSchema)]
struct NearestMiss {
    /// Its GPU.
    gpu: Option<String>,
    /// Its layout in a few words.
    plan: String,
    /// Why it fell, in a sentence.
    message: String,
}

impl RejectionAnswer {
    fn of(subject: &Subject, r: &Rejection) -> RejectionAnswer {
        RejectionAnswer {
            reason: r.reason.name(),
            count: r.count,
            nearest_miss: NearestMiss {
                gpu: subject.gpu_label(&r.nearest),
                plan: describe(&r.nearest),
                message: r.reason.message(),
            },
        }
    }
}

/// What several plans deliver together.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Combined")]
struct CombinedAnswer {
    /// GPUs that they use.
    gpus: u64,
    /// GPUs that they leave idle.
    idle_gpus: u64,
    /// Requests per second of all.
    requests_per_s: Digits,
    /// Output tokens per second of all.
    output_tokens_per_s: Digits,
    /// Dollars per million output tokens, where every GPU has a price.
    cost_usd_per_mtok_output: Option<Digits>,
    /// Whether that serves the rate that was asked for; null where none was.
    serves_rate: Option<bool>,
    /// The plans.
    plans: Vec<PlanAnswer<Unranked>>,
}

impl From<&Combined> for CombinedAnswer {
    fn from(c: &Combined) -> CombinedAnswer {
        CombinedAnswer {
            gpus: c.gpus,
            idle_gpus: c.idle_gpus,
            requests_per_s: Digits(c.requests.get()),
            output_tokens_per_s: Digits(c.output.get()),
            cost_usd_per_mtok_output: c.cost_output.map(|cost| Digits(cost.get())),
            serves_rate: c.serves_rate,
            plans: c.plans.iter().map(PlanAnswer::from).collect(),
        }
    }
}

/// A single change that makes the question answerable.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Advice")]
struct AdviceAnswer<'a> {
    /// What is changed.
    change: &'a str,
    /// The best plan then.
    plan: PlanAnswer<Ranked>,
}

/// The best plan on GPUs that differ.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WhatIf")]
struct WhatIfAnswer {
    /// What is changed.
    change: &'static str,
    /// By how many per cent.
    percent: Digits,
    /// The best plan then; null where nothing is feasible.
    plan: Option<PlanAnswer<Ranked>>,
}

/// The answer to a planning question, with what would make it answerable if nothing is feasible, and every batch of its
/// layouts if they are asked for.
pub fn answer_json(
    subject: &Subject,
    answer: &Answer,
    advice: &[Advice],
    moved: &[(WhatIf, Option<Estimate>)],
    batches: Option<&[(usize, Estimate)]>,
) -> Json {
    let compared = answer.current.is_some();
    let row = |rank: Option<u64>, estimate: &Estimate| {
        PlanAnswer::compared(&Row { rank, estimate, current: answer.reference() }, compared)
    };
    let named = |named: &Named| {
        let meaning = named.best.meaning(subject.workload.purpose);
        (named.best.key().to_owned(), NamedPlan { meaning, plan: PlanAnswer::from(&named.estimate) })
    };
    let servers = subject.servers(&answer.best).into_iter();
    answer::json(&RankingAnswer {
        subject: subject.into(),
        space: answer.into(),
        current: answer.current.as_ref().map(CurrentPlan::from),
        named: answer.named.iter().map(named).collect(),
        deploy: answer
            .together()
            .map(|_| if answer.combined.is_some() { "combined" } else { "mixed_replicas" }),
        plans: answer.best.iter().zip(1..).map(|(estimate, n)| row(Some(n), estimate)).collect(),
        batches: batches
            .map(|all| rows(answer, all).iter().map(|row| PlanAnswer::compared(row, compared)).collect()),
        servers: servers.map(|(gpu, server)| (gpu.to_owned(), server)).collect(),
        calibrated_runner_up: answer.calibrated_runner_up().map(|next| row(None, next)),
        pareto: answer.pareto.iter().map(|estimate| row(None, estimate)).collect(),
        rejected: answer.rejected.iter().map(|r| RejectionAnswer::of(subject, r)).collect(),
        combined: answer.combined.as_ref().map(CombinedAnswer::from),
        mixed_replicas: answer.mixed.as_ref().map(CombinedAnswer::from),
        advice: advice
            .iter()
            .map(|a| AdviceAnswer { change: &a.change, plan: PlanAnswer::from(&a.best) })
            .collect(),
        what_if: moved
            .iter()
            .map(|(change, best)| WhatIfAnswer {
                change: change.knob.name(),
                percent: Digits(change.percent),
                plan: best.as_ref().map(PlanAnswer::from),
            })
            .collect(),
        notes: subject.notes().into_iter().chain(remarks(subject, answer)).collect(),
    })
}

/// A plan in a few words.
pub fn describe(plan: &Plan) -> String {
    match &plan.prefill {
        None => plan.layout.parallelism.to_string(),
        Some(prefill) => format!("prefill {}, decode {}", prefill.parallelism, plan.layout.parallelism),
    }
}

/// One plan in every detail.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Estimate")]
pub struct EstimateAnswer<'a> {
    #[serde(flatten)]
    subject: SubjectAnswer<'a>,
    #[serde(flatten)]
    plan: PlanAnswer<Unranked>,
    /// Whether it can be deployed within the targets.
    feasible: bool,
    /// Why not.
    reasons: Vec<ReasonAnswer>,
    /// What it has room for.
    room: RoomAnswer,
    /// What would make it fit, where it does not.
    remedies: Vec<RemedyAnswer<'a>>,
    /// What to know of the model and the engine.
    notes: Vec<String>,
    #[serde(flatten)]
    launched: Option<LaunchedAnswer<'a>>,
}

/// One estimate with its reasons, if it is not feasible.
pub fn estimate_answer<'a>(
    subject: &Subject<'a>,
    estimate: &Estimate,
    reasons: &[Reason],
    fit: &'a Fit,
) -> EstimateAnswer<'a> {
    EstimateAnswer {
        subject: subject.into(),
        plan: estimate.into(),
        feasible: reasons.is_empty(),
        reasons: reasons.iter().map(ReasonAnswer::from).collect(),
        room: RoomAnswer::of(estimate, fit),
        remedies: fit.remedies.iter().map(RemedyAnswer::from).collect(),
        notes: subject.notes(),
        launched: None,
    }
}

impl<'a> EstimateAnswer<'a> {
    /// The estimate of a launch: what the launch says stands in place of the plan's own, and beside it what the plan has no
    /// place for. `main` is the server that the plan is of, `refused` why its engine would not start it.
    #[must_use]
    pub fn launched(
        mut self,
        servers: &'a [Server],
        (main, refused): (&'a Server, &[String]),
        better: Option<Improvement<'a>>,
    ) -> EstimateAnswer<'a> {
        self.reasons.splice(0..0, refused.iter().map(|why| ReasonAnswer::refused(why)));
        self.feasible = self.reasons.is_empty();
        stated(main).for_each(|(column, value)| self.plan.cells.put(column, value));
        self.launched = Some(LaunchedAnswer::of(servers, main, better));
        self
    }

    /// As JSON.
    pub fn json(&self) -> Json {
        answer::json(self)
    }
}
