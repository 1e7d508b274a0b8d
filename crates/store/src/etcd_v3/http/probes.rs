//! `/livez` and `/readyz`: each made of named checks, which can be asked for one by one, left out, or listed.
//!
//! Live means that a restart would not help: this member reads what it has. Ready means that clients are served well here.

use http::{Response, StatusCode};
use tonic::body::Body;

use super::{has, health, text, values};
use crate::etcd_v3::front::Front;

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

/// What a path asks for.
pub(super) struct Probe {
    checks: &'static [Check],
    /// Whether the query may leave checks out; not when one check was asked for by its path.
    exclusive: bool,
}

const LIVE: &[Check] = &[Check::SerializableRead];
const READY: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

/// The probe that `path` names.
pub(super) fn find(path: &str) -> Option<Probe> {
    let (group, rest) = match (path.strip_prefix("/livez"), path.strip_prefix("/readyz")) {
        (Some(rest), _) => (LIVE, rest),
        (None, Some(rest)) => (READY, rest),
        (None, None) => return None,
    };
    if rest.is_empty() {
        return Some(Probe { checks: group, exclusive: true });
    }
    let name = rest.strip_prefix('/')?;
    let place = group.iter().position(|check| check.name() == name)?;
    Some(Probe { checks: &group[place..=place], exclusive: false })
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, front: &Front) -> Result<(), String> {
        match self {
            Check::DataCorruption if health::alarms(front).contains(&"CORRUPT") => {
                Err("the alarm CORRUPT is raised".to_owned())
            }
            Check::DataCorruption => Ok(()),
            Check::SerializableRead => health::read(front, true).await,
            Check::LinearizableRead => health::read(front, false).await,
            Check::NonLearner if front.handle.scrape().learner => Err("this member is a learner".to_owned()),
            Check::NonLearner => Ok(()),
        }
    }
}

impl Probe {
    /// Each check with its outcome when one failed or when the query says `verbose`.
    pub(super) async fn answer(&self, front: &Front, query: &str) -> Response<Body> {
        let excluded: Vec<String> = if self.exclusive { values(query, "exclude").collect() } else { vec![] };
        let (mut report, mut failed) = (String::new(), false);
        for check in self.checks.iter().filter(|check| !excluded.iter().any(|name| name == check.name())) {
            match check.run(front).await {
                Ok(()) => report += &format!("[+]{} ok\n", check.name()),
                Err(why) => {
                    failed = true;
                    report += &format!("[-]{} failed: {why}\n", check.name());
                }
            }
        }
        if failed {
            front.handle.metrics().health_failures.inc();
            return text(StatusCode::SERVICE_UNAVAILABLE, report);
        }
        front.handle.metrics().health_successes.inc();
        if !has(query, "verbose") {
            report.clear();
        }
        text(StatusCode::OK, report + "ok\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_group_or_one_of_its_checks() {
        let checks = |path| find(path).map(|probe| (probe.checks, probe.exclusive));
        assert_eq!(checks("/livez"), Some((LIVE, true)));
        assert_eq!(checks("/readyz"), Some((READY, true)));
        assert_eq!(checks("/readyz/linearizable_read"), Some((&[Check::LinearizableRead][..], false)));
        assert_eq!(checks("/livez/serializable_read"), Some((&[Check::SerializableRead][..], false)));
        for path in ["/livez/non_learner", "/livezz", "/readyz/", "/readyz/x", "/"] {
            assert_eq!(checks(path), None, "{path}");
        }
    }
}
