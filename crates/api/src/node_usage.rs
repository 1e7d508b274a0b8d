//! What nodes and their containers use, as the nodes measured it, asked for when somebody wants to know.
//!
//! **Invariant**: every number was measured by its node, less than [`FRESH_FOR`] before it was asked for. A node that does not answer
//! has none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt as _};
use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{NodeUsage, Usage};
use keelson_sessions::{Frame, Outcome};
use keelson_types::status::Status;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::node_tunnel::{Session, Tunnels};

/// An answer holds for so long, also that there was none: several who look at once cost a node one question.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// A stream that broke is opened again by then, if its agent is there.
const REACHED_WITHIN: Duration = Duration::from_secs(1);
/// Then the node may think for so long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// What has not answered by then is left out, however many nodes there are.
const ALL_ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Sessions at once: few beside what an agent's stream has queued and open for others.
const ASKED_AT_ONCE: usize = 32;
/// A node has hundreds of containers at most, which take some 80 bytes each.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Asks nodes, and remembers for a moment what they said.
pub struct Usages {
    tunnels: Arc<Tunnels>,
    places: Semaphore,
    /// By the node's name. Whoever asks a node holds its slot meanwhile, and others wait for what it finds.
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<Answer>>;

struct Answer {
    at: Instant,
    usage: Option<Arc<NodeUsage>>,
}

impl Answer {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH_FOR
    }
}

impl Usages {
    pub fn new(tunnels: Arc<Tunnels>) -> Usages {
        Usages { tunnels, places: Semaphore::new(ASKED_AT_ONCE), slots: Mutex::default() }
    }

    /// What the nodes use that answer, by their names. Takes no longer than [`ALL_ANSWERED_WITHIN`]. Cancel-safe.
    pub async fn of(&self, nodes: impl IntoIterator<Item = String>) -> HashMap<String, Arc<NodeUsage>> {
        self.forget_stale();
        // As many as there are nodes: those that wait for a stream must not keep others from being asked.
        let asked: FuturesUnordered<_> =
            nodes.into_iter().map(|node| async move { self.one(&node).await.map(|usage| (node, usage)) }).collect();
        let answered = asked.take_until(tokio::time::sleep(ALL_ANSWERED_WITHIN));
        answered.filter_map(std::future::ready).collect().await
    }

    async fn one(&self, node: &str) -> Option<Arc<NodeUsage>> {
        let slot = self.slots.lock().entry(node.to_owned()).or_default().clone();
        let mut known = slot.lock().await;
        if let Some(answer) = known.as_ref().filter(|answer| answer.is_fresh()) {
            return answer.usage.clone();
        }
        let usage = match self.ask(node).await {
            Ok(usage) => Some(Arc::new(usage)),
            Err(status) => {
                tracing::debug!(node, %status, "a node does not say what it uses");
                None
            }
        };
        *known = Some(Answer { at: Instant::now(), usage: usage.clone() });
        usage
    }

    async fn ask(&self, node: &str) -> Result<NodeUsage, Status> {
        let late = |_| Status::timeout(format_args!("node {node:?} has not answered in time"));
        timeout(REACHED_WITHIN, self.tunnels.reach(node)).await.map_err(late)??;
        let _place = self.places.acquire().await.map_err(Status::internal)?;
        let answer = timeout(ANSWERED_WITHIN, answer(&self.tunnels, node)).await.map_err(late)??;
        NodeUsage::decode(answer).map_err(|error| Status::internal(format!("node {node:?}: {error}")))
    }

    /// Forgets what nobody can use any more, of nodes that are gone above all.
    fn forget_stale(&self) {
        self.slots.lock().retain(|_, slot| match slot.try_lock() {
            Ok(answer) => answer.as_ref().is_some_and(Answer::is_fresh),
            Err(_asked_just_now) => true,
        });
    }
}

async fn answer(tunnels: &Tunnels, node: &str) -> Result<Bytes, Status> {
    // The session is over when both halves are gone.
    let Session { writer: _writer, mut reader } = tunnels.session(node, What::Usage(Usage {}))?;
    let mut answer = BytesMut::new();
    while let Some(frame) = reader.next().await {
        match frame? {
            Frame::Data(_, data) if answer.len() + data.len() <= ANSWER_BYTES_MAX => answer.extend_from_slice(&data),
            Frame::Data(..) => return Err(Status::internal(format!("node {node:?} says more than is read"))),
            Frame::Last(_) | Frame::Resize { .. } => {}
            Frame::End(Outcome::Exited(_)) => return Ok(answer.freeze()),
            Frame::End(Outcome::Failed(why)) => return Err(Status::unavailable(why)),
        }
    }
    Err(Status::unavailable(format!("node {node:?} ended without an answer")))
}

