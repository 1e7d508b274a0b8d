//! Commands about pods: what they are, what happened to them, what they say, and the ports that they serve.

use std::io::Read as _;

use crate::Kubectl;
use crate::running::{http, wait_for};

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  annotations: {simulation.keelson.dev/exit-after: 2s, simulation.keelson.dev/exit-code: "3"}
spec:
  restartPolicy: POLICY
  containers: [{name: main, image: "ending:1"}]
"#;

impl Kubectl<'_> {
    pub fn pods(&self) {
        let arguments = ["run", "p", "--image=nginx:1", "--port=80", "--labels=app=p", "--env=COLOR=blue"];
        self.run(&arguments);
        for (name, policy) in [("once", "Never"), ("again", "Always")] {
            let file = self.write("pod.yaml", &POD.replace("NAME", name).replace("POLICY", policy));
            self.says(&format!("create -f {file}"), &format!("pod/{name} created"));
        }
        self.run(&["create", "deployment", "w", "--image=nginx:1", "--replicas=2"]);
        self.says("wait --for=condition=Ready --timeout=120s pod/p", "pod/p condition met");
        self.follows();
        self.reads_logs();
        self.forwards_a_service();
        self.describes();
        self.debugs_a_node();
        self.run(&["delete", "pods", "p", "once", "again", "--now"]);
        self.run(&["delete", "deployment", "w"]);
    }

    /// From its beginning to its end.
    fn follows(&self) {
        let once = "jsonpath={.status.containerStatuses[0].state}";
        self.comes_to(&format!("get pod once -o {once}"), |state| {
            state.contains("running") || state.contains("terminated")
        });
        let mut running = self.start(&["logs", "-f", "once"]);
        let mut log = String::new();
        running.0.stdout.take().expect("is piped").read_to_string(&mut log).expect("is text");
        assert!(log.starts_with("simulated container of image ending:1\n"), "{log}");
        assert!(log.ends_with("ended with code 3\n"), "{log}");
        assert!(running.0.wait().expect("ends").success());
        let mut running = self.start(&["logs", "-f", "--tail=0", "p"]);
        let output = running.0.stdout.take().expect("is piped");
        wait_for(output, "still running").expect("goes on");
    }

    fn reads_logs(&self) {
        let first = "simulated container of image nginx:1\n";
        let whole = self.run(&["logs", "p"]);
        assert!(whole.starts_with(first) && whole.contains("ready\n"), "{whole}");
        assert_eq!(self.run(&["logs", "p", "--tail=1"]).lines().count(), 1);
        assert!(self.run(&["logs", "p", "--since=1h"]).starts_with(first));
        self.comes_to("logs p --since=1s", |printed| !printed.starts_with(first));
        assert!(self.run(&["logs", "p", "--since-time=2020-01-01T00:00:00Z"]).starts_with(first));
        self.fails("logs p --since-time=yesterday", "yesterday");
        assert_eq!(self.run(&["logs", "p", "--limit-bytes=9"]), "simulated");
        let stamped = self.run(&["logs", "p", "--timestamps", "--tail=1"]);
        assert!(stamped.starts_with("20") && stamped.contains("Z "), "{stamped}");
        self.shows("logs -l app=p --prefix", &["[pod/p/p] simulated container"]);
        self.says("wait --for=condition=Available --timeout=120s deployment/w", "deployment.apps/w condition met");
        self.shows("logs deployment/w --all-containers", &["simulated container of image nginx:1"]);
        self.fails("logs p -c none", "container none is not valid for pod p");
        self.fails("logs p --previous", "previous terminated container \"p\" in pod \"p\" not found");
        // While it waits for its next run, too, the last one that ended is the previous one.
        let status = ".status.containerStatuses[0]";
        self.comes_to(&format!("get pod again -o jsonpath={{{status}.lastState.terminated.exitCode}}"), |code| {
            code == "3"
        });
        self.shows("logs again --previous", &["simulated container of image ending:1\n", "ended with code 3\n"]);
        let restarts = format!("get pod again -o jsonpath={{{status}.restartCount}}");
        self.comes_to(&restarts, |count| count.parse::<u32>().is_ok_and(|count| count > 0));
        self.shows("logs again --previous", &["ended with code 3\n"]);
    }

    fn forwards_a_service(&self) {
        self.says("expose pod p --name=front --port=8080 --target-port=80", "service/front exposed");
        let mut running = self.start(&["port-forward", "service/front", ":8080"]);
        let output = running.0.stdout.take().expect("is piped");
        let line = wait_for(output, "Forwarding from 127.0.0.1:").expect("it forwards");
        assert!(line.ends_with("-> 80"), "to the port of the pod: {line}");
        let port: u16 = line.split([':', ' ']).find_map(|word| word.parse().ok()).expect("says the port");
        let answer = http(port, b"GET /service HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n");
        assert!(answer.contains("pod p, image nginx:1, port 80\nGET /service\n"), "{answer}");
        self.fails("port-forward service/front :81", "does not have a service port 81");
        self.run(&["delete", "service", "front"]);
    }

    fn describes(&self) {
        let node = self.run(&["get", "pod", "p", "-o", "jsonpath={.spec.nodeName}"]);
        let own = &self.namespace;
        // Events are written behind what they tell of, by whom they come from.
        let assigned = format!("Successfully assigned {own}/p to {node}");
        self.comes_to("describe pod p", |printed| {
            [&*assigned, "Started container p"].iter().all(|words| printed.contains(words))
        });
        let host = format!("Node: {node}/");
        let lines = [
            &*host,
            "Status: Running",
            "COLOR: blue",
            "Port: 80/TCP",
            "QoS Class: BestEffort",
            "Ready True",
            &assigned,
        ];
        self.shows("describe pod p", &lines);
        let holder = format!("HolderIdentity: {node}");
        let row = format!("{own} p 0 (0%)");
        let lines = [&*holder, "RenewTime:", "Ready True", "Allocatable: cpu: 8", "Non-terminated Pods:", &row];
        self.shows(&format!("describe node {node}"), &lines);
        self.comes_to("describe deployment w", |printed| printed.contains("Scaled up replica set w-"));
        let replicas = "2 desired | 2 updated | 2 total | 2 available | 0 unavailable";
        self.shows(
            "describe deployment w",
            &[replicas, "NewReplicaSet: w-", "(2/2 replicas created)", "Image: nginx:1"],
        );

        self.shows("events --for pod/p", &["Scheduled", "Started", "Pod/p"]);
        let events = self.run(&["events", "--for", "pod/p"]);
        assert!(!events.contains("Deployment/w"), "of it alone: {events}");
        self.shows("events --types=Normal", &["Deployment/w", "Pod/p"]);
        self.shows("get events --field-selector=involvedObject.name=p", &["Scheduled", "pod/p"]);
    }

    fn debugs_a_node(&self) {
        let said = self.run(&["debug", "node/node-1", "--image=busybox:1", "--profile=general"]);
        let pod = said.split_whitespace().find(|word| word.starts_with("node-debugger-node-1-")).expect("it is named");
        let what = "jsonpath={.spec.nodeName}:{.spec.volumes[0].hostPath.path}:{.spec.hostPID}";
        self.says(&format!("get pod {pod} -o {what}"), "node-1:/:true");
        self.run(&["wait", "--for=condition=Ready", "--timeout=120s", &format!("pod/{pod}")]);
        self.run(&["delete", "pod", pod, "--now"]);
        self.fails("debug node/none --image=busybox:1 --profile=general", "nodes \"none\" not found");
    }
}
