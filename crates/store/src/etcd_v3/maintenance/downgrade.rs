//! Downgrade: what etcd's clients ask before and after they replace etcd's program by an older one.
//!
//! The wish is replicated and shown in Status, so that tools that coordinate by it can. Nothing else follows from it: the
//! files do not depend on the version of etcd whose API is served.

use keelson_proto::etcdserverpb::DowngradeRequest;
use keelson_proto::etcdserverpb::downgrade_request::DowngradeAction;
use tonic::Status;

use crate::etcd_v3::ETCD_VERSION;
use crate::{Error, Handle};

/// Carries it out; gives the cluster's version.
pub(super) async fn answer(handle: &Handle, request: DowngradeRequest) -> Result<String, Status> {
    let action = DowngradeAction::try_from(request.action)
        .map_err(|_| Status::invalid_argument("keelson: unknown downgrade action"))?;
    handle.read_barrier().await?;
    // The version is agreed on when the members are.
    if handle.cluster().members.is_empty() {
        return Err(Error::NoClusterVersion.into());
    }
    match action {
        DowngradeAction::Cancel => handle.cancel_downgrade().await?,
        DowngradeAction::Validate | DowngradeAction::Enable => {
            let target = target(&request.version, ETCD_VERSION)?;
            if handle.cluster().downgrade.is_some() {
                return Err(Error::DowngradeInProgress.into());
            }
            if action == DowngradeAction::Enable {
                handle.begin_downgrade(&target).await?;
            }
        }
    }
    Ok(ETCD_VERSION.to_owned())
}

/// Major and minor of a version that may have more parts.
fn parse(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim().split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let rest: Vec<&str> = parts.collect();
    let well_formed = rest.len() <= 1 && rest.iter().all(|patch| patch.parse::<u64>().is_ok());
    well_formed.then_some((major, minor))
}

/// The version asked for, which must be the minor before `current`.
fn target(asked: &str, current: &str) -> Result<String, Error> {
    let (major, minor) = parse(asked).ok_or(Error::DowngradeFormat)?;
    match parse(current) {
        Some((now_major, now_minor)) if major == now_major && now_minor.checked_sub(1) == Some(minor) => {
            Ok(format!("{major}.{minor}"))
        }
        _ => Err(Error::DowngradeTarget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_minor_version_before_is_a_target() {
        assert_eq!(target("3.5", "3.6.0").expect("one before"), "3.5");
        assert_eq!(target("3.5.0", "3.6.0").expect("one before"), "3.5");
        for wrong in ["3.4", "3.6", "3.7", "2.5", "4.5"] {
            assert!(matches!(target(wrong, "3.6.0"), Err(Error::DowngradeTarget)), "{wrong}");
        }
        for wrong in ["", "3", "v3.5", "3.x", "3.5.0.0", "3.5-rc"] {
            assert!(matches!(target(wrong, "3.6.0"), Err(Error::DowngradeFormat)), "{wrong}");
        }
    }
}
