//! Somebody who adds, promotes, removes and replaces members while everything else goes on, one change at a time or two at
//! once, now and then with a cut in the middle of it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use keelson_store::Error;

use super::{Client, ask};
use crate::cluster::{Listed, url_of};

/// Between two changes.
const SELDOM: Duration = Duration::from_secs(3);
/// Before the first one, when the cluster is given no time to settle.
const AT_ONCE: Duration = Duration::from_millis(300);
/// A member that was added is started so late at most.
const START_MAX_MS: u64 = 2000;
/// A change is disturbed so late at most.
const DISTURBED_MAX_MS: u64 = 400;

/// Who the members are to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// So many votes stay. A member that lost its disk comes back only when there are three.
    pub voters_min: usize,
    /// The first change is asked for while the cluster starts.
    pub hasty: bool,
}

/// Works until it must stop.
pub async fn run(client: Client, plan: Plan) {
    let mut client = Client { pause_max: if plan.hasty { AT_ONCE } else { SELDOM }, ..client };
    while client.pause().await {
        client.pause_max = SELDOM;
        let Some(asked) = client.member() else { continue };
        let Some(listed) = client.cluster.list(asked).await else { continue };
        client.cluster.adopt(&listed).expect("the real disk works");
        let learner = listed.iter().find(|member| member.learner && member.started).cloned();
        let change = async {
            match (client.random.below(8), learner) {
                (0..=2, Some(learner)) => promote(&client, learner.id).await,
                (0 | 1, None) => add(&client, &listed, 1, true).await,
                (2 | 3, _) => add(&client, &listed, 1, false).await,
                (4, _) => add(&client, &listed, 2, false).await,
                (5, _) => remove(&client, plan, &listed, 2).await,
                _ => remove(&client, plan, &listed, 1).await,
            }
        };
        if client.random.chance(3000) {
            tokio::join!(change, disturb(&client));
        } else {
            change.await;
        }
    }
}

/// Adds so many at once, and starts them a little later.
async fn add(client: &Client, listed: &[Listed], count: usize, learner: bool) {
    let mut free = client.cluster.free(listed);
    let mut adding = Vec::new();
    while adding.len() < count
        && let Some(place) = client.random.pick(&free)
    {
        free.retain(|other| *other != place);
        // Its disk may be that of one who was removed, and who must not come back by it.
        let reused = client.random.chance(2000);
        client.cluster.vacate(place).expect("the real disk works");
        if !reused {
            client.cluster.wipe(place).expect("the real disk works");
        }
        adding.push(add_at(client, listed, place, learner));
    }
    join_all(adding).await;
}

async fn add_at(client: &Client, listed: &[Listed], place: usize, learner: bool) {
    let Some(member) = client.member() else { return };
    let url = vec![url_of(place)];
    let added = ask(client, member, move |handle| async move { handle.member_add(url, learner).await }).await;
    client.trace.line(format_args!("member {place} added, learner {learner}: {:?}", told(added.as_ref())));
    let Some(Ok((id, members))) = added else { return };
    client.invariants.members.added(id);
    if !members.iter().any(|member| member.id == id) {
        client.invariants.violated("members", format!("{id:016x} was added to {members:?}"));
    }
    tokio::time::sleep(client.random.millis(0..=START_MAX_MS)).await;
    client.cluster.settle(place, listed).expect("the real disk works");
}

async fn promote(client: &Client, id: u64) {
    let Some(member) = client.member() else { return };
    let promoted = ask(client, member, move |handle| async move { handle.member_promote(id).await }).await;
    client.trace.line(format_args!("{id:016x} promoted: {:?}", told(promoted.as_ref())));
    if let Some(Ok(_)) = promoted {
        client.invariants.members.promoted(id);
    }
}

/// Removes so many at once; rather the leader than others.
async fn remove(client: &Client, plan: Plan, listed: &[Listed], count: usize) {
    let mut others = listed.to_vec();
    // One that was never started is no voter of consensus yet.
    let mut voters = listed.iter().filter(|member| !member.learner && member.started).count();
    // Those of whom it is not known whether they are removed may be so any time.
    let leaving =
        |member: &&Listed| !member.learner && member.started && client.invariants.members.may_be_removed(member.id);
    voters -= listed.iter().filter(leaving).count();
    let mut removing = Vec::new();
    while removing.len() < count {
        let leaders = client.cluster.leaders();
        let leader = others.iter().find(|member| leaders.contains(&member.place)).cloned();
        let leader = leader.filter(|_| client.random.chance(4000));
        let Some(member) = leader.or_else(|| client.random.pick(&others)) else { break };
        others.retain(|other| other.id != member.id);
        if !member.learner && member.started && !client.invariants.members.may_be_removed(member.id) {
            if voters <= plan.voters_min {
                continue;
            }
            voters -= 1;
        }
        removing.push(remove_one(client, member));
    }
    join_all(removing).await;
}

async fn remove_one(client: &Client, member: Listed) {
    let (Listed { place, id, .. }, Some(asked)) = (member, client.member()) else { return };
    client.invariants.members.leaving(id);
    let removed = ask(client, asked, move |handle| async move { handle.member_remove(id).await }).await;
    client.trace.line(format_args!("member {place} removed: {:?}", told(removed.as_ref())));
    if let Some(Ok(_)) = removed {
        client.invariants.members.removed(id);
        // Nobody needs it any more. If it is left alone, it stops by itself.
        if client.random.chance(5000) {
            client.cluster.vacate(place).expect("the real disk works");
        }
    }
}

/// Cuts the cluster in two in the middle of a change, and takes a leader away.
async fn disturb(client: &Client) {
    tokio::time::sleep(client.random.millis(0..=DISTURBED_MAX_MS)).await;
    if client.stop.is_cancelled() {
        // Everything has healed.
        return;
    }
    let here: BTreeSet<usize> = (0..client.cluster.size()).filter(|_| client.random.chance(5000)).collect();
    let pairs = (0..client.cluster.size()).flat_map(|from| (0..client.cluster.size()).map(move |to| (from, to)));
    let cut: BTreeSet<_> = pairs.filter(|(from, to)| here.contains(from) != here.contains(to)).collect();
    client.trace.line(format_args!("cut in the middle of a change: {here:?} from the others"));
    client.cluster.network.cut(cut);
    if client.random.chance(5000) {
        for leader in client.cluster.leaders() {
            client.cluster.crash(leader).expect("the real disk works");
        }
    }
}

fn told<T>(answer: Option<&Result<T, Error>>) -> Option<Result<(), String>> {
    answer.map(|answer| answer.as_ref().map(|_| ()).map_err(ToString::to_string))
}
