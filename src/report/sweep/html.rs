//! `report.html`: one file with its data, its style and its scripts; it asks no network for anything.

use serde_json::{Map, Value as Json, json};

use super::columns::Head;
use super::facts::{Fact, Facts};
use super::questions::Answered;
use super::review::Review;
use crate::report::cell::round;

const PAGE: &str = include_str!("../../../assets/report/report.html");
const STYLE: &str = include_str!("../../../assets/report/report.css");
const SCRIPT: &str = include_str!("../../../assets/report/report.js");
const CHARTS: &str = include_str!("../../../assets/report/charts.js");
const TABLES: &str = include_str!("../../../assets/report/tables.js");
const UPLOT: &str = include_str!("../../../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../../assets/uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../../../assets/uplot/LICENSE");

/// Cases that the page holds; the tables beside it have all.
const CASES: usize = 5000;

/// Questions that it holds.
const QUESTIONS: usize = 2000;

/// Points of one front, and of all fronts together.
const FRONT: usize = 24;
const FRONTS: usize = 20_000;

/// What the page holds of the cases.
pub struct Rows {
    /// Where in a row each column stands that the page holds.
    places: Vec<usize>,
    names: Vec<&'static str>,
    rows: Vec<Json>,
    fronts: Vec<Json>,
    points: usize,
}

impl Rows {
    pub fn new(columns: &[Head]) -> Rows {
        let held = columns.iter().enumerate().filter(|(_, head)| head.on_page);
        let (places, names) = held.map(|(place, head)| (place, head.name)).unzip();
        Rows { places, names, rows: Vec::new(), fronts: Vec::new(), points: 0 }
    }

    /// Takes a row in, as long as there is room.
    pub fn add(&mut self, cells: &[Json]) {
        if self.rows.len() < CASES {
            let cell = |place: &usize| cells.get(*place).cloned().unwrap_or(Json::Null);
            self.rows.push(Json::Array(self.places.iter().map(cell).collect()));
        }
    }

    /// Takes the front of the group whose case came last, as long as there is room.
    pub fn add_front(&mut self, facts: &Facts, front: &Json) {
        let (Some(points), Some(last)) = (front.as_array().filter(|f| !f.is_empty()), facts.cases.last())
        else {
            return;
        };
        if self.points >= FRONTS || self.rows.len() >= CASES {
            return;
        }
        // Evenly spaced, both ends among them.
        let n = points.len().min(FRONT);
        let place = |i: usize| i * (points.len() - 1) / (n - 1).max(1);
        let kept: Vec<Json> = (0..n).map(|i| points[place(i)].clone()).collect();
        self.points += n;
        let name = |name| facts.text(name);
        self.fronts.push(json!([name(last.model), name(last.cluster), name(last.workload), kept]));
    }
}

/// The page.
pub fn page(review: &Review, rows: &Rows) -> String {
    let title = review.header.about["name"].as_str().unwrap_or("sweep");
    // Nothing in a text may look like an element, least of all like the end of a script.
    let data = data(review, rows).to_string().replace('<', "\\u003c");
    fill(
        PAGE,
        &[
            ("title", &escape(title)),
            ("uplot-style", UPLOT_STYLE),
            ("style", STYLE),
            ("uplot-licence", UPLOT_LICENCE.trim()),
            ("uplot", UPLOT),
            ("tables", TABLES),
            ("charts", CHARTS),
            ("script", SCRIPT),
            ("data", &data),
        ],
    )
}

/// A template with its `{{names}}` replaced; what they are replaced by is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    out + rest
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn data(review: &Review, rows: &Rows) -> Json {
    let facts = review.facts;
    let answers = review.answers.iter().take(QUESTIONS);
    json!({
        "about": review.header.about,
        "shard": (review.header.shard.of > 1).then(|| review.header.shard.to_string()),
        "cases": facts.cases.len(),
        "found": facts.found(),
        "questions": review.answers.len(),
        "answered": review.answers.iter().filter(|a| a.found).count(),
        "answers": answers.map(|a| answer(facts, a)).collect::<Vec<_>>(),
        "columns": rows.names,
        "rows": rows.rows,
        "fronts": rows.fronts,
        "comparison": review.comparison.map(|c| c.json()),
    })
}

fn answer(facts: &Facts, answered: &Answered) -> Json {
    let mut map = Map::new();
    if let Some(fact) = answered.cases.first().map(|c| &facts.cases[*c]) {
        let names = [
            ("model", fact.model),
            ("workload", fact.workload),
            ("targets", fact.targets),
            ("objective", fact.objective),
        ];
        map.extend(names.map(|(key, name)| (key.to_owned(), Json::from(facts.text(name)))));
        map.insert("best".into(), if answered.found { best(facts, fact) } else { Json::Null });
    }
    let calibrated = answered.calibrated.map(|case| best(facts, &facts.cases[case]));
    map.insert("calibrated".into(), calibrated.unwrap_or(Json::Null));
    map.insert("measure".into(), Json::from(answered.measure.name()));
    map.insert("lead".into(), answered.lead.map_or(Json::Null, round));
    map.insert("change".into(), Json::from(answered.change.as_str()));
    let cases = answered.cases.iter().map(|c| facts.cases[*c].case);
    map.insert("cases".into(), cases.collect::<Vec<_>>().into());
    Json::Object(map)
}

fn best(facts: &Facts, fact: &Fact) -> Json {
    json!({
        "cluster": facts.text(fact.cluster),
        "plan": facts.text(fact.words),
        "fits": fact.fits,
        "provenance": fact.provenance.map(|name| facts.text(name)),
        "gpus": round(fact.gpus),
        "cost": round(fact.cost),
        "monthly": round(fact.monthly),
        "ttft": round(fact.ttft),
        "tpot": round(fact.tpot),
        "output": round(fact.output),
        "headroom": round(fact.load_headroom),
        "memory_left_gib": round(fact.headroom_gib),
        "tightest": fact.tightest.map(|name| facts.text(name)),
        "tightest_percent": round(fact.tightest_percent),
    })
}
