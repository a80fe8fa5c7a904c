//! Whole numbers as people type them.

use std::ops::RangeInclusive;

/// Characters of a wrong number that a message repeats.
const LONGEST: usize = 40;

/// Tokens, as benchmarks and context sizes write them: digits, `2k` = 2,048, `1.5k` = 1,536, `1m` = 1,048,576.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn token_count(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    scaled(text, allowed, [1 << 10, 1 << 20])
}

/// How many of something that is counted by the thousand: digits, `10k` = 10,000, `1m` = 1,000,000.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn amount(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    scaled(text, allowed, [1_000, 1_000_000])
}

/// A wrong number in a message.
fn shown(text: &str) -> String {
    if text.chars().count() > LONGEST { "this".to_owned() } else { format!("`{text}`") }
}

/// A whole number in digits, or so many thousands or millions of this size.
fn scaled(text: &str, allowed: RangeInclusive<u64>, sizes: [u64; 2]) -> Result<u64, String> {
    let trimmed = text.trim();
    let (number, size) = match trimmed.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&trimmed[..at], sizes[0]),
        Some((at, 'm' | 'M')) => (&trimmed[..at], sizes[1]),
        _ => return whole_number(text, allowed),
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let said = match number.trim().parse::<f64>() {
        Ok(n) if plain && n >= 0.0 => n * size as f64,
        _ => return whole_number(text, allowed),
    };
    // A fraction of a thousand is whole; what is not was not meant. Doubles are exact this far.
    let exact = said.fract() == 0.0 && said < (1_u64 << 53) as f64;
    match said as u64 {
        n if exact && allowed.contains(&n) => Ok(n),
        _ => Err(format!(
            "{} is out of range; expected a whole number from {} to {}",
            shown(trimmed),
            allowed.start(),
            allowed.end()
        )),
    }
}

/// A whole number in digits, within `allowed`. `2k` is refused: some read it as 2000, some as 2048.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn whole_number(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let (from, to) = (allowed.start(), allowed.end());
    let range = format!("a whole number from {from} to {to}");
    let text = text.trim();
    let shown = shown(text);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if digits(text) {
        return match text.parse() {
            Ok(n) if allowed.contains(&n) => Ok(n),
            _ => Err(format!("{shown} is out of range; expected {range}")),
        };
    }
    // `1e6` is as plain as digits are. Doubles are exact this far.
    let power = text.contains(['e', 'E']).then(|| text.parse::<f64>().ok()).flatten();
    if let Some(n) = power.filter(|n| n.fract() == 0.0 && *n >= 0.0) {
        return match n as u64 {
            whole if n < (1_u64 << 53) as f64 && allowed.contains(&whole) => Ok(whole),
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

    #[test]
    fn tokens_count_1024_to_the_k_and_requests_1000() {
        for (text, tokens) in [("2k", 2048), ("128K", 131_072), ("1m", 1 << 20), ("1.5k", 1536), ("700", 700)]
        {
            assert_eq!(token_count(text, 1..=1 << 20), Ok(tokens), "{text}");
        }
        assert_eq!(amount("10k", 1..=1 << 20), Ok(10_000));
        for wrong in ["k", "2kk", "-2k", "0.3333k", "1e3k", "9999999k", "2 kb"] {
            assert!(token_count(wrong, 1..=1 << 20).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn reading_tokens_never_panics(text in "\\PC*[kKmM]?") {
            let _ = token_count(&text, 1..=10);
        }

        #[test]
        fn reading_a_whole_number_never_panics(text in "\\PC*") {
            let _ = whole_number(&text, 1..=10);
        }
    }
}