#[cfg(test)]
mod tests {
    use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
    use keelson_proto::keelson::node::v1::{
        Announce, Data, SessionEnd, SessionFrame, TunnelRequest, TunnelResponse, Used, tunnel_request, tunnel_response,
    };
    use tokio::sync::mpsc;

    use super::*;
    use crate::node_tunnel::Tunnel;

    /// An agent that hosts nodes here.
    struct Agent {
        tunnels: Arc<Tunnels>,
        tunnel: Arc<Tunnel>,
        asked: mpsc::Receiver<TunnelResponse>,
    }

    impl Agent {
        fn hosting(nodes: &[&str]) -> Agent {
            let tunnels = Arc::new(Tunnels::default());
            let (tunnel, asked) = tunnels.open();
            let agent = Agent { tunnels, tunnel, asked };
            let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
            agent.say(tunnel_request::Message::Announce(Announce { nodes }));
            agent
        }

        fn say(&self, message: tunnel_request::Message) {
            let request = TunnelRequest { message: Some(message) };
            self.tunnels.receive(&self.tunnel, request).expect("is taken");
        }

        /// The next question: its session, and of which node.
        async fn question(&mut self) -> (u64, String) {
            loop {
                let sent = self.asked.recv().await.and_then(|sent| sent.message).expect("the stream goes on");
                if let tunnel_response::Message::Open(open) = sent {
                    assert!(matches!(open.what, Some(What::Usage(_))), "{open:?}");
                    return (open.session_id, open.node);
                }
            }
        }

        fn frame(&self, session_id: u64, frame: Wire) {
            self.say(tunnel_request::Message::Frame(SessionFrame { session_id, frame: Some(frame) }));
        }

        fn answer(&self, session_id: u64, memory_bytes: u64) {
            let used = Some(Used { cpu_nanocores: 1, memory_bytes });
            let usage = NodeUsage { measured_at_ms: 1, window_ms: 1, used, containers: Vec::new() };
            self.frame(session_id, Wire::Data(Data { stream: 2, data: usage.encode_to_vec().into(), last: false }));
            self.frame(session_id, Wire::End(SessionEnd::default()));
        }
    }

    fn ask(usages: &Arc<Usages>, nodes: &[&str]) -> tokio::task::JoinHandle<HashMap<String, u64>> {
        let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
        let usages = usages.clone();
        tokio::spawn(async move {
            let answered = usages.of(nodes).await.into_iter();
            answered.map(|(node, usage)| (node, usage.used.unwrap_or_default().memory_bytes)).collect()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_asked_once_for_all_who_look_and_again_when_that_is_old() {
        let mut agent = Agent::hosting(&["a"]);
        let usages = Arc::new(Usages::new(agent.tunnels.clone()));
        let (one, other) = (ask(&usages, &["a"]), ask(&usages, &["a"]));
        let (session, node) = agent.question().await;
        assert_eq!(node, "a");
        agent.answer(session, 7);
        let seven = HashMap::from([("a".to_owned(), 7)]);
        assert_eq!((one.await.expect("ends"), other.await.expect("ends")), (seven.clone(), seven.clone()));
        assert_eq!(ask(&usages, &["a"]).await.expect("ends"), seven, "it is remembered");

        tokio::time::advance(FRESH_FOR).await;
        let later = ask(&usages, &["a"]);
        let (session, _) = agent.question().await;
        agent.answer(session, 8);
        assert_eq!(later.await.expect("ends"), HashMap::from([("a".to_owned(), 8)]));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_do_not_answer_are_left_out_and_keep_nobody_waiting() {
        let mut agent = Agent::hosting(&["answers", "refuses", "is-silent", "babbles"]);
        let usages = Arc::new(Usages::new(agent.tunnels.clone()));
        let all = ["answers", "refuses", "is-silent", "babbles", "has-no-stream"];
        let began = Instant::now();
        let asked = ask(&usages, &all);
        for _ in 0..4 {
            let (session, node) = agent.question().await;
            match node.as_str() {
                "answers" => agent.answer(session, 7),
                "refuses" => {
                    let end = SessionEnd { exit_code: 0, error: "it has failed".to_owned() };
                    agent.frame(session, Wire::End(end));
                }
                "babbles" => {
                    agent.frame(session, Wire::Data(Data { stream: 2, data: "\u{ff}".into(), last: false }));
                    agent.frame(session, Wire::End(SessionEnd::default()));
                }
                _ => {}
            }
        }
        assert_eq!(asked.await.expect("ends"), HashMap::from([("answers".to_owned(), 7)]));
        let waited = began.elapsed();
        assert!(waited >= ANSWERED_WITHIN && waited < ANSWERED_WITHIN + REACHED_WITHIN, "{waited:?}");
        assert_eq!(ask(&usages, &all).await.expect("ends").len(), 1, "that it did not answer is remembered, too");
        assert_eq!(began.elapsed(), waited);
    }
}
