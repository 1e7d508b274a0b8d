//! Colours, where the terminal shows them.

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color(bool);

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

impl Color {
    pub const fn new(enabled: bool) -> Self {
        Self(enabled)
    }

    pub fn header(self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    /// Colours a cell by what its word says about health. Spaces around the word stay.
    pub fn state(self, text: &str) -> String {
        let code = match text.trim() {
            "Running" | "Ready" | "Active" | "Succeeded" | "Completed" | "ok" | "ADDED" => GREEN,
            "Pending"
            | "Terminating"
            | "ContainerCreating"
            | "PodInitializing"
            | "Warning"
            | "MODIFIED"
            | "Ready,SchedulingDisabled" => YELLOW,
            "Failed" | "Error" | "CrashLoopBackOff" | "ImagePullBackOff" | "ErrImagePull" | "OOMKilled" | "Evicted"
            | "NotReady" | "Unknown" | "unreachable" | "DELETED" => RED,
            _ => return text.to_owned(),
        };
        self.paint(code, text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("{code}{text}{RESET}") } else { text.to_owned() }
    }
}
