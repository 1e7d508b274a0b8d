//! The functions that rules may call: their signatures, results and prices. A signature is a letter for each argument; the
//! receiver stands before a dot.
//!
//! | letter | type | letter | type |
//! |---|---|---|---|
//! | `b` `i` `u` `d` | bool, int, uint, double | `s` `y` | string, bytes |
//! | `t` `D` | timestamp, duration | `l` `m` `o` `T` | list, map, optional, type |
//! | `U` `q` `I` `c` | URL, quantity, IP, CIDR | `f` `v` `a` | format, version, any |

use super::types::Type;

/// What a call costs beside its arguments, by the largest sizes of these. The numbers are Kubernetes'.
#[derive(Clone, Copy)]
pub(crate) enum Price {
    One,
    /// Reading an argument so many times.
    Read(usize, u64),
    /// Looking for one text in another.
    Search,
    /// A regular expression, over a text.
    Match,
    /// The expressions of a format, over a text.
    Validate,
    /// Looking at each element of a list.
    Elements,
    /// Every element of one list with every one of another.
    Pairs,
}

/// How long the regular expression of a format counts.
const FORMAT_PATTERN_SIZE: u64 = 128;

pub(crate) struct Function {
    pub name: &'static str,
    pub takes: &'static str,
    pub gives: for<'a> fn(&[Type<'a>]) -> Type<'a>,
    pub price: Price,
}

const fn f(
    name: &'static str,
    takes: &'static str,
    gives: for<'a> fn(&[Type<'a>]) -> Type<'a>,
    price: Price,
) -> Function {
    Function { name, takes, gives, price }
}

