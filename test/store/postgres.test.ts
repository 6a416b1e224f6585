/** The store on Postgres: the same contract. Skipped where no server answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test from 'node:test';
import pg from 'pg';
import { openStore } from '../../src/store/index.ts';
import { clockAt, nowMs, sampleTrace, settings, storeContract } from './contract.ts';

const server = process.env['TANDEM_TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/test';
const admin = new pg.Client({ connectionString: server, connectionTimeoutMillis: 1_000 });
const unreachable = await admin.connect().then(() => false as const, () => 'no Postgres server at 127.0.0.1:5432 (set TANDEM_TEST_POSTGRES_URL)');
const schemas: string[] = [];

test.after(async () => {
  if (unreachable !== false) return;
  for (const schema of schemas) await admin.query(`DROP SCHEMA ${schema} CASCADE`);
  await admin.end();
});

async function freshUrl(): Promise<string> {
  const schema = `tandem_test_${process.pid}_${schemas.length}`;
  await admin.query(`CREATE SCHEMA ${schema}`);
  schemas.push(schema);
  return `${server}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
}

const context = (url: string, wallMs = nowMs) => ({ baseDir: '.', clock: clockAt(wallMs), env: { DATABASE_URL: url } });

test('the store contract holds on Postgres', { skip: unreachable }, (t) =>
  storeContract(t, async () => {
    const url = await freshUrl();
    return ({ wallMs = nowMs, queuedTracesMax, ...more } = {}) => openStore(settings('unused', more), { ...context(url, wallMs), ...(queuedTracesMax === undefined ? {} : { queuedTracesMax }) });
  }));

test('a schema of a later version is refused', { skip: unreachable }, async () => {
  const url = await freshUrl();
  await (await openStore(settings('unused'), context(url))).close();
  await admin.query(`INSERT INTO ${schemas.at(-1)}.tandem_migrations VALUES (99, 'of tomorrow', 0)`);
  await assert.rejects(openStore(settings('unused'), context(url)), { code: 'store_failed', message: /schema 99/ });
});

test('no server: store_failed, without the URL and its password', async () => {
  await assert.rejects(openStore(settings('unused'), context('postgres://user:hunter2@127.0.0.1:1/none')), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'store_failed');
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});

test('a server that ends a connection during a write fails the write, not the process', { skip: unreachable }, async (t) => {
  const url = await freshUrl();
  const schema = schemas.at(-1) as string;
  const store = await openStore(settings('unused'), context(url));
  t.after(() => store.close());
  const feedback = { traceId: 'a', atMs: nowMs, caller: 'c', score: 1, source: 's' };
  await admin.query('BEGIN');
  await admin.query(`LOCK TABLE ${schema}.feedback IN ACCESS EXCLUSIVE MODE`);
  const refused = assert.rejects(store.writeFeedback(feedback), { code: 'store_failed' });
  const waiting = `FROM pg_locks WHERE relation = '${schema}.feedback'::regclass AND NOT granted`;
  while ((await admin.query(`SELECT pid ${waiting}`)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await admin.query(`SELECT pg_terminate_backend(pid) ${waiting}`);
  await refused;
  await admin.query('COMMIT');
  await store.writeFeedback(feedback);
  assert.equal((await store.listFeedback('a')).length, 1);
});

test('a line that falls silent: what waits for an answer fails in time, and so does closing', { skip: unreachable }, async (t) => {
  const url = new URL(await freshUrl());
  const serverPort = Number(url.port) || 5432;
  let silent = false;
  const sockets: Socket[] = [];
  const line = createServer((near) => {
    const far = connect(serverPort, url.hostname);
    sockets.push(near, far);
    for (const [from, to] of [[near, far], [far, near]] as const) from.on('data', (bytes) => silent || to.write(bytes)).on('error', () => undefined).on('close', () => silent || to.destroy());
  }).listen(0, '127.0.0.1');
  await once(line, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    line.close();
  });
  url.port = String((line.address() as AddressInfo).port);
  const store = await openStore(settings('unused', { flushMs: 60_000 }), { ...context(url.href), queryTimeoutMs: 1_000, closeTimeoutMs: 300 });
  assert.equal(await store.spentUsd('k', 0), 0);
  silent = true;
  await assert.rejects(store.spentUsd('k', 0), { code: 'store_failed' });
  store.writeTrace(sampleTrace(1));
  const beganMs = performance.now();
  await store.close();
  assert.ok(performance.now() - beganMs < 5_000, 'connecting anew alone takes ten seconds to fail');
});
