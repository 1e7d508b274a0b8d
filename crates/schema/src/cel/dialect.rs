//! Where expressions stand that are no rules of schemas: in admission policies, conditions of webhooks and selectors of devices.
//!
//! These are read and checked when they are written, and never evaluated here. So what there is only for them needs no types:
//! it is known by name, and fits whatever it is given.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};

use super::functions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Of schemas. What they have is in [`functions`], with types and prices.
    Rules,
    Policies,
}

/// Functions of the authorizer, of images and of patches.
const FUNCTIONS: [&str; 22] = [
    "allowed",
    "check",
    "digest",
    "domain",
    "error",
    "errored",
    "escapeKey",
    "fieldSelector",
    "group",
    "identifier",
    "image",
    "includes",
    "isImage",
    "labelSelector",
    "name",
    "namespace",
    "path",
    "reason",
    "registry",
    "resource",
    "serviceAccount",
    "subresource",
];

/// What a call consists of: outside of its own variables, their names, and what sees them.
type Parts<'e> = (Vec<&'e IdedExpr>, Vec<String>, Vec<&'e IdedExpr>);

impl Dialect {
    /// Whether values of a named type can be made: operations of a patch, and the parts of an object that is applied.
    pub(super) fn makes(self, type_name: &str) -> bool {
        self == Dialect::Policies && (matches!(type_name, "JSONPatch" | "Object") || type_name.starts_with("Object."))
    }

    /// A call that rules have not.
    pub(super) fn call(self, call: &CallExpr) -> Option<Parts<'_>> {
        if self == Dialect::Rules {
            return None;
        }
        let name = |expression: &IdedExpr| match &expression.expr {
            Expr::Ident(name) => Some(name.clone()),
            _ => None,
        };
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            ("bind", Some(namespace), [variable, value, result]) if name(namespace)? == "cel" => {
                Some((vec![value], vec![name(variable)?], vec![result]))
            }
            (called, target, arguments) if FUNCTIONS.contains(&called) && !functions::exists(called) => {
                // `jsonpatch.escapeKey` has a dot in its name.
                let namespace = |target: &&IdedExpr| name(target).is_some_and(|name| name == "jsonpatch");
                let target = target.filter(|target| !namespace(target));
                Some((target.into_iter().chain(arguments).collect(), Vec::new(), Vec::new()))
            }
            _ => None,
        }
    }
}
