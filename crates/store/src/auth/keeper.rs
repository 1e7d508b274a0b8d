//! How long simple tokens live: uses are gathered on every member, and ends are proposed by the leader.
//!
//! A token is good while the replicated table has it. A member that accepts one says so in the log, at most once in a quarter of
//! the time to live; the leader ends those of which nothing was heard for the whole of it. So a token that is used anywhere
//! lives everywhere, and one that nobody uses ends everywhere, after a time to live and at most a quarter more. As with leases,
//! a new leader starts the time again.
//!
//! **Invariant**: a token is ended only by a command fenced by the term of the leader whose clock found it idle.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keelson_proto::keelson::store::v1::{
    AuthCommand, AuthTokensExpire, AuthTokensRenew, Command, auth_command, command,
};
use parking_lot::Mutex;

use super::{Table, TokenHash};
use crate::machine;
use crate::member::Member;

/// How often uses are announced and ends looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// Tokens in one command: 32 KiB of hashes.
const TOKENS_PER_COMMAND_MAX: usize = 1000;

/// One member's view of how tokens are used.
#[derive(Debug)]
pub(crate) struct TokenKeeper {
    ttl: Duration,
    uses: Mutex<Uses>,
}

#[derive(Debug, Default)]
struct Uses {
    /// When this member last announced a use.
    announced: HashMap<TokenHash, Instant>,
    /// Uses to announce.
    pending: HashSet<TokenHash>,
}

impl TokenKeeper {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, uses: Mutex::default() }
    }

    /// Notes that a token, which the table has, was used.
    pub(crate) fn used(&self, hash: TokenHash, now: Instant) {
        let mut uses = self.uses.lock();
        let fresh = uses.announced.get(&hash).is_some_and(|at| now.duration_since(*at) < self.ttl / 4);
        if !fresh {
            uses.announced.insert(hash, now);
            uses.pending.insert(hash);
        }
    }

    /// Takes some of the uses that were not announced yet, and forgets tokens that are gone.
    fn take_pending(&self, table: &Table) -> Vec<TokenHash> {
        let mut uses = self.uses.lock();
        let Uses { announced, pending } = &mut *uses;
        announced.retain(|hash, _| table.token(hash).is_some());
        pending.retain(|hash| announced.contains_key(hash));
        let some: Vec<TokenHash> = pending.iter().take(TOKENS_PER_COMMAND_MAX).copied().collect();
        for hash in &some {
            pending.remove(hash);
        }
        some
    }

    /// Uses whose announcement failed are announced again.
    fn put_back(&self, hashes: Vec<TokenHash>) {
        self.uses.lock().pending.extend(hashes);
    }

    /// Announces uses, and on the leader ends what nobody uses. Runs for ever.
    pub(crate) async fn run(self: Arc<Self>, member: Arc<Member>) {
        let mut idle = Idle::default();
        let mut ticks = tokio::time::interval(INTERVAL.min(self.ttl / 4));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let table = member.reader.auth().table();
            let pending = self.take_pending(&table);
            if !pending.is_empty() {
                let token_hashes = pending.iter().map(|hash| hash.to_vec().into()).collect();
                let renew = auth_command::Command::TokensRenew(AuthTokensRenew { token_hashes });
                if !propose(&member, 0, renew).await {
                    self.put_back(pending);
                }
            }
            let leadership = member.now_leadership();
            if !leadership.leading {
                idle = Idle::default();
                continue;
            }
            let due = idle.due(&table, leadership.term, machine::now(), self.ttl);
            if !due.is_empty() {
                let token_hashes = due.iter().map(|hash| hash.to_vec().into()).collect();
                let expire = auth_command::Command::TokensExpire(AuthTokensExpire { token_hashes });
                propose(&member, leadership.term, expire).await;
            }
        }
    }
}

/// Proposes, and says whether it was applied. What failed is tried again at a later tick.
async fn propose(member: &Member, fence_term: u64, command: auth_command::Command) -> bool {
    let command = command::Command::Auth(AuthCommand { command: Some(command) });
    let command = Command { fence_term, command: Some(command), ..Command::default() };
    match member.proposer.propose(command, member.deadline()).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "the use or the end of tokens could not be recorded; it will be tried again");
            false
        }
    }
}

/// The leader's clock of tokens.
#[derive(Debug, Default)]
struct Idle {
    term: u64,
    /// The renewal that was seen last, and when.
    seen: HashMap<TokenHash, (u64, Instant)>,
}

impl Idle {
    /// Tokens of which nothing was heard in this term for so long that nobody can have used them for `ttl`.
    fn due(&mut self, table: &Table, term: u64, now: Instant, ttl: Duration) -> Vec<TokenHash> {
        if self.term != term {
            *self = Self { term, seen: HashMap::new() };
        }
        self.seen.retain(|hash, _| table.token(hash).is_some());
        let mut due = Vec::new();
        for (hash, token) in table.tokens() {
            let seen = self.seen.entry(*hash).or_insert((token.renewed, now));
            if seen.0 != token.renewed {
                *seen = (token.renewed, now);
            }
            // Uses of the last quarter may not have been announced.
            if now.duration_since(seen.1) >= ttl.saturating_add(ttl / 4) && due.len() < TOKENS_PER_COMMAND_MAX {
                due.push(*hash);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn table(tokens: &[(u8, u64)]) -> Table {
        let mut table = Table::default();
        table.add_user("root", "hash".into(), false).expect("a user");
        table.grant_role("root", "root").expect("a role");
        table.enable().expect("it can be switched on");
        for (hash, index) in tokens {
            table.assign("root", b"hash", [*hash; 32], *index).expect("a token");
        }
        table
    }

    #[test]
    fn a_use_is_announced_once_in_a_quarter_of_the_time_to_live() {
        let (keeper, table, begin) = (TokenKeeper::new(TTL), table(&[(1, 1)]), Instant::now());
        keeper.used([1; 32], begin);
        keeper.used([2; 32], begin);
        assert_eq!(keeper.take_pending(&table), [[1; 32]], "the other token is not in the table");
        keeper.used([1; 32], begin + TTL / 5);
        assert!(keeper.take_pending(&table).is_empty());
        keeper.used([1; 32], begin + TTL / 4);
        assert_eq!(keeper.take_pending(&table), [[1; 32]]);
        keeper.put_back(vec![[1; 32]]);
        assert_eq!(keeper.take_pending(&table), [[1; 32]]);
    }

    #[test]
    fn the_leader_ends_what_was_idle_for_its_whole_time() {
        let (mut idle, begin) = (Idle::default(), Instant::now());
        assert!(idle.due(&table(&[(1, 1), (2, 2)]), 5, begin, TTL).is_empty());
        // The first was used meanwhile.
        let renewed = table(&[(1, 9), (2, 2)]);
        let idle_max = TTL + TTL / 4;
        assert!(idle.due(&renewed, 5, begin + idle_max / 2, TTL).is_empty());
        assert_eq!(idle.due(&renewed, 5, begin + idle_max, TTL), [[2; 32]]);
        // A new term starts the time again.
        assert!(idle.due(&renewed, 6, begin + idle_max, TTL).is_empty());
        assert_eq!(idle.due(&renewed, 6, begin + idle_max * 2, TTL), [[1; 32], [2; 32]]);
        assert!(idle.due(&renewed, 7, begin, Duration::MAX).is_empty(), "as long as can be asked for");
    }
}
