//! Whole numbers as people type them.

use std::ops::RangeInclusive;

/// Characters of a wrong number that a message repeats.
const LONGEST: usize = 40;

/// A whole number in digits, within `allowed`. `2k` is refused: some read it as 2000, some as 2048.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn whole_number(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let (from, to) = (allowed.start(), allowed.end());
    let range = format!("a whole number from {from} to {to}");
    let text = text.trim();
    let shown = if text.chars().count() > LONGEST { "this".to_owned() } else { format!("`{text}`") };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if digits(text) {
        return match text.parse() {
            Ok(n) if allowed.contains(&n) => Ok(n),
            _ => Err(format!("{shown} is out of range; expected {range}")),
        };
    }
    let letter = text.chars().next_back().map_or(0, char::len_utf8);
    let (count, unit) = text.split_at(text.len() - letter);
    let scales = match unit {
        "k" | "K" => Some((1000, 1024)),
        "m" | "M" => Some((1_000_000, 1 << 20)),
        _ => None,
    };
    if let (Some((decimal, binary)), Ok(n)) = (scales, count.trim().parse::<u32>()) {
        let n = u64::from(n);
        return Err(format!(
            "{shown} could mean {} or {}; write the number in digits",
            n * decimal,
            n * binary
        ));
    }
    if text.strip_prefix('-').is_some_and(digits) {
        return Err(format!("{shown} is negative; expected {range}"));
    }
    if digits(&text.replace(['_', ',', ' ', '.'], "")) {
        return Err(format!("{shown} is not a whole number; expected {range}, in digits alone"));
    }
    Err(format!("{shown} is not a number; expected {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_count_with_a_letter_is_refused_with_both_readings() {
        let message = whole_number("32k", 1..=100_000_000).unwrap_err();
        assert!(message.contains("32000 or 32768"), "{message}");
        assert_eq!(whole_number(" 2048 ", 1..=4096), Ok(2048));
    }

    proptest! {
        #[test]
        fn reading_a_whole_number_never_panics(text in "\\PC*") {
            let _ = whole_number(&text, 1..=10);
        }
    }
}
