"""What the tests share: the members' APIs, a namespace for each test, and waiting on a condition."""

import os
import subprocess
import time
import unittest

from kubernetes import client, config

# What may take so long on a busy machine at most.
PATIENCE_SECONDS = 120
LOOK_INTERVAL_SECONDS = 0.02
MEMBERS = ["keelson", "keelson-m2", "keelson-m3"]


class Member:
    """One member's API, by all the classes that the tests use."""

    def __init__(self, context):
        # Unlike config.load_kube_config(), this leaves the default alone.
        self.client = config.new_client_from_config(context=context)
        self.core = client.CoreV1Api(self.client)
        self.apps = client.AppsV1Api(self.client)


class InNamespace(unittest.TestCase):
    """Each test has a namespace of its own."""

    @classmethod
    def setUpClass(cls):
        config.load_kube_config()
        cls.members = [Member(context) for context in MEMBERS]

    def setUp(self):
        name = self._testMethodName.replace("_", "-")[:60].rstrip("-")
        one = self.members[0]
        one.core.create_namespace({"metadata": {"name": name}})
        self.addCleanup(one.core.delete_namespace, name)
        self.namespace = name

    def raises(self, status):
        """Refused with this code; the exception is left for a look at its body."""
        return self.assertRaisesRegex(client.ApiException, rf"^\({status}\)")


def until(condition, what):
    """Waits until the condition gives something true, and returns it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(LOOK_INTERVAL_SECONDS)
    raise TimeoutError(f"{what} did not come true within {PATIENCE_SECONDS} s")


def configmap(name, data=None, labels=None):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def deployment(name, replicas=1):
    labels = {"app": name}
    container = client.V1Container(
        name="web", image="web:1", ports=[client.V1ContainerPort(name="http", container_port=8080)]
    )
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name, labels=labels),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
            ),
        ),
    )


def compact(revision, members):
    """Forgets what was overwritten before this revision, as a cluster does by and by; returns when all members have done so."""
    etcdctl = os.environ["KEELSON_TEST_ETCDCTL_35"]
    subprocess.run([etcdctl, "compaction", str(revision)], check=True, capture_output=True)
    for member in members:
        # Answered from what a majority knew when it was asked, so after that.
        member.core.list_config_map_for_all_namespaces(limit=1)
