/** Several replicas on one store: no reward counts twice or is lost, all learn the same, and leases never pass the cap. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { pilotFeatures } from '../../src/recipes/pilot/features.ts';
import type { JournalEntry, RewardedEntry } from '../../src/recipes/pilot/journal.ts';
import { Pilot } from '../../src/recipes/pilot/pilot.ts';
import { TandemError } from '../../src/errors.ts';
import { periodOf } from '../../src/policy/purse.ts';
import type { SqlValue } from '../../src/store/driver.ts';
import { openStore } from '../../src/store/index.ts';
import { journalOn } from '../../src/store/journal.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock } from '../../src/system/clock.ts';
import { seededRandom } from '../../src/system/random.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { coin } from '../online/made-up.ts';
import { clockAt, nowMs, settings } from '../store/contract.ts';
import { capUsd, sharedConfig } from './shared-config.ts';
import { asked, decisionOf, world } from './world.ts';

const gateway = fileURLToPath(new URL('./runtime-child.ts', import.meta.url));
const child = fileURLToPath(new URL('./replica-child.ts', import.meta.url));
const features = pilotFeatures({ messages: [{ role: 'user', content: 'hello' }] }, {});
const arms = ['cascade', 'large'].map((id) => ({ id, costUsdMax: 0.001, usualCostUsd: 0.0001, places: ['device'] }));

/** Where the replicas meet. */
interface Place {
  readonly path: string;
  readonly url: string;
}

const open = ({ path, url }: Place): Promise<Store> => openStore(settings(path), { baseDir: '.', clock: clockAt(nowMs), env: url === '' ? {} : { DATABASE_URL: url } });

function entry(n: number): JournalEntry {
  return { traceId: `t${n}`, atMs: nowMs, caller: 'a', rule: 'balanced', arm: 'large', held: false, learned: false, propensity: 0.5, target: 0.5, modelled: 0.5, modelledTarget: 0.5, qualityUsd: Infinity, features: [...features] };
}

async function learnTogether(place: Place): Promise<void> {
  const stores = [await open(place), await open(place)];
  const pilots = stores.map((store) => new Pilot({ explore: 0.3, rewardsMin: 10 }, store.journal ?? assert.fail('the store keeps a journal')));
  const random = seededRandom(3);
  let learned = 0;
  for (let n = 0; n < 120; n++) {
    const here = pilots[n % 2] as Pilot;
    const there = pilots[(n + 1) % 2] as Pilot;
    const { arm } = here.decide({ traceId: `p${n}`, caller: 'a', nowMs: nowMs + n, rule: 'balanced', arms, features, preference: { qualityUsd: 1, secondUsd: 0 }, limits: {}, uniform: random.next });
    await here.finished({ id: `p${n}`, outcome: 'ok', usage: { costUsd: 0.0001 }, durationMs: 50 } as TraceRecord);
    await stores[n % 2]?.journal?.since(nowMs, 1); // a read, which writes what waits
    const score = coin(random, arm === 'large' ? 0.9 : 0.4);
    // the judgement arrives at both replicas at once, and again
    const fates = await Promise.all([there.reward(`p${n}`, score, 'thumb', nowMs + n), here.reward(`p${n}`, score, 'thumb', nowMs + n), there.reward(`p${n}`, 0, 'thumb', nowMs + n)]);
    assert.equal(fates.filter((fate) => fate === 'learned').length, 1, fates.join(' '));
    assert.equal(fates.filter((fate) => fate === 'repeated').length, 2);
    learned++;
    if (n % 30 === 29) for (const pilot of pilots) await pilot.sync();
  }
  for (const pilot of pilots) await pilot.sync();
  const restarted = new Pilot({ explore: 0.3, rewardsMin: 10 }, stores[0]?.journal ?? assert.fail());
  await restarted.restore();
  assert.deepEqual([...pilots, restarted].map((pilot) => pilot.phase('balanced').rewards), [learned, learned, learned], 'no reward was lost');
  for (const store of stores) await store.close();
}

async function race(place: Place): Promise<void> {
  const store = await open(place);
  for (let n = 0; n < 40; n++) await store.journal?.decided(entry(n));
  await store.journal?.since(0, 1);
  const results = await Promise.all([1, 2, 3].map(async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=tandem-source', '--no-warnings', child, place.path, place.url, '40'], { timeout: 60_000 });
    return JSON.parse(stdout) as { granted: number; rewarded: number };
  }));
  const granted = results.reduce((sum, each) => sum + each.granted, 0);
  assert.ok(granted <= 1 && granted > 0.999, `granted ${granted} of 1`);
  assert.equal(results.reduce((sum, each) => sum + each.rewarded, 0), 40, 'each decision was rewarded by exactly one process');
  assert.equal((await store.journal?.latest(100))?.length, 40);
  await store.ledger?.giveBack('day:x', 0.5);
  assert.equal(await store.ledger?.lease('day:x', 0.25, 1), 0.25);
  await store.close();
}

interface Told {
  readonly spentUsd: number;
  readonly fates: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
}

