//! Questions that differ in a few options, and what was found for each: a row beside the other.

use std::fmt::Write as _;

use itertools::Itertools as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::estimate::estimated::Estimate;
use crate::request::{SizedFleets, TimeTarget};
use crate::units::plural;

use super::answer;
use super::cell::Value;
use super::column;
use super::columns::{PLAN_COLUMNS, Row, columns};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;
use super::size::{FLEET_COLUMNS, FleetRow, fleet_table};
use super::subject::Subject;
use super::table::{Shown, common_values, describe_workload, shown_plans};

/// What was found for one of several questions.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The options in which the questions differ, by the fields of a request, with the values of this one.
    pub differs: Vec<(String, Json)>,
    /// What it is about: see [`Subject::asked`].
    pub asked: Vec<(&'static str, Value)>,
    /// Its lengths, load and targets in words.
    pub workload: String,
    /// The best that was found, if anything was.
    pub best: Option<Best>,
    /// Why nothing was found, or why what was asked about is no answer; empty where it is one.
    pub why: String,
    /// What tables show of its plans.
    pub shown: Shown,
    /// Whether it is the first of several that were found.
    pub ranked: bool,
}

/// The best answer of one question.
#[derive(Clone, Debug)]
pub enum Best {
    /// A plan.
    Plan(Box<Estimate>),
    /// Fleets, of which there is one at least.
    Fleets(Box<SizedFleets>),
}

impl Compared {
    /// What a question differs in and is about; what was found is added.
    pub fn new(differs: &[(String, Json)], subject: &Subject) -> Compared {
        Compared {
            differs: differs.to_vec(),
            asked: subject.asked(),
            workload: describe_workload(subject.workload, &subject.targets),
            best: None,
            why: String::new(),
            ranked: false,
            shown: Shown { several_gpus: subject.is_mixed(), ..Shown::default() },
        }
    }

    /// A question that there was no time for.
    pub fn unseen(differs: &[(String, Json)]) -> Compared {
        Compared {
            differs: differs.to_vec(),
            asked: Vec::new(),
            workload: String::new(),
            best: None,
            why: "not looked at: it was time to stop".to_owned(),
            ranked: false,
            shown: Shown::default(),
        }
    }

    /// What it is about, by name; nothing where there was no time to ask.
    fn about(&self, name: &str) -> Value {
        self.asked.iter().find(|(own, _)| *own == name).map_or(Value::Missing, |(_, value)| value.clone())
    }

    fn plan(&self) -> Option<Row<'_>> {
        match &self.best {
            Some(Best::Plan(estimate)) => Some(Row::from(estimate.as_ref())),
            _ => None,
        }
    }

    fn fleet(&self) -> Option<FleetRow<'_>> {
        match &self.best {
            Some(Best::Fleets(fleets)) => FleetRow::best(fleets),
            _ => None,
        }
    }
}

/// Several questions beside each other: `all` of them as rows, and their whole `answers`.
pub fn compared(all: &[Compared], answers: Vec<(Vec<(String, Json)>, Json)>) -> Report {
    Report::new(compared_page(all), compared_json(answers), compared_sheet(all))
}

