//! Quantities as types: bytes, FLOPs, seconds, rates, money, power; how they combine, parse and print.
//!
//! Every quantity that crosses a module boundary is one of these newtypes. The only products and
//! quotients that compile are the ones that mean something (`Bytes / BytesPerSecond = Seconds`), and
//! every quantity in a catalogue file carries its unit (`bandwidth: 3.35 TB/s`).
//! GB is 10⁹ bytes and GiB is 2³⁰; both are accepted and never guessed.

mod schema;
mod whole;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use schema::schema;
pub use whole::{amount, token_count, whole_number};
pub use words::{group_thousands, plural, si};

/// Defines a quantity held as `f64`: arithmetic with itself, scaling by a number, ordering, sum.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $units:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// The zero of this quantity.
            pub const ZERO: $name = $name(0.0);

            /// Wraps a value in the base unit.
            #[inline]
            pub const fn new(value: f64) -> Self {
                $name(value)
            }

            /// The value in the base unit.
            #[inline]
            pub const fn get(self) -> f64 {
                self.0
            }

            /// The larger of two.
            #[inline]
            pub fn max(self, other: Self) -> Self {
                $name(self.0.max(other.0))
            }

            /// The smaller of two.
            #[inline]
            pub fn min(self, other: Self) -> Self {
                $name(self.0.min(other.0))
            }

            /// Total order, for ranking.
            #[inline]
            pub fn total_cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl Add for $name {
            type Output = Self;
            #[inline]
            fn add(self, rhs: Self) -> Self { $name(self.0 + rhs.0) }
        }
        impl AddAssign for $name {
            #[inline]
            fn add_assign(&mut self, rhs: Self) { self.0 += rhs.0; }
        }
        impl Sub for $name {
            type Output = Self;
            #[inline]
            fn sub(self, rhs: Self) -> Self { $name(self.0 - rhs.0) }
        }
        impl Mul<f64> for $name {
            type Output = Self;
            #[inline]
            fn mul(self, rhs: f64) -> Self { $name(self.0 * rhs) }
        }
        impl Div<f64> for $name {
            type Output = Self;
            #[inline]
            fn div(self, rhs: f64) -> Self { $name(self.0 / rhs) }
        }
        impl Div for $name {
            type Output = f64;
            #[inline]
            fn div(self, rhs: Self) -> f64 { self.0 / rhs.0 }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                $name(iter.map(|q| q.0).sum())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_any(QuantityVisitor { units: $units }).map($name)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema { schema($units) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            /// Parses a number with one of this quantity's units, e.g. `3.35 TB/s`.
            fn from_str(text: &str) -> Result<Self, String> {
                parse_with_unit(text, $units).map($name)
            }
        }
    };
}

// The first unit of each list is the usual one: messages show it in their example.
const DECIMAL_RATE: &[(&str, f64)] = &[
    ("GB/s", 1e9),
    ("TB/s", 1e12),
    ("MB/s", 1e6),
    ("B/s", 1.0),
    ("Gbit/s", 1.25e8),
    ("GiB/s", 1_073_741_824.0),
];
const BYTE_UNITS: &[(&str, f64)] = &[
    ("GB", 1e9),
    ("GiB", 1_073_741_824.0),
    ("MB", 1e6),
    ("MiB", 1_048_576.0),
    ("KB", 1e3),
    ("KiB", 1024.0),
    ("TB", 1e12),
    ("TiB", 1_099_511_627_776.0),
    ("B", 1.0),
];
const FLOP_UNITS: &[(&str, f64)] =
    &[("FLOP", 1.0), ("GFLOP", 1e9), ("TFLOP", 1e12), ("PFLOP", 1e15), ("EFLOP", 1e18)];
const FLOP_RATE: &[(&str, f64)] =
    &[("FLOP/s", 1.0), ("GFLOP/s", 1e9), ("TFLOP/s", 1e12), ("PFLOP/s", 1e15), ("TOP/s", 1e12)];
