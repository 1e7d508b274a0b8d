// Sessions with pods: commands, forwarded ports, followed logs.

import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

import { k8s, members, namespaceFor, until } from './cluster.mjs';

// In all more than any window on the way; each chunk as long as those of a file.
const CHUNKS = 12;
const CHUNK_BYTES = 64 << 10;

async function pod(t, annotations) {
  const namespace = await namespaceFor(t);
  const container = { name: 'c', image: 'c:1', ports: [{ containerPort: 8080 }], env: [{ name: 'COLOR', value: 'blue' }] };
  const body = { metadata: { name: 'p', annotations }, spec: { restartPolicy: 'Never', containers: [container] } };
  await members[0].core.createNamespacedPod({ namespace, body });
  await until('the pod has begun', async () => {
    return (await members[1].core.readNamespacedPod({ name: 'p', namespace })).status.phase !== 'Pending';
  });
  return namespace;
}

// Runs a command to its end.
async function run(member, namespace, command, stdin) {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const printed = Promise.all([text(out), text(err)]);
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(member.config).exec(namespace, 'p', 'c', command, out, err, stdin ?? null, false, resolve).catch(reject);
  });
  out.end();
  err.end();
  const [stdout, stderr] = await printed;
  return { status, stdout, stderr };
}

test('commands are executed', async (t) => {
  const namespace = await pod(t);
  for (const member of members) {
    const { status, stdout } = await run(member, namespace, ['sh', '-c', 'echo $COLOR; hostname']);
    assert.deepEqual([status.status, stdout], ['Success', 'blue\np\n']);
  }
  const failed = await run(members[1], namespace, ['sh', '-c', 'echo err >&2; exit 3']);
  assert.deepEqual([failed.stderr, failed.status.reason], ['err\n', 'NonZeroExitCode']);
  assert.equal(failed.status.details.causes[0].message, '3');
  const stdin = Readable.from(Array.from({ length: CHUNKS }, () => Buffer.alloc(CHUNK_BYTES, 'x')));
  // The end of standard input reaches the command, by version 5 of the protocol.
  const counted = await run(members[2], namespace, ['wc', '-c'], stdin);
  assert.equal(counted.stdout.trim(), String(CHUNKS * CHUNK_BYTES));
});

test('ports are forwarded', async (t) => {
  const namespace = await pod(t);
  for (const member of members) {
    const [output, errors, input] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const forward = new k8s.PortForward(member.config);
    const socket = await forward.portForward(namespace, 'p', [8080], output, errors, input);
    socket.on('close', () => output.end());
    input.write('GET / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n');
    const answer = await text(output);
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(answer, /\bp\b/);
  }
});

test('a log is followed to its end', async (t) => {
  const namespace = await pod(t, { 'simulation.keelson.dev/exit-after': '300ms' });
  const output = new PassThrough();
  await new k8s.Log(members[2].config).log(namespace, 'p', 'c', output, { follow: true });
  assert.match(await text(output), /ended with code 0\n$/);
});
