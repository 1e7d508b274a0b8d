//! Macros that bind two variables: the position and the element of a list, or the key and the value of a map. The parser leaves
//! them as calls, which are read here; [`check`](super::check) and [`evaluate`](super::evaluate) say what they mean.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    List,
    Map,
    /// A map of the entries that the expression gives as maps.
    Entries,
}

/// One such call.
pub(super) struct Pairs<'e> {
    pub what: Macro,
    pub range: &'e IdedExpr,
    pub names: [&'e str; 2],
    pub filter: Option<&'e IdedExpr>,
    /// What must hold, or what is made, of each pair.
    pub each: &'e IdedExpr,
}

/// A call of such a macro, if it is one.
///
/// # Errors
/// With the place and what is wrong there.
pub(super) fn read(call: &CallExpr) -> Option<Result<Pairs<'_>, (u64, &'static str)>> {
    let what = match call.func_name.as_str() {
        "all" => Macro::All,
        "exists" => Macro::Exists,
        "existsOne" | "exists_one" => Macro::ExistsOne,
        "transformList" => Macro::List,
        "transformMap" => Macro::Map,
        "transformMapEntry" => Macro::Entries,
        _ => return None,
    };
    let (range, first, second, filter, each) = match (call.target.as_deref()?, call.args.as_slice()) {
        (range, [first, second, each]) => (range, first, second, None, each),
        (range, [first, second, filter, each]) if matches!(what, Macro::List | Macro::Map | Macro::Entries) => {
            (range, first, second, Some(filter), each)
        }
        _ => return None,
    };
    let names = match (&first.expr, &second.expr) {
        (Expr::Ident(one), Expr::Ident(other)) if one == other => Err((second.id, "the variables must differ")),
        (Expr::Ident(one), Expr::Ident(other)) => Ok([one.as_str(), other.as_str()]),
        (Expr::Ident(_), _) => Err((second.id, "argument must be a simple name")),
        _ => Err((first.id, "argument must be a simple name")),
    };
    Some(names.map(|names| Pairs { what, range, names, filter, each }))
}
