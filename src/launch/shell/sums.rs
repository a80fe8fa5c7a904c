//! Sums of whole numbers as shells work them out, in the order of C.

use super::words::is_name;

/// What a sum comes to: `32*1024`, `TP * PP`, `CONC >= 16` (1 or 0); `number` gives the variables. `None` where it is no
/// sum of numbers that are known, or too large.
pub(super) fn sum(text: &str, mut number: impl FnMut(&str) -> Option<i64>) -> Option<i64> {
    let mut tokens: Vec<String> = Vec::new();
    for c in text.chars().filter(|c| !matches!(c, '$' | '{' | '}' | '"')) {
        let joins = c.is_ascii_alphanumeric() || c == '_';
        let pairs = |last: &str| {
            matches!(last, "<" | ">" | "=" | "!") && c == '=' || matches!((last, c), ("&", '&') | ("|", '|'))
        };
        match tokens.last_mut() {
            Some(last) if joins && last.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                last.push(c)
            }
            Some(last) if pairs(last) => last.push(c),
            _ => tokens.push(c.to_string()),
        }
    }
    tokens.retain(|token| !token.trim().is_empty());
    let mut figures = Vec::new();
    for token in tokens {
        figures.push(match token.parse::<i64>() {
            Ok(number) => Figure::Number(number),
            Err(_) if is_name(&token) => Figure::Number(number(&token)?),
            Err(_) => Figure::Sign(token),
        });
    }
    let mut at = 0;
    let value = level(&figures, &mut at, 0, 0)?;
    (at == figures.len()).then_some(value)
}

/// A part of a sum.
#[derive(Clone)]
enum Figure {
    Number(i64),
    Sign(String),
}

/// How deep sums may be nested.
const MAX_BRACKETS: usize = 16;

/// Signs that bind equally, the loosest first.
const LEVELS: [&[&str]; 6] =
    [&["||"], &["&&"], &["==", "!="], &["<", ">", "<=", ">="], &["+", "-"], &["*", "/", "%"]];

fn level(figures: &[Figure], at: &mut usize, of: usize, depth: usize) -> Option<i64> {
    let Some(signs) = LEVELS.get(of) else { return factor(figures, at, depth) };
    let mut value = level(figures, at, of + 1, depth)?;
    while let Some(Figure::Sign(sign)) = figures.get(*at)
        && signs.contains(&sign.as_str())
    {
        *at += 1;
        let next = level(figures, at, of + 1, depth)?;
        value = match sign.as_str() {
            "||" => i64::from(value != 0 || next != 0),
            "&&" => i64::from(value != 0 && next != 0),
            "==" => i64::from(value == next),
            "!=" => i64::from(value != next),
            "<" => i64::from(value < next),
            ">" => i64::from(value > next),
            "<=" => i64::from(value <= next),
            ">=" => i64::from(value >= next),
            "+" => value.checked_add(next)?,
            "-" => value.checked_sub(next)?,
            "*" => value.checked_mul(next)?,
            "/" => value.checked_div(next)?,
            _ => value.checked_rem(next)?,
        };
    }
    Some(value)
}

fn factor(figures: &[Figure], at: &mut usize, depth: usize) -> Option<i64> {
    let figure = figures.get(*at)?;
    *at += 1;
    match figure {
        Figure::Number(number) => Some(*number),
        Figure::Sign(sign) if sign == "(" && depth < MAX_BRACKETS => {
            let value = level(figures, at, 0, depth + 1)?;
            *at += 1;
            matches!(figures.get(*at - 1), Some(Figure::Sign(sign)) if sign == ")").then_some(value)
        }
        Figure::Sign(_) => None,
    }
}
