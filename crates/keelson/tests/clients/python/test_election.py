"""Leader election as the client's own library does it: by a Lease, and by a ConfigMap."""

import threading

from kubernetes import client
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from cluster import PATIENCE_SECONDS, InNamespace, until


class Elections(InNamespace):
    def elect(self, lock_type):
        """One leads until its work fails; then the other one does, which talks to another member."""
        leaders, fails, over = [], threading.Event(), threading.Event()

        def candidate(identity, member):
            def lead():
                leaders.append(identity)
                if len(leaders) == 1:
                    fails.wait(PATIENCE_SECONDS)
                else:
                    over.set()
                # With this, the library gives leadership up.
                raise InterruptedError("its work is over")

            lock = lock_type("lock", self.namespace, identity)
            lock.api_instance = type(lock.api_instance)(member.client)
            settings = electionconfig.Config(
                lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=None
            )
            election = leaderelection.LeaderElection(settings)
            thread = threading.Thread(target=election.run, daemon=True)
            thread.start()
            return thread

        threads = [candidate("first", self.members[0])]
        until(lambda: leaders == ["first"], "the first candidate leads")
        threads.append(candidate("second", self.members[1]))
        fails.set()
        self.assertTrue(over.wait(PATIENCE_SECONDS), "the second candidate leads")
        self.assertEqual(leaders, ["first", "second"])
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
            self.assertFalse(thread.is_alive())

    def test_by_a_lease(self):
        self.elect(LeaseLock)
        lease = client.CoordinationV1Api(self.members[2].client).read_namespaced_lease("lock", self.namespace)
        self.assertEqual((lease.spec.holder_identity, lease.spec.lease_duration_seconds), ("second", 3))
        self.assertGreaterEqual(lease.spec.renew_time, lease.spec.acquire_time)

    def test_by_a_configmap(self):
        self.elect(ConfigMapLock)
        lock = self.members[2].core.read_namespaced_config_map("lock", self.namespace)
        self.assertIn("second", lock.metadata.annotations["control-plane.alpha.kubernetes.io/leader"])