/// The table of what was found, under what all questions have in common.
fn compared_page(all: &[Compared]) -> Page {
    let mut out = Page::default();
    let same = |name: &str| {
        let mut values = all.iter().filter(|one| !one.asked.is_empty()).map(|one| one.about(name));
        values.next().filter(|first| values.all(|v| v == *first))
    };
    let text = |value: Option<Value>| match value {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let model = text(same("model")).unwrap_or_else(|| "several models".to_owned());
    let place = text(same("cluster")).map_or(String::new(), |cluster| format!(" on {cluster}"));
    let best = match all.iter().any(|one| one.fleet().is_some()) {
        true => ", the best fleet of each",
        false if all.iter().any(|one| one.ranked) => ", the first plan of each",
        false => "",
    };
    let _ = writeln!(out, "{model}{place}: {}{best}", plural(all.len() as u64, "question"));
    match all.iter().filter(|one| !one.asked.is_empty()).map(|one| &one.workload).all_equal() {
        true => all.iter().take(1).for_each(|one| out.push_str(&format!("{}\n", one.workload))),
        false => {
            let common = COMMON.iter().filter_map(|(name, word, unit)| match same(name)? {
                Value::Missing | Value::Integer(0) => None,
                value => Some(format!("{word} {}{unit}", super::cell::short(&value))),
            });
            let common = common.collect::<Vec<_>>().join(", ");
            if !common.is_empty() {
                let _ = writeln!(out, "{common}");
            }
        }
    }
    let rows: Vec<Row> = all.iter().filter_map(Compared::plan).collect();
    let said = common_values(&rows);
    if !said.is_empty() {
        let _ = writeln!(out, "{said}");
    }
    out.push_str("\n");
    out.table(table(all));
    out
}

/// What a workload is made of, as questions may have it in common: name, word, unit.
const COMMON: [(&str, &str, &str); 9] = [
    ("isl", "isl", ""),
    ("cached_prefix", "tokens in the prefix cache", ""),
    ("osl", "osl", ""),
    ("concurrency", "in flight", ""),
    ("rate_per_s", "rate", " req/s"),
    ("users", "users", ""),
    ("target_ttft_ms", "TTFT ≤", " ms"),
    ("target_tpot_ms", "TPOT ≤", " ms"),
    ("target_e2e_ms", "e2e ≤", " ms"),
];

/// A row for each question: what it differs in, what was found, why nothing was.
fn table(all: &[Compared]) -> Sheet {
    let named = |name: &str| all.iter().any(|one| one.differs.iter().any(|(field, _)| field == name));
    let rows: Vec<Row> = all.iter().filter_map(Compared::plan).collect();
    let fleets: Vec<FleetRow> = all.iter().filter_map(Compared::fleet).collect();
    let found = match fleets.is_empty() {
        // What the questions differ in stands before, and of each there is one plan.
        true => {
            let own = columns(false).filter(|c| c.name != "rank" && !named(c.name));
            let shown = all.iter().map(|one| one.shown).fold(Shown::default(), Shown::or);
            shown_plans(own, &rows, shown)
        }
        false => fleet_table(&fleets, true),
    };
    let mut sheet = beside(all, &found);
    let fields = fields(all);
    let headings = fields.iter().map(|field| field.replace('_', " "));
    sheet.columns = headings.chain(sheet.columns).collect();
    for (row, one) in sheet.rows.iter_mut().zip(all) {
        let of = |field: &String| {
            one.differs.iter().find(|(name, _)| name == field).map_or(Value::Missing, |(_, v)| in_words(v))
        };
        row.splice(0..0, fields.iter().map(of));
    }
    if all.iter().all(|one| one.why.is_empty()) {
        sheet.columns.pop();
        sheet.rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    sheet
}

/// A row for each question that stands alone: what it is about, every figure of what was found, why nothing was.
fn compared_sheet(all: &[Compared]) -> Sheet {
    let rows: Vec<Row> = all.iter().filter_map(Compared::plan).collect();
    let fleets: Vec<FleetRow> = all.iter().filter_map(Compared::fleet).collect();
    let found = match fleets.is_empty() {
        true => column::sheet(columns(false).filter(|c| c.name != "rank"), &rows),
        false => {
            let replicas: Vec<Row> = fleets.iter().map(FleetRow::replica).collect();
            let of_one = PLAN_COLUMNS.iter().filter(|c| !c.of_deployment);
            column::sheet(FLEET_COLUMNS.iter(), &fleets).beside(column::sheet(of_one, &replicas))
        }
    };
    let mut sheet = beside(all, &found);
    // What was asked of a question without an answer is said in the columns of answers, or in one of its own.
    for field in &fields(all) {
        let at = sheet.columns.iter().position(|c| c == field);
        let own = all.first().is_some_and(|one| one.asked.iter().any(|(name, _)| name == field));
        let told =
            all.iter().any(|one| one.asked.iter().any(|(name, _)| TOLD.contains(&(field.as_str(), name))));
        match at {
            Some(at) => {
                for (row, one) in sheet.rows.iter_mut().zip(all) {
                    let value = one.differs.iter().find(|(name, _)| name == field);
                    if let (Value::Missing, Some((_, value))) = (&row[at], value) {
                        row[at] = in_words(value);
                    }
                }
            }
            None if own || told => {}
            None => {
                sheet.columns.insert(0, field.clone());
                for (row, one) in sheet.rows.iter_mut().zip(all) {
                    let value = one.differs.iter().find(|(name, _)| name == field);
                    row.insert(0, value.map_or(Value::Missing, |(_, value)| in_words(value)));
                }
            }
        }
    }
    let names: Vec<&str> = all.first().map_or(Vec::new(), |one| one.asked.iter().map(|(n, _)| *n).collect());
    let own: Vec<usize> =
        (0..names.len()).filter(|i| !sheet.columns.iter().any(|c| c == names[*i])).collect();
    sheet.columns.splice(0..0, own.iter().map(|i| names[*i].to_owned()));
    for (row, one) in sheet.rows.iter_mut().zip(all) {
        let about = |name: &str| match (one.about(name), one.differs.iter().find(|(field, _)| field == name))
        {
            (Value::Missing, Some((_, value))) => in_words(value),
            (value, _) => value,
        };
        row.splice(0..0, own.iter().map(|i| about(names[*i])));
    }
    sheet
}

/// Fields of requests that what a question is about tells under another name.
const TOLD: [(&str, &str); 4] = [
    ("rate", "rate_per_s"),
    ("ttft", "target_ttft_ms"),
    ("tpot", "target_tpot_ms"),
    ("e2e", "target_e2e_ms"),
];

/// The rows of what was found in the place of their questions, the others without figures, and why nothing was.
fn beside(all: &[Compared], found: &Sheet) -> Sheet {
    let mut rows = found.rows.iter();
    let row = |one: &Compared| {
        let figures = match one.best {
            Some(_) => rows.next().cloned().unwrap_or_default(),
            None => vec![Value::Missing; found.columns.len()],
        };
        let why = if one.why.is_empty() { Value::Missing } else { Value::Text(one.why.clone()) };
        figures.into_iter().chain([why]).collect()
    };
    let rows = all.iter().map(row).collect();
    let columns = found.columns.iter().cloned().chain(["why_not".to_owned()]).collect();
    Sheet { columns, rows, ..found.clone() }
}

/// The fields in which the questions differ, in order.
fn fields(all: &[Compared]) -> Vec<String> {
    all.first().map_or(Vec::new(), |one| one.differs.iter().map(|(field, _)| field.clone()).collect())
}

/// A value of a request as people read it.
fn in_words(value: &Json) -> Value {
    match value {
        Json::Number(n) => match (n.as_u64(), n.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) => real.into(),
            (None, None) => Value::Missing,
        },
        Json::String(text) => match text.parse::<TimeTarget>() {
            Ok(TimeTarget { at, limit }) => {
                let at = at.map_or(String::new(), |at| format!("{at} of "));
                Value::Text(format!("{at}{limit}"))
            }
            Err(_) => Value::Text(text.clone()),
        },
        Json::Null => Value::Missing,
        other => Value::Text(other.to_string()),
    }
}

/// Answers beside each other, each with what it differs in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Compared")]
pub(super) struct ComparedAnswers(Vec<ComparedAnswer>);

/// One of several answers: that of its question alone, and what the question differs in. Of one that there was no time for
/// it says `stopped` alone, of a layout that the engine does not take why not.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedAnswer")]
struct ComparedAnswer {
    /// The options in which the questions differ, by the fields of a request, with the values of this one.
    differs: Map<String, Json>,
    #[serde(flatten)]
    answer: Map<String, Json>,
}

/// A list of answers, each with what it differs in.
fn compared_json(answers: Vec<(Vec<(String, Json)>, Json)>) -> Json {
    let with = |(differs, answer): (Vec<(String, Json)>, Json)| ComparedAnswer {
        differs: differs.into_iter().collect(),
        answer: match answer {
            Json::Object(answer) => answer,
            _ => Map::new(),
        },
    };
    answer::json(&ComparedAnswers(answers.into_iter().map(with).collect()))
}