/** Whole gateways, each a process of its own: they share the cap and what was learned. */
async function gateways(place: Place): Promise<void> {
  const asksEach = 90;
  const told = await Promise.all([1, 2, 3].map(async (seed) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=tandem-source', '--no-warnings', gateway, place.path, place.url, String(seed), String(asksEach)], { timeout: 90_000 });
    return JSON.parse(stdout) as Told;
  }));
  const sum = (of: (each: Told) => number): number => told.reduce((total, each) => total + of(each), 0);
  const spentUsd = sum((each) => each.spentUsd);
  assert.ok(spentUsd <= capUsd, `spent ${spentUsd} of ${capUsd}`);
  assert.ok(spentUsd > 0.85 * capUsd, `the cap was reached: ${spentUsd} of ${capUsd}`);
  const refused = sum((each) => each.refused['budget_exhausted'] ?? 0);
  assert.ok(refused > 0, 'the cap refused some');
  const learned = sum(({ fates }) => (fates['learned'] ?? 0) + (fates['crowded'] ?? 0));
  assert.equal(learned + refused, 3 * asksEach, JSON.stringify(told));
  assert.equal(sum(({ fates }) => fates['repeated'] ?? 0), learned, 'the second judgement of each never counted');
  const later = await world({ clock: Object.assign({ now: 0 }, systemClock), storePath: place.path, env: place.url === '' ? {} : { DATABASE_URL: place.url }, config: sharedConfig });
  const journal = (await later.store.journal?.latest(1_000)) ?? [];
  assert.equal(journal.length, learned, 'every reward is in the journal');
  const hours = (await later.store.traffic?.since(0)) ?? new Map<number, number>();
  assert.equal([...hours.values()].reduce((total, each) => total + each, 0), 3 * asksEach, 'and every request in the log of traffic');
  const known = Number(decisionOf(await asked(later, 'Hello?')).inputs['rewards']);
  assert.equal(known, journal.filter(({ rule }) => rule === 'balanced').length, 'a process that starts later knows what all of them were told');
  const granted = (await later.store.ledger?.granted(periodOf('day', later.clock.wallMs()).name)) ?? 0;
  assert.ok(granted >= spentUsd - 1e-9 && granted <= capUsd, `granted ${granted}, spent ${spentUsd}`);
  await later.close();
}

test('a reward that overtakes its decision from another replica waits for it, and pages of the journal leave nothing out', { timeout: 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const place = { path: join(folder, 'journal.sqlite'), url: '' };
  const [here, there] = [await open(place), await open(place)];
  const [decider, judge] = [here.journal ?? assert.fail(), there.journal ?? assert.fail()];
  void decider.decided(entry(1)); // not written yet
  assert.equal((await judge.rewarded('t1', 1, 'thumb', nowMs) as RewardedEntry).arm, 'large');
  for (let n = 2; n < 60; n++) await decider.decided(entry(n));
  for (let n = 2; n < 60; n++) await decider.rewarded(`t${n}`, 1, 'thumb', nowMs + Math.floor(n / 20)); // many at one moment
  const seen: string[] = [];
  for (let [fromMs, after] = [nowMs, '']; ; ) {
    const page = await judge.since(fromMs, 7, after);
    seen.push(...page.map(({ traceId }) => traceId));
    const last = page.at(-1);
    if (last === undefined) break;
    [fromMs, after] = [last.rewardAtMs, last.traceId];
  }
  assert.deepEqual([seen.length, new Set(seen).size], [59, 59]);
  for (const store of [here, there]) await store.close();
});

test('decisions that the database refuses are kept and written later', async () => {
  const rows: string[] = [];
  let broken = true;
  const driver = {
    insert: (_: string, batch: readonly (readonly SqlValue[])[]) => (broken ? Promise.reject(new TandemError('store_failed', { message: 'no database' })) : (rows.push(...batch.map(([id]) => String(id))), Promise.resolve())),
    read: () => Promise.resolve([]),
    change: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
  const journal = journalOn(driver);
  for (const n of [1, 2]) await journal.decided(entry(n));
  await assert.rejects(journal.flush(), { code: 'store_failed' });
  await journal.decided(entry(3));
  broken = false;
  await journal.flush();
  assert.deepEqual(rows, ['t1', 't2', 't3']);
});

test('on one SQLite file: three processes lease and reward; two pilots and a restarted one know the same rewards; three gateways share cap and knowledge', { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-replicas-'));
  t.after(() => rmSync(folder, { recursive: true }));
  await race({ path: join(folder, 'race.sqlite'), url: '' });
  await learnTogether({ path: join(folder, 'learn.sqlite'), url: '' });
  await gateways({ path: join(folder, 'gateways.sqlite'), url: '' });
});

const server = process.env['TANDEM_TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/test';
const admin = new pg.Client({ connectionString: server, connectionTimeoutMillis: 1_000 });
const unreachable = await admin.connect().then(() => false as const, () => 'no Postgres server at 127.0.0.1:5432 (set TANDEM_TEST_POSTGRES_URL)');

test('on one Postgres database: the same', { skip: unreachable, timeout: 120_000 }, async () => {
  for (const [name, work] of [['race', race], ['learn', learnTogether], ['gateways', gateways]] as const) {
    const schema = `tandem_test_pilot_${process.pid}_${name}`;
    await admin.query(`CREATE SCHEMA ${schema}`);
    try {
      await work({ path: 'unused', url: `${server}?options=${encodeURIComponent(`-c search_path=${schema}`)}` });
    } finally {
      await admin.query(`DROP SCHEMA ${schema} CASCADE`);
    }
  }
});

test.after(async () => {
  if (unreachable === false) await admin.end();
});
