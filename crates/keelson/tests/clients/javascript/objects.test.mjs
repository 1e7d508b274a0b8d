// Objects: made, read, listed by pages, patched, applied, deleted, refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { as, compact, k8s, members, namespaceFor, told, until } from './cluster.mjs';

const [one, two, three] = members;

function deployment(name, replicas) {
  const labels = { app: name };
  const containers = [{ name: 'web', image: 'web:1', ports: [{ name: 'http', containerPort: 8080 }] }];
  const template = { metadata: { labels }, spec: { containers } };
  return { metadata: { name, labels }, spec: { replicas, selector: { matchLabels: labels }, template } };
}

test('a deployment lives', async (t) => {
  const namespace = await namespaceFor(t);
  const made = await one.apps.createNamespacedDeployment({ namespace, body: deployment('d', 2) });
  assert.ok(made.metadata.creationTimestamp instanceof Date);
  const ready = async (replicas) => {
    const read = await two.apps.readNamespacedDeploymentStatus({ name: 'd', namespace });
    return read.status.readyReplicas === replicas && read.status.updatedReplicas === replicas;
  };
  await until('two replicas are ready', () => ready(2));
  await assert.rejects(three.apps.replaceNamespacedDeployment({ name: 'd', namespace, body: made }), (error) => {
    return error.code === 409 && told(error).reason === 'Conflict';
  });
  await until('it is scaled', async () => {
    const scale = await three.apps.readNamespacedDeploymentScale({ name: 'd', namespace });
    scale.spec.replicas = 3;
    try {
      return await three.apps.replaceNamespacedDeploymentScale({ name: 'd', namespace, body: scale });
    } catch (refused) {
      // The controller was faster with its status.
      assert.equal(refused.code, 409);
    }
  });
  await until('three replicas are ready', () => ready(3));
  const pods = await one.core.listNamespacedPod({ namespace, labelSelector: 'app=d' });
  assert.deepEqual(pods.items.map((pod) => pod.status.phase), ['Running', 'Running', 'Running']);
  await one.apps.deleteNamespacedDeployment({ name: 'd', namespace, propagationPolicy: 'Foreground' });
  await until('the Deployment is gone', async () => {
    return (await two.apps.listNamespacedDeployment({ namespace })).items.length === 0;
  });
  await assert.rejects(one.apps.readNamespacedDeployment({ name: 'd', namespace }), { code: 404 });
});

test('lists come by pages', async (t) => {
  const namespace = await namespaceFor(t);
  const expected = [];
  for (let number = 0; number < 25; number += 1) {
    expected.push(`m${String(number).padStart(2, '0')}`);
    await one.core.createNamespacedSecret({ namespace, body: { metadata: { name: expected.at(-1) } } });
  }
  const names = [];
  const remaining = [];
  const versions = new Set();
  let token;
  for (const member of members) {
    const page = await member.core.listNamespacedSecret({ namespace, limit: 9, _continue: token });
    names.push(...page.items.map((item) => item.metadata.name));
    remaining.push(page.metadata.remainingItemCount);
    versions.add(page.metadata.resourceVersion);
    token = page.metadata._continue;
    // What goes between two pages is still in them.
    await one.core.deleteNamespacedSecret({ name: expected.at(-remaining.length), namespace });
  }
  assert.ok(!token);
  assert.deepEqual(names, expected);
  assert.deepEqual(remaining, [16, 7, undefined]);
  assert.equal(versions.size, 1);

  const page = await two.core.listNamespacedSecret({ namespace, limit: 9 });
  const newest = await three.core.createNamespacedSecret({ namespace, body: { metadata: { name: 'newest' } } });
  await compact(newest.metadata.resourceVersion);
  const next = { namespace, limit: 9, _continue: page.metadata._continue };
  await assert.rejects(two.core.listNamespacedSecret(next), (error) => {
    return error.code === 410 && told(error).reason === 'Expired';
  });
});

test('patches of every kind', async (t) => {
  const namespace = await namespaceFor(t);
  await one.apps.createNamespacedDeployment({ namespace, body: deployment('d', 1) });
  const patch = async (member, body, strategy) => {
    const patched = await member.apps.patchNamespacedDeployment({ name: 'd', namespace, body }, as(strategy));
    return patched.spec.template.spec.containers.map((container) => container.image);
  };
  const side = { spec: { template: { spec: { containers: [{ name: 'side', image: 'side:1' }] } } } };
  // A strategic patch merges containers by their names, a merge patch replaces the list.
  const merged = await patch(one, side, k8s.PatchStrategy.StrategicMergePatch);
  assert.deepEqual(merged.toSorted(), ['side:1', 'web:1']);
  assert.deepEqual(await patch(two, side, k8s.PatchStrategy.MergePatch), ['side:1']);
  const path = '/spec/template/spec/containers/0/image';
  const operations = [
    { op: 'test', path, value: 'side:1' },
    { op: 'replace', path, value: 'side:2' },
  ];
  assert.deepEqual(await patch(three, operations, k8s.PatchStrategy.JsonPatch), ['side:2']);
  await assert.rejects(patch(three, operations, k8s.PatchStrategy.JsonPatch), { code: 422 });
});

test('server-side apply', async (t) => {
  const namespace = await namespaceFor(t);
  const apply = (member, data, fieldManager, force) => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data };
    const request = { name: 'm', namespace, body, fieldManager, force };
    return member.core.patchNamespacedConfigMap(request, as(k8s.PatchStrategy.ServerSideApply));
  };
  const made = await apply(one, { a: '1' }, 'first');
  assert.equal(made.metadata.managedFields[0].operation, 'Apply');
  await assert.rejects(apply(two, { a: '2' }, 'second'), (error) => {
    return error.code === 409 && told(error).details.causes[0].field === '.data.a';
  });
  assert.deepEqual((await apply(three, { a: '2', b: '3' }, 'second', true)).data, { a: '2', b: '3' });
});

test('objects of any kind', async (t) => {
  const namespace = await namespaceFor(t);
  // This client finds the path of a kind by discovery.
  const api = k8s.KubernetesObjectApi.makeApiClient(two.config);
  const job = { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'c:1' }] } } };
  const body = {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'c', namespace },
    spec: { schedule: '*/5 * * * *', jobTemplate: { spec: job } },
  };
  await api.create(body);
  const read = await api.read(body);
  assert.equal(read.spec.schedule, '*/5 * * * *');
  read.spec.suspend = true;
  assert.equal((await api.replace(read)).spec.suspend, true);
  assert.equal((await api.list('batch/v1', 'CronJob', namespace)).items.length, 1);
  await api.delete(body);
  await assert.rejects(api.read(body), { code: 404 });
});

test('refusals say why', async (t) => {
  const namespace = await namespaceFor(t);
  await assert.rejects(one.apps.createNamespacedDeployment({ namespace, body: deployment('d', -1) }), (error) => {
    const [cause] = told(error).details.causes;
    return error.code === 422 && cause.field === 'spec.replicas' && cause.reason === 'FieldValueInvalid';
  });
  const body = { metadata: { name: 'm' } };
  await one.core.createNamespacedConfigMap({ namespace, body });
  await assert.rejects(two.core.createNamespacedConfigMap({ namespace, body }), (error) => {
    return error.code === 409 && told(error).reason === 'AlreadyExists';
  });
});
