//! Expressions that are no rules of a schema, checked when they are written.

use crate::Origin;
use crate::cel::{Dialect, Type, check_as, parse};

/// What an expression must evaluate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gives {
    Truth,
    /// A text, or nothing to say.
    Text,
    Anything,
}

/// Reads an expression in which the variables are known, each of a type that only shows when it runs.
///
/// # Errors
/// As CEL shows it, with the place.
pub fn check(text: &str, variables: &[&str], gives: Gives) -> Result<(), String> {
    let expression = parse(text, Origin::New)?;
    let variables: Vec<(&str, Type<'_>)> = variables.iter().map(|name| (*name, Type::Dyn(u64::MAX))).collect();
    let of = check_as(Dialect::Policies, &expression, &variables)?.of;
    match gives {
        Gives::Truth if of != Type::Bool && !of.is_open() => Err("must evaluate to bool".to_owned()),
        Gives::Text if !matches!(of, Type::String(_) | Type::Null) && !of.is_open() => {
            Err("must evaluate to string".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_expression_must_be_is_checked_before_it_runs() {
        let variables = ["object", "device", "authorizer", "variables"];
        for (text, gives) in [
            ("object.spec.replicas <= 5", Gives::Truth),
            ("has(object.metadata.labels) && 'a' in object.metadata.labels", Gives::Truth),
            ("variables.names.all(name, name.startsWith('a'))", Gives::Truth),
            ("object.spec.containers.all(index, container, container.name != string(index))", Gives::Truth),
            ("{'a': 1}.transformList(key, value, key + string(value)).size() == 1", Gives::Truth),
            ("cel.bind(x, object.a, x + x) > 2", Gives::Truth),
            ("authorizer.group('apps').resource('deployments').name('a').check('get').allowed()", Gives::Truth),
            ("device.driver == 'a.b' && device.attributes['a.b'].model == 'c'", Gives::Truth),
            ("device.attributes['a.b'].version.isGreaterThan(semver('1.0.0'))", Gives::Truth),
            ("device.capacity['a.b'].memory.compareTo(quantity('1Gi')) >= 0", Gives::Truth),
            ("'replicas: ' + string(object.spec.replicas)", Gives::Text),
            ("object.a ? dyn('b') : null", Gives::Text),
            (
                "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b'), value: Object{spec: Object.spec{a: 1}}}]",
                Gives::Anything,
            ),
        ] {
            assert_eq!(check(text, &variables, gives), Ok(()), "{text}");
        }
        for (text, gives, part) in [
            ("object..", Gives::Truth, "Syntax error"),
            (")", Gives::Anything, "Syntax error"),
            ("[", Gives::Anything, "Syntax error"),
            ("params.a == 1", Gives::Truth, "undeclared reference to 'params'"),
            ("object.foo()", Gives::Truth, "undeclared reference to 'foo'"),
            ("Foo{a: 1}", Gives::Anything, "undeclared reference to 'Foo'"),
            ("1 + 1", Gives::Truth, "must evaluate to bool"),
            ("1", Gives::Text, "must evaluate to string"),
            ("object.all(i, v, missing)", Gives::Truth, "undeclared reference to 'missing'"),
        ] {
            let error = check(text, &variables, gives).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
