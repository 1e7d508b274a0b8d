//! Amounts of resources: `100m`, `1.5Gi`, `2e3`. Parsed exactly and printed in Kubernetes' canonical form.
//!
//! Source: k8s.io/apimachinery/pkg/api/resource; magnitudes are capped at 2^63-1 and precision at nanos, rounded up.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;

const NANOS: i128 = 1_000_000_000;
const MAX: i128 = i64::MAX as i128 * NANOS;

/// How an amount was written and is printed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `100m`, `5k`
    #[default]
    DecimalSi,
    /// `64Mi`
    BinarySi,
    /// `12e6`
    DecimalExponent,
}

/// An exact amount. Equality and order look at the amount only, not at how it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// The text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct Error;

impl Quantity {
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSi };

    /// Whole units: bytes, pods.
    pub const fn from_units(units: i64) -> Self {
        Quantity { nanos: units as i128 * NANOS, format: Format::DecimalSi }
    }

    /// Whole units printed with binary suffixes.
    pub const fn from_bytes(bytes: i64) -> Self {
        Quantity { nanos: bytes as i128 * NANOS, format: Format::BinarySi }
    }

    /// Thousandths: millicores.
    pub const fn from_millis(millis: i64) -> Self {
        Quantity { nanos: millis as i128 * 1_000_000, format: Format::DecimalSi }
    }

    /// Billionths, such as the cores that somebody uses.
    pub const fn from_nanos(nanos: i64) -> Self {
        Quantity { nanos: nanos as i128, format: Format::DecimalSi }
    }

    /// Billionths: exact, but for what has more than 64 bits, which is capped.
    pub fn nanos(self) -> i64 {
        self.scaled(1)
    }

    /// Whole units, rounded away from zero.
    pub fn units(self) -> i64 {
        self.scaled(NANOS)
    }

    /// Thousandths, rounded away from zero, and capped.
    pub fn millis(self) -> i64 {
        self.scaled(1_000_000)
    }

    fn scaled(self, unit: i128) -> i64 {
        let rounded = divide_up(self.nanos, unit);
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// Half of it, rounded towards zero.
    #[must_use]
    pub const fn half(self) -> Self {
        Quantity { nanos: self.nanos / 2, format: self.format }
    }

    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

fn divide_up(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    if value % by == 0 { quotient } else { quotient + value.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Quantity;

    /// The sum, capped, written like the first that is not zero.
    fn add(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos: (self.nanos + other.nanos).clamp(-MAX, MAX), format }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self + Quantity { nanos: -other.nanos, format: other.format }
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(Error);
        }
        let (scale, format) = scale(suffix)?;
        let magnitude = nanos(whole, fraction, scale).min(MAX);
        Ok(Quantity { nanos: if negative { -magnitude } else { magnitude }, format })
    }
}

/// What one unit of a suffix is worth.
enum Scale {
    Ten(i32),
    Binary(u32),
}

fn scale(suffix: &str) -> Result<(Scale, Format), Error> {
    let decimal = |exponent| Ok((Scale::Ten(exponent), Format::DecimalSi));
    let binary = |power: u32| Ok((Scale::Binary(power), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(Error)?;
            let exponent: i32 = digits.parse().map_err(|_| Error)?;
            Ok((Scale::Ten(exponent), Format::DecimalExponent))
        }
    }
}

/// The magnitude in nanos, rounded up; anything too large comes out as more than [`MAX`].
fn nanos(whole: &str, fraction: &str, scale: Scale) -> i128 {
    const TOO_LARGE: i128 = MAX + 1;
    match scale {
        Scale::Ten(exponent) => {
            let digits: Vec<u8> = whole
                .bytes()
                .chain(fraction.bytes())
                .map(|digit| digit - b'0')
                .skip_while(|digit| *digit == 0)
                .collect();
            // The value is 0.d1d2d3… × 10^point nanos.
            let fraction_length = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 4);
            let length = i64::try_from(digits.len()).unwrap_or(i64::MAX / 4);
            let point = length - fraction_length + i64::from(exponent) + 9;
            if digits.is_empty() {
                return 0;
            }
            if point > 30 {
                return TOO_LARGE;
            }
            let mut value: i128 = 0;
            for position in 0..point {
                let digit =
                    usize::try_from(position).ok().and_then(|position| digits.get(position)).copied().unwrap_or(0);
                value = value * 10 + i128::from(digit);
            }
            let kept = usize::try_from(point).unwrap_or(0);
            let lost = digits.iter().skip(kept).any(|digit| *digit != 0);
            value + i128::from(lost)
        }
        Scale::Binary(power) => {
            let unit = 1i128 << power;
            let Ok(whole) = (if whole.is_empty() { Ok(0) } else { whole.parse::<i128>() }) else { return TOO_LARGE };
            let Some(units) = whole.checked_mul(unit).filter(|units| *units <= i128::from(i64::MAX)) else {
                return TOO_LARGE;
            };
            // Nine digits keep the product within 128 bits; what is longer rounds up.
            let kept = &fraction[..fraction.len().min(9)];
            let lost = fraction[kept.len()..].bytes().any(|digit| digit != b'0');
            let numerator = kept.parse::<i128>().unwrap_or(0) + i128::from(lost);
            let denominator = 10i128.pow(u32::try_from(kept.len()).unwrap_or(0));
            units * NANOS + divide_up(numerator * unit * NANOS, denominator)
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let units = self.nanos / NANOS;
        if self.format == Format::BinarySi && self.nanos % NANOS == 0 && units.abs() >= 1024 {
            const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let (mut mantissa, mut step) = (units, 0);
            while mantissa % 1024 == 0 && step + 1 < SUFFIXES.len() {
                mantissa /= 1024;
                step += 1;
            }
            return write!(f, "{mantissa}{}", SUFFIXES[step]);
        }
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{exponent}") };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        write!(f, "{mantissa}{suffix}")
    }
}

impl From<Quantity> for Wire {
    fn from(quantity: Quantity) -> Self {
        Wire(quantity.to_string())
    }
}

impl TryFrom<&Wire> for Quantity {
    type Error = Error;

    fn try_from(wire: &Wire) -> Result<Self, Error> {
        wire.0.parse()
    }
}

#[cfg(test)]
mod tests;
