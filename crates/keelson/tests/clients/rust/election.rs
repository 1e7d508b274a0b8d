//! Leader election by a Lease, as operators in Rust do it by hand: whoever writes the Lease first, guarded by its version, leads.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::PostParams;

use crate::cluster::{Cluster, named, refused, until};

/// For a race: no machine is so slow that it ends meanwhile.
const LONG: Duration = Duration::from_secs(3600);
/// For what must end.
const SHORT: Duration = Duration::from_secs(1);

struct Candidate {
    name: &'static str,
    leases: Api<Lease>,
}

impl Candidate {
    fn wanted(&self, found: Option<&Lease>, duration: Duration) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = found.cloned().unwrap_or_else(|| Lease { metadata: named("lock"), ..Lease::default() });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_deref() != Some(self.name) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count + 1));
        }
        spec.holder_identity = Some(self.name.to_owned());
        spec.lease_duration_seconds = Some(duration.as_secs() as i32);
        spec.renew_time = Some(now);
        lease
    }

    /// Takes the Lease for so long, or renews it; `None` when somebody else has it, or was faster.
    async fn lead(&self, duration: Duration) -> Option<Lease> {
        let found = self.leases.get_opt("lock").await.expect("is looked for");
        let written = match &found {
            None => self.leases.create(&PostParams::default(), &self.wanted(None, duration)).await,
            Some(lease) if self.may_take(lease) => {
                self.leases.replace("lock", &PostParams::default(), &self.wanted(Some(lease), duration)).await
            }
            Some(_) => return None,
        };
        match written {
            Ok(lease) => Some(lease),
            Err(kube::Error::Api(status)) if status.code == 409 => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn may_take(&self, lease: &Lease) -> bool {
        let Some(spec) = &lease.spec else { return true };
        let ended = spec.renew_time.as_ref().is_none_or(|renewed| {
            let duration = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
            renewed.0 + duration < Timestamp::now()
        });
        spec.holder_identity.as_deref() == Some(self.name) || ended
    }
}

#[tokio::test]
async fn one_of_two_leads() {
    let cluster = Cluster::with_namespace("one-of-two-leads").await;
    let first = Candidate { name: "first", leases: cluster.api(0) };
    let second = Candidate { name: "second", leases: cluster.api(1) };
    // However they race for a Lease that is not there, one gets it.
    let (one, other) = futures::future::join(first.lead(LONG), second.lead(LONG)).await;
    let (leader, follower) = match (one, other) {
        (Some(_), None) => (&first, &second),
        (None, Some(_)) => (&second, &first),
        both => panic!("one must lead: {both:?}"),
    };
    assert!(follower.lead(LONG).await.is_none(), "the Lease is another's");
    let renewed = leader.lead(SHORT).await.expect("a leader renews");
    let of_leader = renewed.spec.as_ref().expect("a specification");
    assert_eq!(of_leader.lease_transitions, Some(0));

    // The leader stops; when its time is over, the other one leads.
    let taken = until("the other one leads", || follower.lead(LONG)).await;
    let spec = taken.spec.expect("a specification");
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some(follower.name), Some(1)));
    let ended = of_leader.renew_time.as_ref().expect("a time").0 + SHORT;
    assert!(spec.acquire_time.expect("a time").0 >= ended, "not before");
    // One that does not know yet that it was replaced cannot write over it.
    let late = leader.leases.replace("lock", &PostParams::default(), &leader.wanted(Some(&renewed), LONG)).await;
    assert!(refused(late).is_conflict());
}
