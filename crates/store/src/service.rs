//! One member of the store, from opening its folder to handing leadership over at the end.
//!
//! All of a member's tasks are started here. A task that ends by itself ends the member: the others cannot do its work.

mod error;
mod join;
mod peer_port;
mod purge;
pub(crate) mod reclaim;
mod space;
mod stalled;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use keelson_types::Leadership;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::leadership::{Heard, Silence};
use crate::lease_keeper::LeaseKeeper;
use crate::machine::{self, Machine, Tasks};
use crate::member::{Member, Shared};
use crate::membership::Unapplied;
use crate::metrics::Metrics;
use crate::peers::{ClusterId, Connector, Peers};
use crate::propose::answers::Answers;
use crate::raft::gate::Gate;
use crate::raft::log::{self, Identity, Log};
use crate::raft::network::Factory;
use crate::raft::state_machine::StateMachine;
use crate::raft::{Raft, config};
use crate::state::State;
use crate::{
    Handle, Options, auth, corruption, etcd_v3, forward, leadership, membership, peer_tls, propose, raft, read_index,
    state,
};

pub use error::Error;

use reclaim::Reclaimed;

/// A stopping leader waits so long for a follower to take over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Backups read at one time.
const BACKUPS_MAX: usize = 4;

/// The store, to be opened.
pub struct Store;

impl Store {
    /// Opens the member's data folder and binds its ports. Requests wait until [`Service::run`].
    ///
    /// # Errors
    /// Each way in which the options, the folder, the certificates or the ports do not allow it.
    pub async fn open(options: Options) -> Result<(Handle, Service), Error> {
        options.validate().map_err(Error::Options)?;
        let (connector, ports) = match machine::current() {
            Some(machine) => (Connector::simulated(machine.clone()), Ports::Simulated(machine)),
            None => {
                let client_tls = peer_tls::client(&options.peer_tls).map_err(Error::PeerTls)?;
                (Connector::network(client_tls), Ports::bind(&options).await?)
            }
        };
        let auth = auth::Auth::new(&options.auth).map_err(Error::Auth)?;
        let joined = join::identity(&options, &connector).await?;
        let (joined, members) = joined.map_or((None, Vec::new()), |(identity, members)| (Some(identity), members));
        let snapshots_dir = options.data_dir.join("snapshots");
        let (log, unapplied, state, identity) = open_folder(&options, joined).await?;
        log.stall_by(options.stall.clone());
        let gate = Arc::new(Gate::new(log.clone(), options.join));
        let peers = Peers::new(&options, identity, connector).map_err(Error::Peers)?;
        let reader = state.reader();
        let known = reader.cluster();
        let known = unapplied.over(&known.members, reader.applied().index);
        peers.follow(if known.is_empty() { &members } else { &known }, &[], &BTreeSet::new());
        if options.corruption.at_start {
            corruption::at_start(&peers, &reader).await.map_err(Error::Differs)?;
        }
        let answers = Answers::new(identity.member_id);
        let (state_machine, applied) = StateMachine::new(state, snapshots_dir.clone(), answers.clone());
        let metrics = Arc::new(Metrics::new(identity.member_id, log.figures(), reader.measured()));
        let config = config::build(&options, gate.may_vote()).map_err(|error| Error::Raft(Box::new(error)))?;
        let kept_log = log.clone();
        let network = Factory::new(peers.clone(), log.clone(), metrics.peers.clone());
        let raft = Raft::build(identity.member_id, config, network, log, state_machine)
            .await
            .map_err(|error| Error::Raft(Box::new(error)))?;

        let (leadership_sender, leadership) = watch::channel(Leadership::default());
        let (reclaimed_sender, reclaimed) = watch::channel(Reclaimed::default());
        let (proposer, proposals) = propose::new(answers, options.queued_writes_max, options.queued_bytes_max);
        let (appender, appends) = propose::appends::new();
        let (read_index, rounds) = read_index::new();
        let member = Arc::new(Member {
            peers,
            raft,
            reader,
            applied,
            leadership,
            reclaimed,
            proposer,
            appender,
            read_index,
            leases: LeaseKeeper::default(),
            disk: Disk::new(),
            metrics,
            learner: AtomicBool::new(false),
            voice: gate.voice(),
            unapplied,
            identity,
            backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
            hashing: Arc::new(Semaphore::new(1)),
            auth,
            options,
        });
        let handle = Handle::new(Arc::clone(&member));
        let service = Service {
            member,
            log: kept_log,
            gate,
            ports,
            snapshots_dir,
            leadership: leadership_sender,
            reclaimed: reclaimed_sender,
            proposals,
            appends,
            rounds,
        };
        Ok((handle, service))
    }
}

