//! Counts as people read them.

/// `1234567` as `1,234,567`.
pub fn group_thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count and its noun: `1 GPU`, `1,024 GPUs`.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", group_thousands(n), if n == 1 { "" } else { "s" })
}

/// A count with an SI letter: `70.6 B` parameters, `1.2 k` sequences.
pub fn si(value: f64) -> String {
    const STEPS: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")];
    for (scale, letter) in STEPS {
        if value.abs() >= scale {
            return format!("{:.2} {letter}", value / scale);
        }
    }
    format!("{value:.0}")
}
