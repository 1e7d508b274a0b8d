"""Watches: resumed on another member, expired, as an informer, and by the client that asks the server what there is."""

import os
import threading

from kubernetes import client, dynamic, watch
from kubernetes.informer import SharedInformer

from cluster import PATIENCE_SECONDS, InNamespace, compact, configmap, until

# Together, a good deal more than the 8 MiB of each kind's history that a member keeps.
CHANGES = 24
CHANGE_BYTES = 500_000


class Watches(InNamespace):
    def events(self, member, since, count):
        """That many events after a resourceVersion."""
        watcher, found = watch.Watch(), []
        for event in watcher.stream(
            member.core.list_namespaced_config_map,
            self.namespace,
            label_selector="watched",
            resource_version=since,
            timeout_seconds=PATIENCE_SECONDS,
        ):
            found.append((event["type"], event["object"].metadata.name, event["object"].metadata.resource_version))
            if len(found) == count:
                watcher.stop()
        return found

    def put(self, member, name):
        made = configmap(name, labels={"watched": "yes"})
        return member.core.create_namespaced_config_map(self.namespace, made).metadata.resource_version

    def test_a_watch_goes_on_at_another_member(self):
        one, two, three = self.members
        since = one.core.list_namespaced_config_map(self.namespace).metadata.resource_version
        self.put(one, "a")
        seen = self.events(two, since, 1)
        self.assertEqual([event[:2] for event in seen], [("ADDED", "a")])
        # While nobody watches, much happens.
        self.put(three, "b")
        two.core.patch_namespaced_config_map("a", self.namespace, {"data": {"is": "changed"}})
        # What does not fit the selector any more is deleted to this watcher.
        one.core.patch_namespaced_config_map("b", self.namespace, {"metadata": {"labels": {"watched": None}}})
        three.core.delete_namespaced_config_map("a", self.namespace)
        resumed = self.events(three, seen[-1][2], 4)
        expected = [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b"), ("DELETED", "a")]
        self.assertEqual([event[:2] for event in resumed], expected)
        versions = [int(event[2]) for event in seen + resumed]
        self.assertEqual(versions, sorted(set(versions)))

    def test_a_watch_from_too_long_ago_expires(self):
        one, two, _ = self.members
        since = self.put(one, "a")
        one.core.delete_namespaced_config_map("a", self.namespace)
        self.put(two, "b")
        # More than the members keep in memory for those that come late: they have to look into the store.
        for number in range(CHANGES):
            body = {"data": {"large": "x" * CHANGE_BYTES, "number": str(number)}}
            newest = one.core.patch_namespaced_config_map("b", self.namespace, body).metadata.resource_version
        compact(newest, self.members)
        with self.raises(410):
            self.events(two, since, 1)
        # As told, the client lists anew and goes on from there.
        listed = two.core.list_namespaced_config_map(self.namespace, label_selector="watched")
        self.assertEqual([found.metadata.name for found in listed.items], ["b"])
        self.assertGreater(int(listed.metadata.resource_version), int(since))
        self.put(one, "c")
        self.assertEqual(self.events(two, listed.metadata.resource_version, 1)[0][:2], ("ADDED", "c"))

    def test_an_informer_follows(self):
        one, two, _ = self.members
        self.put(one, "before")
        seen = []
        informer = SharedInformer(two.core.list_namespaced_config_map, namespace=self.namespace, label_selector="watched")
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            informer.add_event_handler(kind, lambda found, kind=kind: seen.append((kind, found.metadata.name)))
        informer.start()
        self.addCleanup(informer.stop)
        until(lambda: ("ADDED", "before") in seen, "what was there is seen")
        self.put(one, "after")
        until(lambda: ("ADDED", "after") in seen, "what was made is seen")
        one.core.patch_namespaced_config_map("after", self.namespace, {"data": {"is": "changed"}})
        until(lambda: ("MODIFIED", "after") in seen, "the change is seen")
        one.core.delete_namespaced_config_map("before", self.namespace)
        until(lambda: ("DELETED", "before") in seen, "the deletion is seen")
        until(lambda: [found.metadata.name for found in informer.cache.list()] == ["after"], "the cache has what there is")

    def test_the_dynamic_client_finds_kinds_by_discovery(self):
        cache = os.path.join(os.environ["KEELSON_HOME"], "python-discovery.json")
        finder = dynamic.DynamicClient(self.members[0].client, cache_file=cache)
        kind = finder.resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}
        kind.server_side_apply(body=body, namespace=self.namespace, field_manager="robot")
        found = kind.get(name="m", namespace=self.namespace)
        self.assertEqual((found.data.a, found.kind), ("1", "ConfigMap"))
        seen = []
        body["metadata"]["labels"] = {"changed": "yes"}
        changing = threading.Timer(0, lambda: kind.patch(body=body, namespace=self.namespace))
        changing.start()
        self.addCleanup(changing.join)
        since = found.metadata.resourceVersion
        for event in kind.watch(namespace=self.namespace, resource_version=since, timeout=PATIENCE_SECONDS):
            seen.append((event["type"], event["object"].metadata.labels.changed))
            break
        self.assertEqual(seen, [("MODIFIED", "yes")])
        kind.delete(name="m", namespace=self.namespace)
        with self.assertRaises(dynamic.exceptions.NotFoundError):
            kind.get(name="m", namespace=self.namespace)
        self.assertTrue(finder.resources.search(kind="Deployment", group="apps"))

    def test_a_log_is_followed(self):
        one, two, three = self.members
        body = {
            "metadata": {"name": "p", "annotations": {"simulation.keelson.dev/exit-after": "300ms"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]},
        }
        one.core.create_namespaced_pod(self.namespace, body)
        # A log is there once the container has begun.
        until(lambda: two.core.read_namespaced_pod("p", self.namespace).status.phase != "Pending", "the pod runs")
        followed = list(watch.Watch().stream(three.core.read_namespaced_pod_log, "p", self.namespace, follow=True))
        self.assertTrue(followed)
        whole = client.CoreV1Api(two.client).read_namespaced_pod_log("p", self.namespace, tail_lines=len(followed))
        self.assertEqual(whole.splitlines(), followed)