/// Opens log and state of the data folder, which is created when absent.
async fn open_folder(options: &Options, joined: Option<Identity>) -> Result<(Log, Unapplied, State, Identity), Error> {
    let folder = options.data_dir.clone();
    let identity = Identity { cluster_id: options.cluster_id(), member_id: options.member_id() };
    let sizes = log::Sizes { cache_bytes: options.log_cache_bytes, segment_bytes: options.log_segment_bytes };
    let state_options = state::Options {
        block_cache_bytes: options.block_cache_bytes,
        memtable_bytes: options.write_buffer_bytes,
        verify: options.verify_state,
        ..state::Options::default()
    };
    let open = move || {
        let at = |source| Error::Folder { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(at)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // What is synced in a folder is lost with the folder's name.
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(at)?;
        }
        // The log has the lock and knows whose folder it is, so it comes first.
        let (log, identity) = Log::open(&folder.join("log"), identity, joined, sizes).map_err(Error::log)?;
        // Whatever was under way when the member stopped is sent again.
        match std::fs::remove_dir_all(folder.join("snapshots")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
        let state = State::open(&folder.join("state"), &state_options).map_err(Error::State)?;
        let unapplied = Unapplied::read(&log, state.applied().index).map_err(Error::log)?;
        Ok((log, unapplied, state, identity))
    };
    machine::spawn_blocking(open).await.map_err(Error::Task)?
}

/// An opened member.
pub struct Service {
    member: Shared,
    log: Log,
    gate: Arc<Gate>,
    ports: Ports,
    snapshots_dir: std::path::PathBuf,
    leadership: watch::Sender<Leadership>,
    reclaimed: watch::Sender<Reclaimed>,
    proposals: propose::Proposals,
    appends: propose::appends::Appends,
    rounds: read_index::Rounds,
}

/// Where peers and clients reach this member.
enum Ports {
    Bound {
        tls: Box<peer_tls::Server>,
        peer_listener: TcpListener,
        etcd: Box<etcd_v3::Server>,
        metrics_ports: Vec<etcd_v3::MetricsPort>,
    },
    /// Peers reach it over the machine's network, clients by its [`Handle`] only.
    Simulated(Machine),
}

impl Ports {
    async fn bind(options: &Options) -> Result<Self, Error> {
        let tls = Box::new(peer_tls::server(&options.peer_tls).map_err(Error::PeerTls)?);
        let listen = |source| Error::Listen { address: options.listen_peer, source };
        let peer_listener = TcpListener::bind(options.listen_peer).await.map_err(listen)?;
        let store_tls = if options.insecure_store { None } else { options.store_tls.as_ref() };
        let etcd = etcd_v3::Server::bind(options.listen_store, store_tls, options.etcd).await.map_err(Error::Etcd)?;
        let mut metrics_ports = Vec::with_capacity(options.listen_metrics.len());
        for address in &options.listen_metrics {
            metrics_ports.push(etcd_v3::MetricsPort::bind(*address).await.map_err(Error::Etcd)?);
        }
        Ok(Self::Bound { tls, peer_listener, etcd: Box::new(etcd), metrics_ports })
    }
}

/// What ended, and how.
type Ended = (&'static str, Result<(), Error>);

impl Service {
    /// Serves until `shutdown`; then hands leadership over and stops. Dropping the future stops everything at once, as a
    /// crash would.
    ///
    /// # Errors
    /// When a part failed: the disk, most likely. Nothing that was acknowledged is lost.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let member = Arc::clone(&self.member);
        let stop_clients = CancellationToken::new();
        let mut tasks = Tasks::new();
        self.start(&mut tasks, &stop_clients);
        member.raft.run();
        let first = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = tasks.join_next() => ended,
        };
        let result = match first {
            None => {
                hand_over(&member).await;
                Ok(())
            }
            Some(Ok((_, Err(error)))) => Err(error),
            Some(Ok((part, Ok(())))) => Err(Error::Ended { part }),
            Some(Err(error)) => Err(Error::Task(error)),
        };
        stop_clients.cancel();
        if result.is_ok() {
            // Requests in flight get their answers; the etcd port bounds how long that takes.
            while let Some(ended) = tasks.join_next().await {
                if matches!(ended, Ok((ETCD, _))) {
                    break;
                }
            }
        }
        if let Err(error) = member.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop cleanly");
        }
        tasks.shutdown().await;
        result
    }

    fn start(self, tasks: &mut Tasks<Ended>, stop_clients: &CancellationToken) {
        let member = self.member;
        let (raft, peers) = (member.raft.clone(), member.peers.clone());
        let heard = Arc::new(Heard::default());
        {
            let cluster = ClusterId::new(member.identity.cluster_id).at(member.identity.member_id);
            let gate = Arc::clone(&self.gate);
            let heard = Arc::clone(&heard);
            let raft = raft::server::Server::new(raft.clone(), gate, heard, cluster.clone(), self.snapshots_dir);
            let forward = forward::Server::new(Arc::clone(&member), cluster);
            let handle = Handle::new(Arc::clone(&member));
            let stop = stop_clients.clone();
            match self.ports {
                Ports::Bound { tls, peer_listener, etcd, metrics_ports } => {
                    for port in metrics_ports {
                        let handle = handle.clone();
                        tasks.spawn(async move {
                            port.run(handle).await;
                            ("a metrics port", Ok(()))
                        });
                    }
                    let serve = peer_port::serve(peer_listener, tls, raft, forward);
                    tasks.spawn(async move { ("the peer port", serve.await) });
                    tasks.spawn(async move {
                        etcd.run(handle, stop).await;
                        (ETCD, Ok(()))
                    });
                }
                Ports::Simulated(machine) => {
                    let serve = peer_port::serve_simulated(&machine, raft, forward);
                    tasks.spawn(async move {
                        serve.await;
                        ("the peer port", Ok(()))
                    });
                    tasks.spawn(async move {
                        stop.cancelled_owned().await;
                        (ETCD, Ok(()))
                    });
                }
            }
        }
        tasks.spawn(follow_failures(raft.clone()));
        {
            let (raft, reader, applied) = (raft.clone(), member.reader.clone(), member.applied.clone());
            let silence = Silence { heard, tolerance: member.options.election_timeout_max * 2 };
            let changes = member.metrics.leader_changes.clone();
            let follow = leadership::follow(raft, reader, applied, self.leadership, silence, changes);
            tasks.spawn(async move {
                ("leadership", {
                    follow.await;
                    Ok(())
                })
            });
        }
        {
            let run = self.appends.run(raft.clone());
            tasks.spawn(async move {
                ("appends", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let run = self.proposals.run(member.appender.clone(), peers.clone(), member.leadership.clone());
            tasks.spawn(async move {
                ("proposals", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let run = self.rounds.run(raft.clone(), peers.clone(), member.leadership.clone());
            tasks.spawn(async move {
                ("read rounds", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let run = member.leases.clone().run(Arc::clone(&member));
            tasks.spawn(async move {
                ("leases", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let (folder, minimum) = (member.options.data_dir.clone(), member.options.min_free_disk_bytes);
            let watch = member.disk.clone().watch(folder, minimum);
            tasks.spawn(async move {
                ("free space", {
                    watch.await;
                    Ok(())
                })
            });
        }
        {
            let run = stalled::run(Arc::clone(&member), self.log.clone());
            tasks.spawn(async move {
                ("the look at the disk", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let run = membership::run(Arc::clone(&member), Arc::clone(&self.gate));
            tasks.spawn(async move { ("members", run.await.map_err(|removed| Error::Join(Box::new(removed)))) });
        }
        {
            let run = space::run(Arc::clone(&member));
            tasks.spawn(async move {
                ("space", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let run = reclaim::run(Arc::clone(&member), self.reclaimed);
            tasks.spawn(async move {
                ("physical compactions", {
                    run.await;
                    Ok(())
                })
            });
        }
        if member.options.corruption.compares_later() {
            let run = corruption::run(Arc::clone(&member));
            tasks.spawn(async move {
                ("the comparison of members", {
                    run.await;
                    Ok(())
                })
            });
        }
        {
            let member = Arc::clone(&member);
            tasks.spawn(async move {
                ("tokens", {
                    Arc::clone(&member.auth.keeper).run(member).await;
                    Ok(())
                })
            });
        }
        {
            let run = purge::run(Arc::clone(&member), self.log);
            tasks.spawn(async move { ("snapshot points", run.await) });
        }
        {
            let (gate, applied) = (self.gate, member.applied.clone());
            tasks.spawn(async move {
                match gate.open(&raft, &peers, applied).await {
                    // Open for good; nothing is left to do, and ending would end the member.
                    Ok(()) => std::future::pending().await,
                    Err(error) => ("joining", Err(Error::Join(Box::new(error)))),
                }
            });
        }
    }
}

const ETCD: &str = "the etcd port";

/// Ends with what stopped consensus: a failed disk, most likely.
async fn follow_failures(raft: Raft) -> Ended {
    let mut metrics = raft.metrics();
    loop {
        let running = metrics.borrow_watched().running_state.clone();
        if let Err(fatal) = running {
            return ("consensus", Err(Error::Raft(Box::new(fatal))));
        }
        if metrics.changed().await.is_err() {
            return ("consensus", Ok(()));
        }
    }
}

/// A stopping leader leaves a leader behind, so that nobody has to wait for an election.
async fn hand_over(member: &Member) {
    if member.leads() && member.voters().len() > 1 {
        match member.transfer_leadership(None, HAND_OVER_TIMEOUT).await {
            Ok(now) => tracing::info!(leader = now.leader_id, "leadership handed over"),
            Err(error) => tracing::warn!(%error, "leadership could not be handed over: an election follows"),
        }
    }
}