const TIME_UNITS: &[(&str, f64)] =
    &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("min", 60.0), ("h", 3600.0)];
const POWER_UNITS: &[(&str, f64)] = &[("W", 1.0), ("kW", 1e3)];
const RATE_UNITS: &[(&str, f64)] =
    &[("req/s", 1.0), ("req/min", 1.0 / 60.0), ("req/h", 1.0 / 3600.0), ("req/day", 1.0 / 86_400.0)];

quantity!(
    /// Time, in seconds.
    Seconds, TIME_UNITS
);
quantity!(
    /// Floating-point operations (a multiply-add counts as two).
    Flops, FLOP_UNITS
);
quantity!(
    /// Compute rate, FLOP per second.
    FlopsPerSecond, FLOP_RATE
);
quantity!(
    /// Data rate, bytes per second, one direction.
    BytesPerSecond, DECIMAL_RATE
);
quantity!(
    /// Memory traffic as a real number of bytes: expectations over routed experts are not whole.
    Traffic, BYTE_UNITS
);
quantity!(
    /// Electric power, watts.
    Watts, POWER_UNITS
);
quantity!(
    /// Energy, joules.
    Joules, &[("J", 1.0), ("kJ", 1e3)]
);
quantity!(
    /// Rental price, US dollars per hour.
    UsdPerHour, &[("USD/h", 1.0)]
);
quantity!(
    /// Price of electricity, US dollars per kilowatt-hour.
    UsdPerKilowattHour, &[("USD/kWh", 1.0)]
);
quantity!(
    /// US dollars.
    Usd, &[("USD", 1.0)]
);
quantity!(
    /// Throughput, tokens per second.
    TokensPerSecond, &[("tok/s", 1.0)]
);
quantity!(
    /// Load, requests per second.
    RequestsPerSecond, RATE_UNITS
);

impl Seconds {
    /// From microseconds.
    pub const fn micros(us: f64) -> Self {
        Seconds(us * 1e-6)
    }
    /// From milliseconds.
    pub const fn millis(ms: f64) -> Self {
        Seconds(ms * 1e-3)
    }
    /// In milliseconds.
    pub fn as_millis(self) -> f64 {
        self.0 * 1e3
    }
    /// In microseconds.
    pub fn as_micros(self) -> f64 {
        self.0 * 1e6
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        if s == 0.0 {
            f.write_str("0 s")
        } else if s.abs() < 1e-3 {
            write!(f, "{} us", significant(s * 1e6))
        } else if s.abs() < 1.0 {
            write!(f, "{} ms", significant(s * 1e3))
        } else if s.abs() < 1000.0 {
            write!(f, "{} s", significant(s))
        } else {
            write!(f, "{} s", group_thousands(s.round() as u64))
        }
    }
}

/// Three significant digits, without an exponent.
fn significant(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude >= 99.95 {
        format!("{x:.0}")
    } else if magnitude >= 9.995 {
        format!("{x:.1}")
    } else {
        format!("{x:.2}")
    }
}

impl Traffic {
    /// Traffic of a whole number of bytes.
    pub fn of(bytes: Bytes) -> Self {
        Traffic(bytes.0 as f64)
    }
}

impl Div<BytesPerSecond> for Traffic {
    type Output = Seconds;
    fn div(self, rhs: BytesPerSecond) -> Seconds {
        Seconds(self.0 / rhs.0)
    }
}

impl Div<FlopsPerSecond> for Flops {
    type Output = Seconds;
    fn div(self, rhs: FlopsPerSecond) -> Seconds {
        Seconds(self.0 / rhs.0)
    }
}

impl Mul<Seconds> for Watts {
    type Output = Joules;
    fn mul(self, rhs: Seconds) -> Joules {
        Joules(self.0 * rhs.0)
    }
}

impl Mul<UsdPerKilowattHour> for Watts {
    type Output = UsdPerHour;
    fn mul(self, rhs: UsdPerKilowattHour) -> UsdPerHour {
        UsdPerHour(self.0 / 1000.0 * rhs.0)
    }
}

