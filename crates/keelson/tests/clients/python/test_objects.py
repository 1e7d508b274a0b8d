"""Objects by the typed API: made, read, listed by pages, replaced, patched, deleted, refused."""

import json
import unittest

from kubernetes import client, utils

from cluster import InNamespace, compact, configmap, deployment, until


class Objects(InNamespace):
    def test_a_deployment_lives(self):
        one, two, three = self.members
        made = one.apps.create_namespaced_deployment(self.namespace, deployment("d", replicas=2))
        self.assertEqual(made.spec.strategy.type, "RollingUpdate")
        self.assertEqual(made.metadata.generation, 1)
        self.assertIsNotNone(made.status)

        def ready(replicas):
            status = two.apps.read_namespaced_deployment_status("d", self.namespace).status
            return status.ready_replicas == replicas and status.updated_replicas == replicas

        until(lambda: ready(2), "two replicas are ready")

        def scaled():
            scale = three.apps.read_namespaced_deployment_scale("d", self.namespace)
            scale.spec.replicas = 3
            try:
                return three.apps.replace_namespaced_deployment_scale("d", self.namespace, scale)
            except client.ApiException as refused:
                # The controller was faster with its status.
                self.assertEqual(refused.status, 409)

        until(scaled, "it is scaled")
        until(lambda: ready(3), "three replicas are ready")

        # One that was read before is not written over what came since.
        with self.raises(409) as refused:
            one.apps.replace_namespaced_deployment("d", self.namespace, made)
        self.assertEqual(json.loads(refused.exception.body)["reason"], "Conflict")

        pods = two.core.list_namespaced_pod(self.namespace, label_selector="app=d")
        self.assertEqual([pod.status.phase for pod in pods.items], ["Running"] * 3)
        self.assertTrue(all(pod.metadata.owner_references[0].kind == "ReplicaSet" for pod in pods.items))
        nodes = {node.metadata.name for node in two.core.list_node().items}
        self.assertLessEqual({pod.spec.node_name for pod in pods.items}, nodes)
        name = pods.items[0].metadata.name
        on_node = two.core.list_namespaced_pod(self.namespace, field_selector=f"metadata.name={name}")
        self.assertEqual(len(on_node.items), 1)

        three.apps.delete_namespaced_deployment("d", self.namespace, propagation_policy="Foreground")
        # In the foreground: the Deployment goes when its pods have gone.
        until(lambda: not one.apps.list_namespaced_deployment(self.namespace).items, "the Deployment is gone")
        self.assertEqual(one.core.list_namespaced_pod(self.namespace).items, [])
        with self.raises(404):
            one.apps.read_namespaced_deployment("d", self.namespace)

    def test_a_configmap_lives(self):
        one, two, three = self.members
        made = one.core.create_namespaced_config_map(self.namespace, configmap("m", {"size": "größe"}, {"is": "here"}))
        self.assertEqual(two.core.read_namespaced_config_map("m", self.namespace), made)
        made.data["more"] = "2"
        replaced = three.core.replace_namespaced_config_map("m", self.namespace, made)
        self.assertEqual(replaced.data, {"size": "größe", "more": "2"})
        self.assertNotEqual(replaced.metadata.resource_version, made.metadata.resource_version)
        self.assertEqual(replaced.metadata.uid, made.metadata.uid)
        listed = one.core.list_config_map_for_all_namespaces(label_selector="is in (here, there)")
        self.assertEqual([found.metadata.name for found in listed.items], ["m"])

        dry = two.core.create_namespaced_config_map(self.namespace, configmap("dry"), dry_run="All")
        self.assertTrue(dry.metadata.uid)
        with self.raises(404):
            two.core.read_namespaced_config_map("dry", self.namespace)
        three.core.delete_collection_namespaced_config_map(self.namespace, label_selector="is=here")
        self.assertEqual(one.core.list_namespaced_config_map(self.namespace, label_selector="is").items, [])

    def test_lists_come_by_pages(self):
        one, two, three = self.members
        for number in range(25):
            one.core.create_namespaced_secret(self.namespace, {"metadata": {"name": f"m{number:02}"}})
        names, token, versions, remaining = [], None, set(), []
        for member in self.members:
            page = member.core.list_namespaced_secret(self.namespace, limit=9, _continue=token)
            names += [found.metadata.name for found in page.items]
            versions.add(page.metadata.resource_version)
            remaining.append(page.metadata.remaining_item_count)
            token = page.metadata._continue
            # What is made between two pages is in none of them.
            one.core.create_namespaced_secret(self.namespace, {"metadata": {"name": f"m99{len(names)}"}})
        self.assertFalse(token)
        self.assertEqual(names, [f"m{number:02}" for number in range(25)])
        self.assertEqual(len(versions), 1)
        self.assertEqual(remaining, [16, 7, None])

        page = two.core.list_namespaced_secret(self.namespace, limit=9)
        newest = three.core.create_namespaced_secret(self.namespace, {"metadata": {"name": "newest"}})
        compact(newest.metadata.resource_version, self.members)
        with self.raises(410) as refused:
            two.core.list_namespaced_secret(self.namespace, limit=9, _continue=page.metadata._continue)
        told = json.loads(refused.exception.body)
        self.assertEqual(told["reason"], "Expired")
        # With the token in the refusal a client goes on with what there is now.
        rest = two.core.list_namespaced_secret(self.namespace, limit=99, _continue=told["metadata"]["continue"])
        self.assertEqual(rest.items[0].metadata.name, "m09")
        self.assertIn("newest", [found.metadata.name for found in rest.items])

    def test_patches_of_every_kind(self):
        one, two, three = self.members
        one.apps.create_namespaced_deployment(self.namespace, deployment("d"))

        def containers(patched):
            return {found.name: found.image for found in patched.spec.template.spec.containers}

        # The client takes a dict for a strategic patch, which merges containers by their names.
        added = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
        patched = two.apps.patch_namespaced_deployment("d", self.namespace, added)
        self.assertEqual(containers(patched), {"web": "web:1", "side": "side:1"})
        # By a merge patch a list is replaced.
        patched = three.apps.patch_namespaced_deployment(
            "d", self.namespace, added, _content_type="application/merge-patch+json"
        )
        self.assertEqual(containers(patched), {"side": "side:1"})
        # And a list is a JSON patch.
        path = "/spec/template/spec/containers/0/image"
        operations = [{"op": "test", "path": path, "value": "side:1"}, {"op": "replace", "path": path, "value": "s:2"}]
        patched = one.apps.patch_namespaced_deployment("d", self.namespace, operations)
        self.assertEqual(containers(patched), {"side": "s:2"})
        with self.raises(422):
            one.apps.patch_namespaced_deployment("d", self.namespace, operations)

    def test_server_side_apply(self):
        one, two, _ = self.members
        applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}

        def apply(member, body, manager, **more):
            return member.core.patch_namespaced_config_map(
                "m", self.namespace, body, _content_type="application/apply-patch+yaml", field_manager=manager, **more
            )

        made = apply(one, applied, "first")
        self.assertEqual(made.metadata.managed_fields[0].manager, "first")
        self.assertEqual(made.metadata.managed_fields[0].operation, "Apply")
        applied["data"] = {"a": "2", "b": "1"}
        with self.raises(409) as refused:
            apply(two, applied, "second")
        causes = json.loads(refused.exception.body)["details"]["causes"]
        self.assertEqual([cause["field"] for cause in causes], [".data.a"])
        self.assertEqual(apply(two, applied, "second", force=True).data, {"a": "2", "b": "1"})

    def test_refusals_say_why(self):
        one = self.members[0]
        bad = deployment("d", replicas=-1)
        bad.spec.template.metadata.labels = {"app": "other"}
        with self.raises(422) as refused:
            one.apps.create_namespaced_deployment(self.namespace, bad)
        causes = {cause["field"] for cause in json.loads(refused.exception.body)["details"]["causes"]}
        self.assertEqual(causes, {"spec.replicas", "spec.template.metadata.labels"})
        with self.raises(404):
            one.core.create_namespaced_config_map("there-is-no-such-namespace", configmap("m"))
        one.core.create_namespaced_config_map(self.namespace, configmap("m"))
        with self.raises(409) as refused:
            one.core.create_namespaced_config_map(self.namespace, configmap("m"))
        self.assertEqual(json.loads(refused.exception.body)["reason"], "AlreadyExists")

    def test_manifests_and_discovery(self):
        one = self.members[0].client
        manifest = [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}},
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": CRON_JOB},
        ]
        utils.create_from_yaml(one, yaml_objects=manifest, namespace=self.namespace)
        listed = client.BatchV1Api(one).list_namespaced_cron_job(self.namespace)
        self.assertEqual([found.spec.schedule for found in listed.items], ["*/5 * * * *"])
        self.assertEqual(client.VersionApi(one).get_code().major, "1")
        groups = {group.name for group in client.ApisApi(one).get_api_versions().groups}
        self.assertLessEqual({"apps", "batch", "rbac.authorization.k8s.io"}, groups)


CRON_JOB = {
    "schedule": "*/5 * * * *",
    "jobTemplate": {
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}}}
    },
}

if __name__ == "__main__":
    unittest.main()
