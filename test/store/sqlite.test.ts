/** The embedded store: the contract, and what can be wrong with a file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../src/store/index.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { TraceQueue } from '../../src/store/queue.ts';
import { clockAt, nowMs, sampleTrace, settings, storeContract } from './contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'tandem-store-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const freshPath = (): string => join(folder, `${count++}`, 'nested', 'store.sqlite');
const context = { baseDir: folder, clock: clockAt(nowMs), env: {}, busyTimeoutMs: 5_000 };

test('the store contract holds on an SQLite file', (t) =>
  storeContract(t, async () => {
    const path = freshPath();
    return ({ wallMs = nowMs, queuedTracesMax, ...more } = {}) => openStore(settings(path, more), { ...context, clock: clockAt(wallMs), ...(queuedTracesMax === undefined ? {} : { queuedTracesMax }) });
  }));

test('a path is relative to the configuration; :memory: leaves no file', async () => {
  const relative = await openStore(settings('relative/store.sqlite'), context);
  relative.writeTrace(sampleTrace(1));
  await relative.close();
  const read = new DatabaseSync(join(folder, 'relative/store.sqlite'), { readOnly: true });
  assert.equal(read.prepare('SELECT COUNT(*) AS n FROM traces').get()?.['n'], 1);
  read.close();
  const memory = await openStore(settings(':memory:'), context);
  memory.writeTrace(sampleTrace(1));
  assert.equal((await memory.listTraces({})).length, 1);
  await memory.close();
});

test('traces reach the file by themselves', async () => {
  const path = freshPath();
  const store = await openStore(settings(path), context);
  store.writeTrace(sampleTrace(1));
  const reader = new DatabaseSync(path, { readOnly: true });
  const deadline = performance.now() + 8_000;
  const written = (): unknown => reader.prepare('SELECT COUNT(*) AS n FROM traces').get()?.['n'];
  while (written() !== 1 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(written(), 1);
  reader.close();
  await store.close();
});

test('a file that is no database, is damaged, is a folder, or lies under a file: store_failed, with a remedy', async () => {
  const garbage = join(folder, 'garbage.sqlite');
  writeFileSync(garbage, 'this is not a database, and it is longer than a header of one hundred bytes, which is what SQLite reads first of all');
  const damaged = join(folder, 'damaged.sqlite');
  const good = await openStore(settings(damaged), context);
  for (let n = 0; n < 200; n++) good.writeTrace(sampleTrace(n));
  await good.close();
  writeFileSync(damaged, Buffer.alloc(3_000, 7), { flag: 'r+' });
  for (const path of [garbage, damaged, folder, join(garbage, 'store.sqlite')]) {
    await assert.rejects(openStore(settings(path), context), (error: Error & { code?: string; remedy?: string }) => {
      assert.equal(error.code, 'store_failed');
      assert.match(error.message, /store\.path/);
      assert.match(error.remedy ?? '', /path/);
      return true;
    });
  }
});

test('a file that another process has locked: store_failed', async () => {
  const path = freshPath();
  await (await openStore(settings(path), context)).close();
  const other = new DatabaseSync(path);
  other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE other (x)');
  await assert.rejects(openStore(settings(path), { ...context, busyTimeoutMs: 50 }), { code: 'store_failed' });
  other.close();
});

test('a file of a later version is refused, not changed', async () => {
  const path = freshPath();
  await (await openStore(settings(path), context)).close();
  const file = new DatabaseSync(path);
  file.exec("INSERT INTO tandem_migrations VALUES (99, 'of tomorrow', 0)");
  file.close();
  await assert.rejects(openStore(settings(path), context), { code: 'store_failed', message: /schema 99/ });
});

test('a batch that could not be written waits and is written later', async () => {
  const written: number[] = [];
  let broken = true;
  const queue = new TraceQueue({
    flushMs: 1, tracesMax: 5, retryMs: 1,
    write: async (batch: readonly TraceRecord[]) => {
      if (broken) throw new Error('disk full');
      written.push(...batch.map(({ startedAtMs }) => startedAtMs - nowMs));
    },
  });
  for (let n = 0; n < 4; n++) queue.push(sampleTrace(n));
  await assert.rejects(queue.flush(), /disk full/);
  for (let n = 4; n < 7; n++) queue.push(sampleTrace(n));
  assert.equal(queue.dropped, 2);
  broken = false;
  await queue.flush();
  assert.deepEqual(written, [2, 3, 4, 5, 6]);
  broken = true;
  queue.push(sampleTrace(8));
  await queue.close();
  assert.equal(queue.dropped, 3);
});

test('a trace that comes alone is handed over after flushMs, and so is the next one; after a failure it is retryMs', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const written: number[][] = [];
  let writing: Promise<void> = Promise.resolve();
  const queue = new TraceQueue({
    flushMs: 50, tracesMax: 10, retryMs: 1_000,
    write: (batch: readonly TraceRecord[]) => {
      written.push(batch.map(({ startedAtMs }) => startedAtMs - nowMs));
      return writing;
    },
  });
  const afterMs = async (ms: number, expected: readonly number[]): Promise<void> => {
    const before = written.length;
    t.mock.timers.tick(ms - 1);
    assert.equal(written.length, before, `not before ${ms} ms`);
    t.mock.timers.tick(1);
    assert.deepEqual(written.slice(before), [expected]);
    await turn();
  };
  queue.push(sampleTrace(1));
  await afterMs(50, [1]);
  let done = (): void => undefined;
  writing = new Promise((resolve) => (done = resolve));
  queue.push(sampleTrace(2));
  queue.push(sampleTrace(3));
  await afterMs(50, [2, 3]);
  queue.push(sampleTrace(4));
  done();
  await turn();
  writing = Promise.reject(new Error('disk full'));
  await afterMs(50, [4]);
  writing = Promise.resolve();
  await afterMs(1_000, [4]);
  await queue.close();
  assert.equal(queue.dropped, 0);
});

test('opening says nothing on stderr, and an open store does not keep a finished program alive', () => {
  const entry = fileURLToPath(new URL('../../src/store/index.ts', import.meta.url));
  const program = `
    const { openStore } = await import(${JSON.stringify(entry)});
    const clock = { wallMs: () => ${nowMs}, monotonicMs: () => 0, sleep: async () => {} };
    await openStore({ path: ':memory:', flushMs: 10, traceDaysMax: 30 }, { baseDir: '.', clock, env: {} });
    console.log('open');`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual({ stdout, stderr, status }, { stdout: 'open\n', stderr: '', status: 0 });
});

test('what a failed write began is undone, and the next write succeeds', async () => {
  const driver = await openSqlite({ path: ':memory:', baseDir: folder, nowMs });
  await driver.change({ sql: 'CREATE TABLE numbers (n INTEGER PRIMARY KEY)', values: [] });
  const insert = 'INSERT INTO numbers VALUES (?)';
  const all = async (): Promise<unknown[]> => (await driver.read({ sql: 'SELECT n FROM numbers ORDER BY n', values: [] })).map((row) => row['n']);
  await driver.insert(insert, [[1], [2]]);
  await assert.rejects(driver.insert(insert, [[3], [1], [4]]), { code: 'store_failed' });
  assert.deepEqual(await all(), [1, 2], 'nothing of a failed write stays');
  await driver.insert(insert, [[4], [5]]);
  assert.deepEqual(await all(), [1, 2, 4, 5]);
  await driver.close();
});

test('Postgres without the package pg: dependency_missing, and how to install it', async () => {
  const absent = registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === 'pg') throw Object.assign(new Error("Cannot find package 'pg'"), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(specifier, context);
    },
  });
  try {
    await assert.rejects(openStore(settings('unused'), { ...context, env: { DATABASE_URL: 'postgres://user:hunter2@127.0.0.1:1/none' } }), { code: 'dependency_missing', message: /npm install pg/ });
  } finally {
    absent.deregister();
  }
});
