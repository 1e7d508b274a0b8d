//! The limits of the API's port, as flags.

use std::time::Duration;

use keelson_api::Options;

/// What users and nodes may ask for at once. A quarter of each is for administrators, nodes, the scheduler and the controllers; one user
/// has a half of the rest at most. What is more is refused with 429 and Retry-After; /livez, /readyz and /healthz never are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of the API's port")]
pub struct ApiLimits {
    /// Requests of the API that are worked on at once, watches and logs apart. Four times as many may be on their way.
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    api_requests_max: u32,
    /// Memory for the API's requests in flight, in MiB: bodies as far as they have come, what is decoded of them, what is being
    /// written, and answers that are built as a whole.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    api_memory_mib: u32,
    /// How long the body of a request to the API may take to arrive.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    api_body_timeout_seconds: u32,
}

impl ApiLimits {
    pub fn apply_to(&self, options: &mut Options) {
        options.requests_max = self.api_requests_max as usize;
        options.in_flight_bytes_max = (self.api_memory_mib as usize) << 20;
        options.body_timeout = Duration::from_secs(self.api_body_timeout_seconds.into());
    }
}
