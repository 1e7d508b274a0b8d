// What the tests share: the members' APIs, a namespace for each test, and waiting on a condition.

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

// The package is installed with the other tools, not beside this file.
const require = createRequire(join(process.env.KEELSON_TOOLS, 'javascript', 'here.js'));
export const k8s = await import(pathToFileURL(require.resolve('@kubernetes/client-node')));

// What may take so long on a busy machine at most.
const PATIENCE_MS = 120_000;
const LOOK_INTERVAL_MS = 20;

export const members = ['keelson', 'keelson-m2', 'keelson-m3'].map((context) => {
  const config = new k8s.KubeConfig();
  config.loadFromDefault();
  config.setCurrentContext(context);
  return { config, core: config.makeApiClient(k8s.CoreV1Api), apps: config.makeApiClient(k8s.AppsV1Api) };
});

// Makes a namespace that goes when the test is over.
export async function namespaceFor(test) {
  const name = test.name.replaceAll(/[^a-z0-9]+/g, '-').slice(0, 60).replace(/-$/, '');
  await members[0].core.createNamespace({ body: { metadata: { name } } });
  test.after(() => members[0].core.deleteNamespace({ name }));
  return name;
}

// Waits until the condition gives something true, and returns it.
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const found = await condition();
    if (found) return found;
    await sleep(LOOK_INTERVAL_MS);
  }
  throw new Error(`${what} did not come true within ${PATIENCE_MS} ms`);
}

// How a patch is to be understood.
export function as(strategy) {
  return k8s.setHeaderOptions('Content-Type', strategy);
}

// What the server has said of a refusal.
export function told(error) {
  return typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
}

// Forgets what was overwritten before this revision, as a cluster does by and by; returns when all members have done so.
export async function compact(revision) {
  execFileSync(process.env.KEELSON_TEST_ETCDCTL_35, ['compaction', revision]);
  // Answered from what a majority knew when it was asked, so after that.
  for (const member of members) await member.core.listConfigMapForAllNamespaces({ limit: 1 });
}