fn bool<'a>(_: &[Type<'a>]) -> Type<'a> {
    Type::Bool
}
fn int<'a>(_: &[Type<'a>]) -> Type<'a> {
    Type::Int
}
/// A text no longer than the first argument.
fn text<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    Type::String(size(arguments, 0).max(20))
}
fn texts<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    Type::List(Box::new(text(arguments)), size(arguments, 0))
}
fn first<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    arguments.first().cloned().unwrap_or(Type::Any)
}
fn element<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    match arguments.first() {
        Some(Type::List(of, _)) => (**of).clone(),
        _ => Type::Dyn(u64::MAX),
    }
}
fn inner<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    match arguments.first() {
        Some(Type::Optional(of)) => (**of).clone(),
        _ => Type::Dyn(u64::MAX),
    }
}
fn inner_or_second<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    let (inner, second) = (inner(arguments), arguments.get(1).cloned().unwrap_or(Type::Any));
    inner.join(&second).unwrap_or(Type::Dyn(u64::MAX))
}
fn quoted<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    // At worst each character is escaped.
    Type::String(size(arguments, 0).saturating_mul(2).saturating_add(2))
}
fn replaced<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    // At worst the replacement stands around each character.
    Type::String(size(arguments, 0).saturating_add(1).saturating_mul(size(arguments, 2).max(1)))
}
fn joined<'a>(arguments: &[Type<'a>]) -> Type<'a> {
    let element = match arguments.first() {
        Some(Type::List(of, _)) => of.size(),
        _ => u64::MAX,
    };
    Type::String(size(arguments, 0).saturating_mul(element.saturating_add(if arguments.len() > 1 {
        size(arguments, 1)
    } else {
        0
    })))
}
fn size(arguments: &[Type<'_>], index: usize) -> u64 {
    arguments.get(index).map_or(u64::MAX, Type::size)
}

const FUNCTIONS: &[Function] = &[
    f("size", "s", int, Price::One),
    f("size", "y", int, Price::One),
    f("size", "l", int, Price::One),
    f("size", "m", int, Price::One),
    f("size", "s.", int, Price::One),
    f("size", "y.", int, Price::One),
    f("size", "l.", int, Price::One),
    f("size", "m.", int, Price::One),
    f("type", "a", |_| Type::OfTypes, Price::One),
    f("dyn", "a", |arguments| Type::Dyn(size(arguments, 0)), Price::One),
    f("bool", "b", bool, Price::One),
    f("bool", "s", bool, Price::One),
    f("int", "i", int, Price::One),
    f("int", "u", int, Price::One),
    f("int", "d", int, Price::One),
    f("int", "s", int, Price::One),
    f("int", "t", int, Price::One),
    f("uint", "u", |_| Type::Uint, Price::One),
    f("uint", "i", |_| Type::Uint, Price::One),
    f("uint", "d", |_| Type::Uint, Price::One),
    f("uint", "s", |_| Type::Uint, Price::One),
    f("double", "d", |_| Type::Double, Price::One),
    f("double", "i", |_| Type::Double, Price::One),
    f("double", "u", |_| Type::Double, Price::One),
    f("double", "s", |_| Type::Double, Price::One),
    f("string", "s", text, Price::One),
    f("string", "i", text, Price::One),
    f("string", "u", text, Price::One),
    f("string", "d", |_| Type::String(32), Price::One),
    f("string", "b", text, Price::One),
    f("string", "y", text, Price::Read(0, 1)),
    f("string", "t", |_| Type::String(32), Price::One),
    f("string", "D", |_| Type::String(32), Price::One),
    f("string", "I", |_| Type::String(45), Price::One),
    f("string", "c", |_| Type::String(49), Price::One),
    f("bytes", "y", first, Price::One),
    f("bytes", "s", |arguments| Type::Bytes(size(arguments, 0).saturating_mul(4)), Price::Read(0, 1)),
    f("timestamp", "s", |_| Type::Timestamp, Price::One),
    f("timestamp", "i", |_| Type::Timestamp, Price::One),
    f("timestamp", "t", |_| Type::Timestamp, Price::One),
    f("duration", "s", |_| Type::Duration, Price::One),
    f("duration", "D", |_| Type::Duration, Price::One),
    f("getFullYear", "t.", int, Price::One),
    f("getMonth", "t.", int, Price::One),
    f("getDayOfMonth", "t.", int, Price::One),
    f("getDate", "t.", int, Price::One),
    f("getDayOfWeek", "t.", int, Price::One),
    f("getDayOfYear", "t.", int, Price::One),
    f("getHours", "t.", int, Price::One),
    f("getMinutes", "t.", int, Price::One),
    f("getSeconds", "t.", int, Price::One),
    f("getMilliseconds", "t.", int, Price::One),
    f("getFullYear", "t.s", int, Price::One),
    f("getMonth", "t.s", int, Price::One),
    f("getDayOfMonth", "t.s", int, Price::One),
    f("getDate", "t.s", int, Price::One),
    f("getDayOfWeek", "t.s", int, Price::One),
    f("getDayOfYear", "t.s", int, Price::One),
    f("getHours", "t.s", int, Price::One),
    f("getMinutes", "t.s", int, Price::One),
    f("getSeconds", "t.s", int, Price::One),
    f("getMilliseconds", "t.s", int, Price::One),
    f("getHours", "D.", int, Price::One),
    f("getMinutes", "D.", int, Price::One),
    f("getSeconds", "D.", int, Price::One),
    f("getMilliseconds", "D.", int, Price::One),
    f("contains", "s.s", bool, Price::Search),
    f("startsWith", "s.s", bool, Price::Read(1, 1)),
    f("endsWith", "s.s", bool, Price::Read(1, 1)),
    f("matches", "s.s", bool, Price::Match),
    f("matches", "ss", bool, Price::Match),
    f("charAt", "s.i", |_| Type::String(4), Price::One),
    f("indexOf", "s.s", int, Price::Read(0, 1)),
    f("indexOf", "s.si", int, Price::Read(0, 1)),
    f("lastIndexOf", "s.s", int, Price::Read(0, 1)),
    f("lastIndexOf", "s.si", int, Price::Read(0, 1)),
    f("lowerAscii", "s.", text, Price::Read(0, 1)),
    f("upperAscii", "s.", text, Price::Read(0, 1)),
    f("replace", "s.ss", replaced, Price::Read(0, 2)),
    f("replace", "s.ssi", replaced, Price::Read(0, 2)),
    f("split", "s.s", texts, Price::Read(0, 2)),
    f("split", "s.si", texts, Price::Read(0, 2)),
    f("substring", "s.i", text, Price::Read(0, 1)),
    f("substring", "s.ii", text, Price::Read(0, 1)),
    f("trim", "s.", text, Price::Read(0, 1)),
    f("join", "l.", joined, Price::Read(0, 2)),
    f("join", "l.s", joined, Price::Read(0, 2)),
    f("strings.quote", "s", quoted, Price::Read(0, 1)),
    f("format", "s.l", |_| Type::String(u64::MAX), Price::Read(0, 1)),
    f("format.dns1123Label", "", |_| Type::Format, Price::One),
    f("format.dns1123Subdomain", "", |_| Type::Format, Price::One),
    f("format.dns1035Label", "", |_| Type::Format, Price::One),
    f("format.qualifiedName", "", |_| Type::Format, Price::One),
    f("format.dns1123LabelPrefix", "", |_| Type::Format, Price::One),
    f("format.dns1123SubdomainPrefix", "", |_| Type::Format, Price::One),
    f("format.dns1035LabelPrefix", "", |_| Type::Format, Price::One),
    f("format.labelValue", "", |_| Type::Format, Price::One),
    f("format.uri", "", |_| Type::Format, Price::One),
    f("format.uuid", "", |_| Type::Format, Price::One),
    f("format.byte", "", |_| Type::Format, Price::One),
    f("format.date", "", |_| Type::Format, Price::One),
    f("format.datetime", "", |_| Type::Format, Price::One),
    f("format.named", "s", |_| Type::Optional(Box::new(Type::Format)), Price::One),
    f("validate", "f.s", complaints, Price::Validate),
    f("isSorted", "l.", bool, Price::Elements),
    f("sum", "l.", element, Price::Elements),
    f("min", "l.", element, Price::Elements),
    f("max", "l.", element, Price::Elements),
    f("indexOf", "l.a", int, Price::Elements),
    f("lastIndexOf", "l.a", int, Price::Elements),
    f("find", "s.s", text, Price::Match),
    f("findAll", "s.s", texts, Price::Match),
    f("findAll", "s.si", texts, Price::Match),
    f("url", "s", |_| Type::Url, Price::Read(0, 1)),
    f("isURL", "s", bool, Price::Read(0, 1)),
    f("getScheme", "U.", |_| Type::String(u64::MAX), Price::One),
    f("getHost", "U.", |_| Type::String(u64::MAX), Price::One),
    f("getHostname", "U.", |_| Type::String(u64::MAX), Price::One),
    f("getPort", "U.", |_| Type::String(u64::MAX), Price::One),
    f("getEscapedPath", "U.", |_| Type::String(u64::MAX), Price::One),
    f("getQuery", "U.", query, Price::One),
    f("quantity", "s", |_| Type::Quantity, Price::Read(0, 1)),
    f("isQuantity", "s", bool, Price::Read(0, 1)),
    f("sign", "q.", int, Price::One),
    f("isInteger", "q.", bool, Price::One),
    f("asInteger", "q.", int, Price::One),
    f("asApproximateFloat", "q.", |_| Type::Double, Price::One),
    f("isGreaterThan", "q.q", bool, Price::One),
    f("isLessThan", "q.q", bool, Price::One),
    f("compareTo", "q.q", int, Price::One),
    f("add", "q.q", first, Price::One),
    f("add", "q.i", first, Price::One),
    f("sub", "q.q", first, Price::One),
    f("sub", "q.i", first, Price::One),
    f("semver", "s", |_| Type::Semver, Price::Read(0, 1)),
    f("semver", "sb", |_| Type::Semver, Price::Read(0, 2)),
    f("isSemver", "s", bool, Price::Read(0, 1)),
    f("isSemver", "sb", bool, Price::Read(0, 2)),
    f("major", "v.", int, Price::One),
    f("minor", "v.", int, Price::One),
    f("patch", "v.", int, Price::One),
    f("isGreaterThan", "v.v", bool, Price::One),
    f("isLessThan", "v.v", bool, Price::One),
    f("compareTo", "v.v", int, Price::One),
    f("ip", "s", |_| Type::Ip, Price::Read(0, 1)),
    f("isIP", "s", bool, Price::Read(0, 1)),
    f("ip.isCanonical", "s", bool, Price::Read(0, 2)),
    f("family", "I.", int, Price::One),
    f("isUnspecified", "I.", bool, Price::One),
    f("isLoopback", "I.", bool, Price::One),
    f("isLinkLocalMulticast", "I.", bool, Price::One),
    f("isLinkLocalUnicast", "I.", bool, Price::One),
    f("isGlobalUnicast", "I.", bool, Price::One),
    f("cidr", "s", |_| Type::Cidr, Price::Read(0, 1)),
    f("isCIDR", "s", bool, Price::Read(0, 1)),
    f("containsIP", "c.s", bool, Price::Read(1, 1)),
    f("containsIP", "c.I", bool, Price::One),
    f("containsCIDR", "c.s", bool, Price::Read(1, 1)),
    f("containsCIDR", "c.c", bool, Price::One),
    f("ip", "c.", |_| Type::Ip, Price::One),
    f("masked", "c.", |_| Type::Cidr, Price::One),
    f("prefixLength", "c.", int, Price::One),
    f("sets.contains", "ll", bool, Price::Pairs),
    f("sets.equivalent", "ll", bool, Price::Pairs),
    f("sets.intersects", "ll", bool, Price::Pairs),
    f("optional.of", "a", |arguments| Type::Optional(Box::new(first(arguments))), Price::One),
    f("optional.ofNonZeroValue", "a", |arguments| Type::Optional(Box::new(first(arguments))), Price::One),
    f("optional.none", "", |_| Type::Optional(Box::new(Type::Any)), Price::One),
    f("hasValue", "o.", bool, Price::One),
    f("value", "o.", inner, Price::One),
    f("orValue", "o.a", inner_or_second, Price::One),
    f("or", "o.o", first, Price::One),
];

fn complaints<'a>(_: &[Type<'a>]) -> Type<'a> {
    Type::Optional(Box::new(Type::List(Box::new(Type::String(u64::MAX)), u64::MAX)))
}