impl Div<TokensPerSecond> for Watts {
    type Output = Joules;
    /// Energy of one token.
    fn div(self, rhs: TokensPerSecond) -> Joules {
        Joules(self.0 / rhs.0)
    }
}

impl Joules {
    /// In kilowatt-hours, for a million times this energy.
    pub fn as_kwh_per_million(self) -> f64 {
        self.0 * 1e6 / 3.6e6
    }
}

impl TokensPerSecond {
    /// `tokens` in `time`.
    pub fn of(tokens: f64, time: Seconds) -> Self {
        TokensPerSecond(tokens / time.0)
    }
}

impl UsdPerHour {
    /// Dollars per million tokens at a throughput: `price / 3600 / (tokens/s) × 10⁶`.
    pub fn per_million_tokens(self, rate: TokensPerSecond) -> Usd {
        Usd(self.0 / 3600.0 / rate.0 * 1e6)
    }
}

/// A whole number of bytes. Sums and products are checked: see [`Bytes::checked_mul`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Bytes = Bytes(0);

    /// Wraps a count of bytes.
    pub const fn new(bytes: u64) -> Self {
        Bytes(bytes)
    }
    /// From GiB (2³⁰ bytes), rounded to the nearest byte; negative values give zero.
    pub fn gib(gib: f64) -> Self {
        Bytes((gib * 1_073_741_824.0).round().max(0.0) as u64)
    }
    /// From a real number of bytes, rounded up; negative values give zero.
    pub fn ceil(bytes: f64) -> Self {
        Bytes(bytes.ceil().max(0.0) as u64)
    }
    /// The count.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// As a real number, for rates and ratios.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
    /// In GiB.
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / 1_073_741_824.0
    }
    /// `self − other`, or zero.
    pub fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }
    /// `self × n`, or `None` on overflow.
    pub fn checked_mul(self, n: u64) -> Option<Bytes> {
        self.0.checked_mul(n).map(Bytes)
    }
    /// Scales by a fraction, rounding down.
    pub fn scaled(self, ratio: f64) -> Bytes {
        Bytes((self.0 as f64 * ratio).max(0.0) as u64)
    }
}

impl Add for Bytes {
    type Output = Bytes;
    /// Saturates: a sum beyond 2⁶⁴ bytes fits nowhere in any case.
    fn add(self, rhs: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(rhs.0))
    }
}
impl AddAssign for Bytes {
    fn add_assign(&mut self, rhs: Bytes) {
        *self = *self + rhs;
    }
}
impl Mul<u64> for Bytes {
    type Output = Bytes;
    /// Saturates, for the same reason as addition.
    fn mul(self, rhs: u64) -> Bytes {
        Bytes(self.0.saturating_mul(rhs))
    }
}
impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes::ZERO, Add::add)
    }
}
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0 as f64;
        match self.0 {
            0..1024 => write!(f, "{} B", self.0),
            1024..1_048_576 => write!(f, "{:.2} KiB", b / 1024.0),
            1_048_576..1_073_741_824 => write!(f, "{:.2} MiB", b / 1_048_576.0),
            _ => write!(f, "{:.2} GiB", b / 1_073_741_824.0),
        }
    }
}
impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(QuantityVisitor { units: BYTE_UNITS }).map(|b| Bytes(b.round() as u64))
    }
}
impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(BYTE_UNITS)
    }
}
impl std::str::FromStr for Bytes {
    type Err = String;
    /// Parses `80 GB` or `64 GiB`.
    fn from_str(text: &str) -> Result<Self, String> {
        parse_with_unit(text, BYTE_UNITS).map(|b| Bytes(b.round() as u64))
    }
}

