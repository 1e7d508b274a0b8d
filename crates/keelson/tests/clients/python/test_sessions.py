"""Sessions with pods: commands with all their streams, and forwarded ports."""

import http.client

from kubernetes import client
from kubernetes.stream import portforward, stream

from cluster import PATIENCE_SECONDS, InNamespace, until

# More than any window or buffer on the way.
MUCH = 1 << 20


class Sessions(InNamespace):
    def setUp(self):
        super().setUp()
        port = {"containerPort": 8080}
        container = {"name": "c", "image": "c:1", "ports": [port], "env": [{"name": "COLOR", "value": "blue"}]}
        body = {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
        self.members[0].core.create_namespaced_pod(self.namespace, body)
        until(lambda: self.members[0].core.read_namespaced_pod("p", self.namespace).status.phase == "Running", "it runs")
        # A client of its own, because a stream changes how its client sends.
        self.pods = [client.CoreV1Api(client.ApiClient(member.client.configuration)) for member in self.members]

    def execute(self, member, command, **more):
        pods = self.pods[member]
        return stream(
            pods.connect_get_namespaced_pod_exec,
            "p",
            self.namespace,
            command=command,
            **{"stdout": True, "stderr": True, "stdin": False, "tty": False} | more,
        )

    def test_a_command_is_executed(self):
        for member in range(3):
            self.assertEqual(self.execute(member, ["sh", "-c", "echo $COLOR; hostname"]), "blue\np\n")
        session = self.execute(1, ["sh", "-c", "echo out; echo err >&2; exit 3"], _preload_content=False)
        session.run_forever(timeout=PATIENCE_SECONDS)
        self.assertEqual((session.read_stdout(), session.read_stderr(), session.returncode), ("out\n", "err\n", 3))

    def test_a_command_is_spoken_to(self):
        session = self.execute(2, ["cat"], stdin=True, _preload_content=False)
        for line in ("first", "second"):
            session.write_stdin(line + "\n")
            self.assertEqual(session.readline_stdout(timeout=PATIENCE_SECONDS), line)
        session.close()

    def test_much_is_sent(self):
        session = self.execute(0, ["sh", "-c", f"yes | head -c {MUCH}"], _preload_content=False, binary=True)
        session.run_forever(timeout=PATIENCE_SECONDS)
        self.assertEqual(session.read_stdout(), b"y\n" * (MUCH // 2))

    def test_what_cannot_be_executed_is_told(self):
        with self.assertRaises(client.ApiException) as refused:
            self.execute(0, ["true"], container="none")
        self.assertIn("container none is not valid for pod p", str(refused.exception))

    def test_a_port_is_forwarded(self):
        for pods in self.pods:
            forwarded = portforward(pods.connect_get_namespaced_pod_portforward, "p", self.namespace, ports="8080")
            sent = b"x" * MUCH
            for method, body, contained in (("GET", None, b"p"), ("POST", sent, sent)):
                connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=PATIENCE_SECONDS)
                connection.sock = forwarded.socket(8080)
                connection.request(method, "/", body)
                answer = connection.getresponse()
                self.assertEqual(answer.status, 200)
                self.assertIn(contained, answer.read())
            self.assertIsNone(forwarded.error(8080))
            forwarded.close()

    def test_a_port_that_nobody_listens_at_is_told(self):
        forwarded = portforward(
            self.pods[0].connect_get_namespaced_pod_portforward, "p", self.namespace, ports="8080,9999"
        )
        until(lambda: forwarded.error(9999), "the error is told")
        self.assertIn("9999", forwarded.error(9999))
        self.assertIsNone(forwarded.error(8080))
        forwarded.close()
