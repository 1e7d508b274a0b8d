// Watches: resumed on another member, expired, and as an informer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compact, k8s, members, namespaceFor, until } from './cluster.mjs';

const [one, two, three] = members;

// Together, a good deal more than the 8 MiB of each kind's history that a member keeps.
const CHANGES = 24;
const CHANGE_BYTES = 500_000;

// That many events after a resourceVersion.
async function events(member, namespace, resourceVersion, count) {
  const found = [];
  const over = Promise.withResolvers();
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const query = { resourceVersion, labelSelector: 'watched' };
  const request = await new k8s.Watch(member.config).watch(
    path,
    query,
    (phase, object) => {
      found.push({ phase, object });
      if (found.length === count) over.resolve();
    },
    (error) => (error ? over.reject(error) : over.resolve()),
  );
  await over.promise;
  request.abort();
  return found;
}


async function put(member, namespace, name, data) {
  const body = { metadata: { name, labels: { watched: 'yes' } }, data };
  return (await member.core.createNamespacedConfigMap({ namespace, body })).metadata.resourceVersion;
}

test('a watch goes on at another member', async (t) => {
  const namespace = await namespaceFor(t);
  const since = (await one.core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
  await put(one, namespace, 'a');
  const [first] = await events(two, namespace, since, 1);
  assert.deepEqual([first.phase, first.object.metadata.name], ['ADDED', 'a']);
  // While nobody watches, much happens.
  await put(three, namespace, 'b');
  await two.core.deleteNamespacedConfigMap({ name: 'a', namespace });
  const rest = await events(three, namespace, first.object.metadata.resourceVersion, 2);
  assert.deepEqual(
    rest.map(({ phase, object }) => [phase, object.metadata.name]),
    [
      ['ADDED', 'b'],
      ['DELETED', 'a'],
    ],
  );
});

test('a watch from too long ago expires', async (t) => {
  const namespace = await namespaceFor(t);
  const since = await put(one, namespace, 'a');
  // More than the members keep in memory for those that come late: they have to look into the store.
  let newest;
  for (let number = 0; number < CHANGES; number += 1) {
    const data = { large: 'x'.repeat(CHANGE_BYTES), number: String(number) };
    const body = { metadata: { name: 'a', labels: { watched: 'yes' } }, data };
    newest = (await one.core.replaceNamespacedConfigMap({ name: 'a', namespace, body })).metadata.resourceVersion;
  }
  await compact(newest);
  const [expired] = await events(two, namespace, since, 1);
  assert.deepEqual([expired.phase, expired.object.code, expired.object.reason], ['ERROR', 410, 'Expired']);
});

test('an informer follows', async (t) => {
  const namespace = await namespaceFor(t);
  await put(one, namespace, 'before');
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = k8s.makeInformer(two.config, path, () => two.core.listNamespacedConfigMap({ namespace }));
  const seen = [];
  for (const verb of ['add', 'update', 'delete']) {
    informer.on(verb, (object) => seen.push(`${verb} ${object.metadata.name}`));
  }
  await informer.start();
  t.after(() => informer.stop());
  const sees = (what) => until(what, () => seen.includes(what));
  await sees('add before');
  await put(three, namespace, 'after');
  await sees('add after');
  const body = { metadata: { name: 'after' }, data: { is: 'changed' } };
  await three.core.replaceNamespacedConfigMap({ name: 'after', namespace, body });
  await sees('update after');
  await three.core.deleteNamespacedConfigMap({ name: 'before', namespace });
  await sees('delete before');
  await until('the cache has what there is', () => !informer.get('before', namespace));
  assert.equal(informer.get('after', namespace).data.is, 'changed');
});
