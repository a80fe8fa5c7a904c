//! `summary.md`: the questions and their answers, what has changed, what it rests on.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::facts::{Fact, Facts};
use super::questions::Answered;
use super::review::Review;
use crate::report::cell::short;
use crate::units::group_thousands;

/// Questions that are listed; the report and the tables have all.
const LISTED: usize = 200;

/// Changes that are listed.
const CHANGES: usize = 40;

/// A cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn real(x: f64) -> String {
    short(&x.into())
}

/// The whole summary.
pub fn markdown(review: &Review) -> String {
    let about = &review.header.about;
    let mut out = format!("# {}\n\n", about["name"].as_str().unwrap_or_default());
    if let Some(text) = about["about"].as_str() {
        let _ = writeln!(out, "{}\n", text.trim());
    }
    let facts = review.facts;
    let answered = review.answers.iter().filter(|a| a.found).count();
    let _ = writeln!(
        out,
        "{} cases, {} with a feasible plan; {} questions, {} answered.\n",
        group_thousands(facts.cases.len() as u64),
        group_thousands(facts.found() as u64),
        group_thousands(review.answers.len() as u64),
        group_thousands(answered as u64)
    );
    if let Some(text) = uncalibrated(facts, review.answers) {
        let _ = writeln!(out, "{text}\n");
    }
    if review.header.shard.of > 1 {
        let _ = writeln!(out, "This is shard {} of the run.\n", review.header.shard);
    }
    questions(&mut out, review);
    if let Some(comparison) = review.comparison {
        let _ = writeln!(out, "## What has changed\n\n{}", comparison.markdown(CHANGES));
    }
    assumptions(&mut out, about);
    out
}

/// How many answers are on GPUs without measurements, if any are.
pub fn uncalibrated(facts: &Facts, answers: &[Answered]) -> Option<String> {
    let marked: Vec<&Answered> = answers.iter().filter(|a| a.is_uncalibrated(facts)).collect();
    let beside = marked.iter().filter(|a| a.calibrated.is_some()).count();
    (!marked.is_empty()).then(|| {
        format!(
            "{} of {} answers are on GPUs that are uncalibrated: kernels of a relative or of their class stand in. \
             Beside {beside} of them the best with measured kernels is named.",
            group_thousands(marked.len() as u64),
            group_thousands(answers.iter().filter(|a| a.found).count() as u64)
        )
    })
}

fn questions(out: &mut String, review: &Review) {
    let _ = writeln!(out, "## Answers\n");
    out.push_str(
        "| model | workload | targets | best on | plan | GPUs | $/Mtok out | $/month | TTFT ms | TPOT ms | tok/s | best with measured kernels, where the best has none | what would change it |\n\
         | --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    for answer in review.answers.iter().take(LISTED) {
        let Some(fact) = answer.cases.first().map(|c| &review.facts.cases[*c]) else { continue };
        row(out, review, answer, fact);
    }
    if review.answers.len() > LISTED {
        let _ = writeln!(out, "\n{} more questions are in results.csv.", review.answers.len() - LISTED);
    }
    out.push('\n');
}

fn row(out: &mut String, review: &Review, answer: &Answered, fact: &Fact) {
    let text = |name| cell(review.facts.text(name));
    let _ = write!(out, "| {} | {} | {} |", text(fact.model), text(fact.workload), text(fact.targets));
    if answer.found {
        let mark = if fact.is_uncalibrated(review.facts) { " (uncalibrated)" } else { "" };
        let _ = write!(out, " {}{mark} | {} |", text(fact.cluster), text(fact.words));
        for figure in [fact.gpus, fact.cost, fact.monthly, fact.ttft, fact.tpot, fact.output] {
            let _ = write!(out, " {} |", real(figure));
        }
    } else {
        out.push_str(" none | | | | | | | |");
    }
    match answer.calibrated.map(|case| &review.facts.cases[case]) {
        Some(next) => {
            let figure = answer.measure.figure(next);
            let _ = write!(out, " {}: {}, {figure} |", text(next.cluster), text(next.words));
        }
        None if answer.is_uncalibrated(review.facts) => out.push_str(" none |"),
        None => out.push_str(" |"),
    }
    let _ = writeln!(out, " {} |", cell(&answer.change));
}

fn assumptions(out: &mut String, about: &Json) {
    let list = |key: &str| about[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().map(cell).unwrap_or_default();
    let _ = writeln!(out, "## Assumptions\n");
    let _ = writeln!(
        out,
        "Targets and times are means. Costs count the GPUs that a plan uses, 730 hours a month.\n"
    );
    out.push_str("| workload | lengths and load | remark |\n| --- | --- | --- |\n");
    for w in list("workloads") {
        let _ = writeln!(out, "| {} | {} | {} |", text(&w["name"]), text(&w["words"]), text(&w["comment"]));
    }
    out.push_str("\n| GPU | $/h | price seen | kernel times |\n| --- | ---: | --- | --- |\n");
    for gpu in list("gpus") {
        let price = gpu["price_usd_per_h"].as_f64().map_or("-".to_owned(), real);
        let seen = format!("{} {}", text(&gpu["price_source"]), text(&gpu["price_date"]));
        let kernels = gpu["kernels"].as_str().map_or("borrowed from its class".to_owned(), cell);
        let _ = writeln!(out, "| {} | {price} | {} | {kernels} |", text(&gpu["name"]), seen.trim());
    }
    let version = |e: &Json| format!("{} {}", text(&e["id"]), text(&e["version"]));
    let engines: Vec<String> = list("engines").iter().map(version).collect();
    let _ = writeln!(out, "\nEngines: {}. shardfit {}.", engines.join(", "), text(&about["version"]));
    for note in list("engines").iter().filter_map(|engine| engine["note"].as_str()) {
        let _ = writeln!(out, "\n{note}.");
    }
}