/// Parses `<number> <unit>` with one of `units`; the space is optional.
///
/// # Errors
/// A message that says what is wrong and which units are allowed.
pub fn parse_with_unit(text: &str, units: &[(&str, f64)]) -> Result<f64, String> {
    let allowed = || units.iter().map(|(u, _)| *u).collect::<Vec<_>>().join(", ");
    let text = text.trim();
    let split = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*c == '-' && *i == 0) || is_exponent(text, *i)))
        .map_or(text.len(), |(i, _)| i);
    let (number, unit) = (&text[..split], text[split..].trim());
    let value: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a number with a unit; allowed units: {}", allowed()))?;
    if unit.is_empty() {
        return Err(format!(
            "`{text}` has no unit; write for example {}; allowed units: {}",
            units.iter().take(2).map(|(unit, _)| format!("`{text} {unit}`")).collect::<Vec<_>>().join(" or "),
            allowed()
        ));
    }
    let known = |unit: &str| {
        let exact = units.iter().find(|(name, _)| *name == unit);
        exact
            .or_else(|| units.iter().find(|(name, _)| name.eq_ignore_ascii_case(in_full(unit))))
            .map(|(_, scale)| *scale)
    };
    // `800k req/day`, `1M/day`: a thousand of a unit that stands apart.
    let thousands = || {
        let times = match unit.chars().next()? {
            'k' | 'K' => 1e3,
            'M' => 1e6,
            'B' => 1e9,
            _ => return None,
        };
        let of = unit.get(1..).filter(|of| of.starts_with([' ', '/']))?;
        Some(known(of.trim())? * times)
    };
    let scale = known(unit)
        .or_else(thousands)
        .ok_or_else(|| format!("unknown unit `{unit}` in `{text}`; allowed units: {}", allowed()))?;
    match value * scale {
        x if x < 0.0 => Err(format!("`{text}` is negative")),
        x if x.is_finite() => Ok(x),
        _ => Err(format!("`{text}` is out of range")),
    }
}

/// The usual short form of a unit that is written out or in other words.
fn in_full(unit: &str) -> &str {
    const LONG: &[(&str, &[&str])] = &[
        ("s", &["sec", "secs", "second", "seconds"]),
        ("ms", &["msec", "msecs", "millis", "milliseconds"]),
        ("min", &["mins", "minute", "minutes"]),
        ("h", &["hr", "hrs", "hour", "hours"]),
        ("req/s", &["rps", "qps", "/s", "req/sec", "requests/s", "per second"]),
        ("req/min", &["rpm", "/min", "requests/min", "per minute"]),
        ("req/h", &["/h", "req/hour", "requests/h", "per hour"]),
        ("req/day", &["/day", "requests/day", "per day"]),
    ];
    let is = |(_, others): &&(&str, &[&str])| others.iter().any(|other| other.eq_ignore_ascii_case(unit));
    LONG.iter().find(is).map_or(unit, |(short, _)| short)
}

/// Whether the character at `i` belongs to an exponent such as the `e-3` of `1e-3`.
fn is_exponent(text: &str, i: usize) -> bool {
    let bytes = text.as_bytes();
    let digit_at = |j: usize| bytes.get(j).is_some_and(u8::is_ascii_digit);
    match bytes[i] {
        b'e' | b'E' => {
            i > 0 && (digit_at(i + 1) || (matches!(bytes.get(i + 1), Some(b'-' | b'+')) && digit_at(i + 2)))
        }
        b'-' | b'+' => i > 0 && matches!(bytes[i - 1], b'e' | b'E') && digit_at(i + 1),
        _ => false,
    }
}

/// Reads a quantity from a string with a unit; a bare number is an error that shows an example.
struct QuantityVisitor {
    units: &'static [(&'static str, f64)],
}

impl Visitor<'_> for QuantityVisitor {
    type Value = f64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: Vec<_> = self.units.iter().map(|(u, _)| *u).collect();
        write!(f, "a number with a unit ({})", units.join(", "))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        parse_with_unit(text, self.units).map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        self.visit_str(&value.to_string())
    }
}

#[cfg(test)]
mod tests;
