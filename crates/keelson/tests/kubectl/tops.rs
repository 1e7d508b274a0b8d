//! What nodes and pods use.

use std::time::Instant;

use crate::Kubectl;
use crate::running::PATIENCE;

impl Kubectl<'_> {
    pub fn tops(&self) {
        self.uses("busy", "simulation.keelson.dev/cpu-usage: 250m, simulation.keelson.dev/memory-usage: 64Mi");
        self.uses("modest", "simulation.keelson.dev/memory-usage.side: 8Mi");
        self.run(&["wait", "--for=condition=Ready", "--timeout=120s", "pod/busy", "pod/modest"]);

        // A pod is measured from when it runs, and an answer may be as old as that of a moment ago.
        let has = |printed: &str, expected: &[&str]| {
            let rows: Vec<String> =
                printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            expected.iter().all(|expected| rows.iter().any(|row| row == expected))
        };
        let pods = ["busy 500m 128Mi", "modest 51m 40Mi"];
        self.looks_until("top pods", |printed| has(printed, &pods));
        self.looks_until("top pods -l name=busy --no-headers", |printed| {
            has(printed, &pods[..1]) && !has(printed, &pods[1..])
        });
        self.looks_until("top pod modest --containers", |printed| {
            has(printed, &["modest main 50m 32Mi", "modest side 1m 8Mi"])
        });
        let everywhere = pods.map(|row| format!("{} {row}", self.namespace));
        self.looks_until("top pods -A --sort-by=cpu", |printed| {
            has(printed, &everywhere.each_ref().map(|row| &row[..]))
        });
        self.looks_until("get podmetrics", |printed| {
            has(printed, &["NAME CPU MEMORY WINDOW"]) && printed.contains("busy")
        });
        self.fails("top pod missing", "not found");

        // Each of the three has what its pods use, of 8 cores.
        self.looks_until("top nodes", |printed| {
            printed.lines().count() == 4 && printed.contains("%") && !printed.contains("<unknown>")
        });
        self.looks_until("get nodemetrics -o name", |printed| {
            ["node-1", "node-2", "node-3"]
                .iter()
                .all(|node| printed.contains(&format!("nodemetrics.metrics.k8s.io/{node}")))
        });
        self.fails("delete podmetrics busy", "the server does not allow this method on the requested resource");
    }

    /// Runs a command line until it prints what is wanted. Before anything is measured, kubectl fails.
    #[track_caller]
    fn looks_until(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (well, printed) = self.try_run(&line.split(' ').collect::<Vec<_>>());
            if well && wanted(&printed) {
                return;
            }
            assert!(Instant::now() < deadline, "{} {line} still prints {printed}", self.program.display());
        }
    }

    /// A pod of two containers, of which one asks for something.
    fn uses(&self, name: &str, annotations: &str) {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{name: {name}}}\n  annotations: \
             {{{annotations}}}\nspec:\n  containers:\n  - name: main\n    image: i:1\n    resources: {{requests: {{cpu: \
             100m, memory: 64Mi}}}}\n  - {{name: side, image: i:1}}\n"
        );
        let file = self.write(&format!("{name}.yaml"), &pod);
        self.run(&["apply", "-f", &file]);
    }
}
