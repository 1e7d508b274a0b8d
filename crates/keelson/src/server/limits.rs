//! The limits of the etcd port, as flags. They are called as in etcd where etcd has them.

use keelson_store::etcd_v3::Limits;

/// What clients of the etcd port may ask for.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of the etcd port")]
pub struct StoreLimits {
    /// The largest request, in bytes.
    #[arg(long, default_value_t = 1_572_864, value_parser = clap::value_parser!(u32).range(1..))]
    max_request_bytes: u32,
    /// Operations in one transaction, nested ones included.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    max_txn_ops: u32,
    /// Requests and streams under way on one connection; more wait.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrent_streams: u32,
    /// Connections at one time; more wait.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Callers that wait for a lock or to be elected; more are refused.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_waiters: u32,
    /// Writes that may wait to be proposed, the API's included; more are refused with "too many requests".
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_queued_writes: u32,
    /// Memory for writes that wait or are under way, the API's included, in MiB; what does not fit is refused, likewise.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=4_095))]
    max_queued_mib: u32,
    /// Memory for lists while they are sent to all clients, in MiB; what does not fit is refused.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(4..=65_536))]
    list_memory_mib: u32,
}

impl StoreLimits {
    /// Bytes of writes that may wait or be under way.
    pub fn queued_bytes_max(&self) -> usize {
        (self.max_queued_mib as usize) << 20
    }

    pub fn limits(&self) -> Limits {
        Limits {
            request_bytes_max: self.max_request_bytes as usize,
            txn_ops_max: self.max_txn_ops as usize,
            streams_max: self.max_concurrent_streams,
            connections_max: self.max_connections as usize,
            waiters_max: self.max_waiters as usize,
            lists_bytes_max: (self.list_memory_mib as usize) << 20,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    #[test]
    fn without_flags_the_limits_are_the_stores_own() {
        let matches = StoreLimits::augment_args(Command::new("x")).get_matches_from(["x"]);
        let limits = StoreLimits::from_arg_matches(&matches).expect("flags").limits();
        assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
        let flags = StoreLimits::from_arg_matches(&matches).expect("flags");
        assert_eq!((flags.max_queued_writes, flags.queued_bytes_max()), (5_000, 64 << 20));
    }
}