fn query<'a>(_: &[Type<'a>]) -> Type<'a> {
    let text = || Box::new(Type::String(u64::MAX));
    Type::Map(text(), Box::new(Type::List(text(), u64::MAX)), u64::MAX)
}

/// Whether any function has the name.
pub(crate) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|function| function.name == name)
}

/// The function of a name that takes what it is given. What is known only when the rule runs fits everything, but what is
/// returned then must be the same for all that fit, or it is not known either.
pub(crate) fn find<'a>(name: &str, with_receiver: bool, arguments: &[Type<'a>]) -> Option<(Type<'a>, Price)> {
    let fits = |function: &&Function| {
        let receiver = function.takes.contains('.');
        let letters = function.takes.chars().filter(|letter| *letter != '.');
        function.name == name
            && receiver == with_receiver
            && letters.clone().count() == arguments.len()
            && letters.zip(arguments).all(|(letter, argument)| takes(letter, argument))
    };
    let mut fitting = FUNCTIONS.iter().filter(fits);
    let function = fitting.next()?;
    let given = (function.gives)(arguments);
    let same = fitting.map(|other| (other.gives)(arguments)).all(|other| other == given);
    Some((if same { given } else { Type::Dyn(u64::MAX) }, function.price))
}

fn takes(letter: char, argument: &Type<'_>) -> bool {
    if letter == 'a' || argument.is_open() {
        return true;
    }
    letter
        == match argument {
            Type::Dyn(_) | Type::Any => 'a',
            Type::Null => 'n',
            Type::Bool => 'b',
            Type::Int => 'i',
            Type::Uint => 'u',
            Type::Double => 'd',
            Type::String(_) => 's',
            Type::Bytes(_) => 'y',
            Type::Timestamp => 't',
            Type::Duration => 'D',
            Type::List(..) => 'l',
            Type::Map(..) => 'm',
            Type::Object { .. } | Type::Metadata => 'O',
            Type::Optional(_) => 'o',
            Type::OfTypes => 'T',
            Type::Url => 'U',
            Type::Quantity => 'q',
            Type::Semver => 'v',
            Type::Ip => 'I',
            Type::Cidr => 'c',
            Type::Format => 'f',
        }
}

impl Price {
    /// What the call costs at most.
    pub(crate) fn of(self, arguments: &[Type<'_>]) -> u64 {
        let read = |index: usize| tenth(size(arguments, index));
        match self {
            Price::One => 1,
            Price::Read(index, times) => tenth(size(arguments, index).saturating_mul(times)),
            Price::Search => read(0).saturating_mul(read(1)),
            Price::Match => tenth(size(arguments, 0).saturating_add(1)).saturating_mul(size(arguments, 1).div_ceil(4)),
            Price::Validate => tenth(size(arguments, 1).saturating_add(1)).saturating_mul(FORMAT_PATTERN_SIZE / 4),
            Price::Elements => {
                let each = match arguments.first() {
                    Some(Type::List(of, _)) if matches!(**of, Type::String(_) | Type::Bytes(_)) => 1 + tenth(of.size()),
                    Some(Type::List(..)) => 1,
                    _ => return read(0),
                };
                size(arguments, 0).saturating_mul(each)
            }
            Price::Pairs => size(arguments, 0).saturating_mul(size(arguments, 1)),
        }
    }
}

/// What it costs to read a text of so many characters, or to compare values of so many.
pub(crate) const fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}
