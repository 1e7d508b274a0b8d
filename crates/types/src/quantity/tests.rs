use keelson_fuzzing::{Texts, fuzz};
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Quantity {
    text.parse().expect("a quantity")
}

#[test]
fn quantities_print_in_canonical_form() {
    for (text, canonical) in [
        ("0", "0"),
        ("1", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("100m", "100m"),
        ("0.1m", "100u"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1Ki", "1Ki"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("12e6", "12e6"),
        ("12E6", "12e6"),
        ("1e3", "1e3"),
        ("1e-3", "1e-3"),
        (".5", "500m"),
        ("5.", "5"),
        ("+5", "5"),
        ("-5Mi", "-5Mi"),
        ("64Mi", "64Mi"),
        ("500G", "500G"),
        ("9223372036854775807", "9223372036854775807"),
        ("100E", "9223372036854775807"),
    ] {
        assert_eq!(parse(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn what_is_no_quantity_is_refused() {
    for text in ["", "-", ".", "abc", "1.2.3", "1 Gi", "1gi", "1K", "1e", "1mm", "0x1", "--1", "1e1.5"] {
        assert_eq!(text.parse::<Quantity>(), Err(Error), "{text}");
    }
}

#[test]
fn amounts_compare_whatever_their_suffix() {
    assert_eq!(parse("1Ki"), parse("1024"));
    assert!(parse("1G") < parse("1Gi"));
    assert_eq!(parse("100m").millis(), 100);
    assert_eq!(parse("100u").millis(), 1);
    assert_eq!(parse("1.1").units(), 2);
    assert_eq!((parse("1Gi") + parse("1Gi")).to_string(), "2Gi");
    assert_eq!((parse("1") - parse("250m")).to_string(), "750m");
}

proptest! {
    #[test]
    fn printing_and_parsing_keeps_the_amount(nanos in -MAX..MAX, form in 0..3) {
        let format = [Format::DecimalSi, Format::BinarySi, Format::DecimalExponent][form as usize];
        let quantity = Quantity { nanos, format };
        let again = parse(&quantity.to_string());
        prop_assert_eq!(again.nanos, quantity.nanos);
        prop_assert_eq!(again.to_string(), quantity.to_string());
    }

    #[test]
    fn addition_is_commutative(a in -MAX / 2..MAX / 2, b in -MAX / 2..MAX / 2) {
        let (a, b) = (Quantity { nanos: a, format: Format::DecimalSi }, Quantity { nanos: b, format: Format::DecimalSi });
        prop_assert_eq!(a + b, b + a);
        prop_assert_eq!(a + b - b, a);
    }
}

#[test]
fn what_is_a_quantity_is_printed_and_read_again() {
    let seeds = ["100m", "1.5Gi", "2e3", "-1", "+0.000000001", "9223372036854775807", "1E", "1Ki", "12E-3", "0"];
    let suffixes =
        ["n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e", "E-", "e+", "."];
    fuzz!(Texts::new(&seeds, &suffixes), |text| {
        let Ok(quantity) = text.parse::<Quantity>() else { return false };
        let printed = quantity.to_string();
        let again: Quantity = printed.parse().expect("what is printed is a quantity");
        assert_eq!(again, quantity, "{printed}");
        assert_eq!(again.to_string(), printed);
        assert!(quantity.nanos.abs() <= MAX);
        assert_eq!(quantity - quantity, Quantity::ZERO);
        let _ = (quantity.units(), quantity.millis(), quantity + quantity);
        true
    });
}
