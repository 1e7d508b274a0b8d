//! Changes of bytes: what a broken disk, a broken client and a hostile one make of a valid input.

use crate::dice::Dice;

/// Inputs grow no longer than this.
pub const BYTES_MAX: usize = 64 << 10;
/// How often a part is repeated at most: enough to pass any bound on nesting.
const REPEATS_MAX: usize = 400;

/// Bytes that mean something to one format or another.
const SPECIAL: &[u8] = b"\x00\x01\x7f\x80\xff\"'{}[](),:;.=!&%*/\\-+~ \t\r\n09aAzZeE";
/// Numbers at the ends of what types hold.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "1e400",
    "0.0000000000000000001",
];

/// One change. `words` are put in where they are not expected; `other` is an input of the same kind.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], dice: &mut Dice<'_>) {
    let length = bytes.len();
    match dice.below(11) {
        0 if length > 0 => bytes[dice.below(length)] ^= 1 << dice.below(8),
        1 if length > 0 => bytes[dice.below(length)] = *dice.pick(SPECIAL),
        2 => bytes.truncate(dice.below(length)),
        3 => {
            let part = dice.part(length);
            bytes.drain(part);
        }
        4 => repeat(bytes, dice),
        5 => splice(bytes, other, dice),
        6 if !words.is_empty() => {
            let (part, word) = (dice.part(length), dice.pick(words).clone());
            bytes.splice(part, word);
        }
        7 => number(bytes, dice),
        8 => length_of_ten(bytes, dice),
        9 => {
            let byte = *dice.pick(SPECIAL);
            bytes.insert(dice.below(length + 1), byte);
        }
        _ => {
            let moved: Vec<u8> = bytes.drain(dice.part(length)).collect();
            let at = dice.below(bytes.len() + 1);
            bytes.splice(at..at, moved);
        }
    }
    bytes.truncate(BYTES_MAX);
}

fn repeat(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let part = dice.part(bytes.len());
    let times = if dice.one_in(4) { dice.below(REPEATS_MAX) } else { dice.below(4) };
    let fitting = BYTES_MAX.saturating_sub(bytes.len()) / part.len().max(1);
    let repeated = bytes[part.clone()].repeat(times.min(fitting));
    bytes.splice(part.start..part.start, repeated);
}

/// The beginning of one and the end of the other, or the one within the other.
fn splice(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice<'_>) {
    let taken = &other[dice.part(other.len())];
    let part = dice.part(bytes.len());
    bytes.splice(part, taken.iter().copied());
}

/// Another number in the place of one.
fn number(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit()))
        .collect();
    let start = if starts.is_empty() { dice.below(bytes.len() + 1) } else { *dice.pick(&starts) };
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.splice(start..start + digits, dice.pick(&NUMBERS).bytes());
}

/// A length or number of the wire (protobuf's varint) that is larger than anything behind it.
fn length_of_ten(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let at = dice.below(bytes.len() + 1);
    let continued = dice.below(10);
    let end = (at + dice.below(2)).min(bytes.len());
    bytes.splice(at..end, std::iter::repeat_n(0xff, continued).chain([0x7f]));
}
