//! Traffic of the months to come, from a CSV file.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::units::RequestsPerSecond;

/// Months accepted: a century.
const MAX_MONTHS: usize = 1200;

/// The traffic of one month.
#[derive(Clone, Debug, PartialEq)]
pub struct Month {
    /// As the file has it, `2027-01`.
    pub month: String,
    /// Requests per second in its busiest hour.
    pub rate: RequestsPerSecond,
}

/// Reads a file with the columns `month` and `rate_per_s` (or `rate`), in the order of time.
///
/// # Errors
/// What is wrong, with file and line: a missing column, a month that is not `YYYY-MM` or not after the one
/// before it, a rate that is no number.
pub fn read(path: &Path) -> Result<Vec<Month>, Diagnostic> {
    let place = path.display().to_string();
    parse(&load::text(path)?, &place)
}

fn parse(text: &str, place: &str) -> Result<Vec<Month>, Diagnostic> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let wrong =
        |line: u64, cause: String| Diagnostic::new(Code::Syntax, cause).at(format!("{place}, line {line}"));
    let header = reader.headers().map_err(|e| wrong(1, format!("not valid CSV: {e}")))?.clone();
    let column = |names: &[&str]| {
        let found = names.iter().find_map(|name| header.iter().position(|h| h == *name));
        found.ok_or_else(|| {
            wrong(1, format!("no column `{}`", names[0]))
                .help("a forecast has the columns month and rate_per_s")
        })
    };
    let (month, rate) = (column(&["month"])?, column(&["rate_per_s", "rate"])?);
    let mut months: Vec<Month> = Vec::new();
    for record in reader.records() {
        let record = record
            .map_err(|e| wrong(e.position().map_or(0, csv::Position::line), format!("not valid CSV: {e}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        let (month, rate) = (record.get(month).unwrap_or(""), record.get(rate).unwrap_or(""));
        if !is_month(month) {
            return Err(wrong(line, format!("`{month}` is not a month")).help("write it as 2027-01"));
        }
        if months.last().is_some_and(|before| before.month.as_str() >= month) {
            return Err(
                wrong(line, "months must follow each other".into()).help("sort the file by its first column")
            );
        }
        let per_second = rate.parse::<f64>().ok().filter(|r| *r > 0.0 && *r <= 1e9);
        let per_second = per_second.ok_or_else(|| {
            wrong(line, format!("`{rate}` is not a rate"))
                .help("requests per second, above 0 and at most 1e9")
        })?;
        months.push(Month { month: month.to_owned(), rate: RequestsPerSecond::new(per_second) });
    }
    match months.len() {
        0 => Err(wrong(1, "the forecast has no months".into())),
        n if n > MAX_MONTHS => {
            Err(wrong(1, format!("{n} months are too many")).help(format!("at most {MAX_MONTHS}")))
        }
        _ => Ok(months),
    }
}

/// Whether a text is a year and a month.
fn is_month(text: &str) -> bool {
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((year, month)) => {
            digits(year, 4) && digits(month, 2) && month.parse().is_ok_and(|m: u8| (1..=12).contains(&m))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_rates_are_read_in_order() {
        let months = parse("month,rate_per_s\n2027-01,12.5\n2027-03, 20\n", "f").unwrap();
        assert_eq!(months.len(), 2);
        assert_eq!((months[1].month.as_str(), months[1].rate.get()), ("2027-03", 20.0));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line) in [
            ("month,load\n2027-01,3\n", "line 1"),
            ("month,rate\n2027-13,3\n", "line 2"),
            ("month,rate\n2027-02,3\n2027-01,4\n", "line 3"),
            ("month,rate\n2027-02,-3\n", "line 2"),
            ("month,rate\n", "line 1"),
        ] {
            let place = parse(text, "f").unwrap_err().place.unwrap();
            assert!(place.ends_with(line), "{text}: {place}");
        }
    }
}
