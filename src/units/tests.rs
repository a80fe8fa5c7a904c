use super::*;
use proptest::prelude::*;

#[test]
fn decimal_and_binary_bytes_are_told_apart() {
    assert_eq!("80 GB".parse::<Bytes>().unwrap().get(), 80_000_000_000);
    assert_eq!("80 GiB".parse::<Bytes>().unwrap().get(), 85_899_345_920);
}

#[test]
fn a_bare_number_is_refused_with_an_example() {
    let message = "141".parse::<Bytes>().unwrap_err();
    assert!(message.contains("has no unit"), "{message}");
    assert!(message.contains("141 GB"), "{message}");
}

#[test]
fn an_unknown_unit_lists_the_allowed_ones() {
    let message = "4.8 TBps".parse::<BytesPerSecond>().unwrap_err();
    assert!(message.contains("unknown unit `TBps`") && message.contains("TB/s"), "{message}");
}

#[test]
fn a_price_per_hour_and_a_rate_give_dollars_per_million_tokens() {
    // 3600 USD/h at 1,000 tok/s is 1 USD/s for 1,000 tokens: 1,000 USD per million.
    let usd = UsdPerHour::new(3600.0).per_million_tokens(TokensPerSecond::new(1000.0));
    assert!((usd.get() - 1000.0).abs() < 1e-9);
}

#[test]
fn exponents_are_numbers_not_units() {
    assert_eq!("1.5e-3 s".parse::<Seconds>().unwrap().get(), 1.5e-3);
    assert_eq!("2e3 W".parse::<Watts>().unwrap().get(), 2000.0);
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC*") {
        let _ = text.parse::<Bytes>();
        let _ = text.parse::<Seconds>();
    }

    #[test]
    fn what_is_written_with_a_unit_reads_back(us in 1e-3f64..1e9) {
        let parsed: Seconds = format!("{us} us").parse().unwrap();
        prop_assert!((parsed.as_micros() / us - 1.0).abs() < 1e-12);
    }

    #[test]
    fn thousands_grouping_keeps_the_digits(n: u64) {
        prop_assert_eq!(group_thousands(n).replace(',', ""), n.to_string());
    }
}
