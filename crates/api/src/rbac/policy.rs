//! All roles and bindings in the form in which they are asked.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::selector::LabelSelector;
use serde_json::Value;

use super::{Action, Rule};
use crate::pipeline::User;

/// What is said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// Why not, as far as that is more than that nothing allows it: roles that are bound and are not there.
    pub missing: Vec<String>,
}

/// What one binding grants.
#[derive(Clone, Debug)]
struct Grant {
    rules: Arc<[Rule]>,
    /// The role that is bound and is not there.
    missing: Option<Arc<str>>,
}

/// What is granted in one place.
#[derive(Debug, Default)]
struct Grants {
    by_user: HashMap<String, Vec<Grant>>,
    by_group: HashMap<String, Vec<Grant>>,
}

#[derive(Debug, Default)]
pub struct Policy {
    everywhere: Grants,
    /// By namespace.
    within: HashMap<String, Grants>,
    /// Roles by namespace and name; those of the cluster have none.
    roles: HashMap<(String, String), Arc<[Rule]>>,
}

impl Policy {
    /// A policy of objects of the four kinds, in any order.
    pub fn of<T: Borrow<Value>>(objects: &[T]) -> Policy {
        let kind = |word: &'static str| {
            objects.iter().map(<T as Borrow<Value>>::borrow).filter(move |object| object["kind"] == word)
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut policy = Policy::default();
        for role in kind("Role") {
            let place = (text(&role["metadata"]["namespace"]), text(&role["metadata"]["name"]));
            policy.roles.insert(place, Rule::all_of(&role["rules"]).into());
        }
        let cluster_roles: Vec<&Value> = kind("ClusterRole").collect();
        for role in &cluster_roles {
            let rules = match role["aggregationRule"].is_object() {
                true => aggregated(&role["aggregationRule"], &cluster_roles),
                false => Rule::all_of(&role["rules"]),
            };
            policy.roles.insert((String::new(), text(&role["metadata"]["name"])), rules.into());
        }
        for binding in kind("ClusterRoleBinding") {
            let grant = policy.grant(binding, "");
            policy.everywhere.add(binding, "", &grant);
        }
        for binding in kind("RoleBinding") {
            let namespace = text(&binding["metadata"]["namespace"]);
            let grant = policy.grant(binding, &namespace);
            policy.within.entry(namespace.clone()).or_default().add(binding, &namespace, &grant);
        }
        policy
    }

    fn grant(&self, binding: &Value, namespace: &str) -> Grant {
        match self.role(&binding["roleRef"], namespace) {
            Some(rules) => Grant { rules, missing: None },
            None => {
                let role = &binding["roleRef"];
                let kind = role["kind"].as_str().unwrap_or_default().to_ascii_lowercase();
                let name = role["name"].as_str().unwrap_or_default();
                let missing = format!("{kind}.{} {name:?} not found", super::GROUP);
                Grant { rules: Arc::default(), missing: Some(missing.into()) }
            }
        }
    }

    /// The rules of the role that a binding in a namespace refers to.
    pub fn role(&self, reference: &Value, namespace: &str) -> Option<Arc<[Rule]>> {
        let name = reference["name"].as_str().unwrap_or_default().to_owned();
        let namespace = if reference["kind"] == "Role" { namespace } else { "" };
        self.roles.get(&(namespace.to_owned(), name)).cloned()
    }

    pub fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        let namespace = match action {
            Action::Resource { namespace, .. } => *namespace,
            Action::Path { .. } => "",
        };
        let mut missing = Vec::new();
        for grant in self.grants(user, namespace) {
            if grant.rules.iter().any(|rule| rule.allows(action)) {
                return Decision { allowed: true, missing: Vec::new() };
            }
            missing.extend(grant.missing.as_deref().map(str::to_owned));
        }
        missing.sort();
        missing.dedup();
        Decision { allowed: false, missing }
    }

    /// Everything that is granted to a user in a namespace, or everywhere when that is empty; and the roles that are bound
    /// and are not there.
    pub fn rules(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for grant in self.grants(user, namespace) {
            rules.extend(grant.rules.iter().cloned());
            missing.extend(grant.missing.as_deref().map(str::to_owned));
        }
        (rules, missing)
    }

    fn grants(&self, user: &User, namespace: &str) -> Vec<&Grant> {
        let within = if namespace.is_empty() { None } else { self.within.get(namespace) };
        let mut found = Vec::new();
        for grants in [Some(&self.everywhere), within].into_iter().flatten() {
            found.extend(grants.by_user.get(&user.name).into_iter().flatten());
            for group in &user.groups {
                found.extend(grants.by_group.get(group).into_iter().flatten());
            }
        }
        found
    }
}

impl Grants {
    fn add(&mut self, binding: &Value, namespace: &str, grant: &Grant) {
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            let name = subject["name"].as_str().unwrap_or_default();
            let (map, key) = match subject["kind"].as_str() {
                Some("User") => (&mut self.by_user, name.to_owned()),
                Some("Group") => (&mut self.by_group, name.to_owned()),
                Some("ServiceAccount") => {
                    let own = subject["namespace"].as_str().filter(|own| !own.is_empty()).unwrap_or(namespace);
                    (&mut self.by_user, format!("system:serviceaccount:{own}:{name}"))
                }
                _ => continue,
            };
            map.entry(key).or_default().push(grant.clone());
        }
    }
}

/// The rules of all the roles that an aggregation selects, and of those that these select in turn.
pub(super) fn aggregated(aggregation: &Value, roles: &[&Value]) -> Vec<Rule> {
    let mut selected = vec![false; roles.len()];
    let mut open = vec![aggregation];
    // Each role is selected once: roles may well select each other.
    while let Some(aggregation) = open.pop() {
        let selectors = selectors(aggregation);
        for (role, selected) in roles.iter().zip(&mut selected) {
            if !*selected && selectors.iter().any(|selector| selector.matches(&role["metadata"]["labels"])) {
                *selected = true;
                open.extend(Some(&role["aggregationRule"]).filter(|inner| inner.is_object()));
            }
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (role, _) in roles.iter().zip(&selected).filter(|(_, selected)| **selected) {
        // Its own rules are only shown in a role that aggregates.
        if role["aggregationRule"].is_object() {
            continue;
        }
        for rule in Rule::all_of(&role["rules"]) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
}

fn selectors(aggregation: &Value) -> Vec<LabelSelector> {
    let selectors = aggregation["clusterRoleSelectors"].as_array().into_iter().flatten();
    selectors
        .filter_map(|selector| serde_json::from_value(selector.clone()).ok())
        .filter_map(|typed| LabelSelector::from_object(Some(&typed)).ok())
        .collect()
}
