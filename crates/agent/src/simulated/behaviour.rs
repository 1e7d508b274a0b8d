//! What one simulated container does: read from its pod's annotations, drawn from the seed where they are silent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use keelson_types::meta;
use keelson_types::quantity::Quantity;

use crate::containers;
use crate::runtime::ContainerId;

const PREFIX: &str = "simulation.keelson.dev/";
/// Delays that no annotation names are drawn from this range, in milliseconds.
const DRAWN_MILLIS: std::ops::Range<u64> = 50..250;

/// What a container uses that asks for none of it, and has no annotation: as much as one that waits for something to do.
const IDLE_CPU: Quantity = Quantity::from_millis(1);
const IDLE_MEMORY: Quantity = Quantity::from_bytes(4 << 20);

/// What one container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    pub image: String,
    pub start_delay: Duration,
    pub ready_delay: Duration,
    /// Runs until it is stopped without it.
    pub exit_after: Option<Duration>,
    pub exit_code: i32,
    pub stop_delay: Duration,
    /// Billionths of a core that it uses while it runs.
    pub cpu_nanocores: u64,
    pub memory_bytes: u64,
    /// The image cannot be pulled, and why.
    pub image_pull_error: Option<String>,
}

impl Behaviour {
    /// Reads the annotations that count for the container.
    ///
    /// # Errors
    /// Names the annotation whose value is none that it may have.
    pub fn of(pod: &Pod, container: &ContainerId, seed: u64) -> Result<Self, String> {
        let value = |name: &str| {
            let own = meta::annotation(pod, &format!("{PREFIX}{name}.{}", container.name));
            own.or_else(|| meta::annotation(pod, &format!("{PREFIX}{name}")))
        };
        let duration = |name: &str| match value(name) {
            None => Ok(None),
            Some(text) => parse_duration(text)
                .map(Some)
                .ok_or_else(|| format!("annotation {PREFIX}{name}: {text:?} is no duration such as 250ms, 2s or 5m")),
        };
        let drawn = |what: &str| {
            let mut hasher = DefaultHasher::new();
            (seed, what, &container.pod_uid, &container.name).hash(&mut hasher);
            let span = DRAWN_MILLIS.end - DRAWN_MILLIS.start;
            Duration::from_millis(DRAWN_MILLIS.start + hasher.finish() % span)
        };
        let exit_code = match value("exit-code") {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|code| (0..=255).contains(code))
                .ok_or_else(|| format!("annotation {PREFIX}exit-code: {text:?} is no number from 0 to 255"))?,
        };
        let amount = |name: &str, resource, idle| match value(name) {
            None => Ok(usual(pod, &container.name, resource, idle)),
            Some(text) => text
                .parse()
                .ok()
                .filter(|amount: &Quantity| !amount.is_negative())
                .ok_or_else(|| format!("annotation {PREFIX}{name}: {text:?} is no quantity such as 250m or 64Mi")),
        };
        let used = |name: &str, resource, idle| {
            let wanted = amount(name, resource, idle)?;
            let limit = limit(pod, &container.name, resource);
            Ok::<Quantity, String>(limit.map_or(wanted, |limit| wanted.min(limit)))
        };
        let (cpu, memory) = (used("cpu-usage", "cpu", IDLE_CPU)?, used("memory-usage", "memory", IDLE_MEMORY)?);
        let image = image(pod, &container.name);
        let missing = image.ends_with(":does-not-exist").then(|| format!("failed to pull image {image:?}: not found"));
        Ok(Self {
            start_delay: duration("start-delay")?.unwrap_or_else(|| drawn("start")),
            ready_delay: duration("ready-delay")?.unwrap_or_else(|| drawn("ready")),
            exit_after: duration("exit-after")?,
            exit_code,
            stop_delay: duration("stop-delay")?.unwrap_or(Duration::ZERO),
            cpu_nanocores: u64::try_from(cpu.nanos()).unwrap_or(0),
            memory_bytes: u64::try_from(memory.units()).unwrap_or(0),
            image_pull_error: value("image-pull-error").map(str::to_owned).or(missing),
            image,
        })
    }
}

fn image(pod: &Pod, name: &str) -> String {
    containers::named(pod, name).and_then(|found| found.image.clone()).unwrap_or_default()
}

/// Half of what the container asks for: it has some room.
fn usual(pod: &Pod, name: &str, resource: &str, idle: Quantity) -> Quantity {
    let requested = containers::named(pod, name).and_then(|own| {
        let requests = own.resources.as_ref()?.requests.as_ref()?;
        requests.get(resource)?.0.parse::<Quantity>().ok()
    });
    requested.map_or(idle, Quantity::half)
}

/// What a machine would not let the container exceed.
fn limit(pod: &Pod, name: &str, resource: &str) -> Option<Quantity> {
    let own = containers::named(pod, name)?;
    own.resources.as_ref()?.limits.as_ref()?.get(resource)?.0.parse().ok()
}

/// `250ms`, `2s`, `5m`, `1h`. Nothing else, so that a typing mistake is told instead of guessed at.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3_600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, expected) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("2s", Some(Duration::from_secs(2))),
            ("5m", Some(Duration::from_secs(300))),
            ("1h", Some(Duration::from_secs(3_600))),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
