/** Paid calls under a tight budget: those that gain most for a dollar come first, and the cap holds all the same. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { preferences } from '../../src/assign/online/preference.ts';
import { parseConfig, type ConfigInput } from '../../src/config.ts';
import { TandemError } from '../../src/errors.ts';
import { PaidAdmission } from '../../src/policy/paid-admission.ts';
import { memoryLedger, Purse, Purses } from '../../src/policy/purse.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { seededRandom } from '../../src/system/random.ts';
import { settings } from '../store/contract.ts';
import { asked, decisionOf, handClock, world } from './world.ts';

type Objective = 'quality' | 'balanced' | 'cost';
type Way = 'value' | 'arrival';

const midnight = Date.UTC(2026, 10, 16);
/** A team of which nothing is known but that large is better than small. */
const members: ConfigInput['members'] = { small: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x' } };
const configured = (paidFirst: Way, costUsdPerDay: number): ConfigInput => ({ members, policy: { costUsdPerDay, paidFirst } });

/** What came of many requests. The large member is always right, the small one in four of ten. */
interface Outcome {
  /** Dollars that the answers were worth, less what they cost. */
  readonly worthUsd: number;
  readonly spentUsd: number;
  readonly refused: number;
  /** Answers of the large member, by objective. */
  readonly paid: Readonly<Record<Objective, number>>;
  readonly waited: number;
  readonly because: readonly string[];
}

/** @param answerMs how long an answer of the large member takes @param storePath where traffic of earlier days may be kept */
async function opened(way: Way, capUsd: number, answerMs: number, storePath = ':memory:'): Promise<Awaited<ReturnType<typeof world>>> {
  const kept = await openStore(settings(storePath), { baseDir: '.', clock: handClock(midnight), env: {} });
  // leases at once, so that a crowd is there before the first answer is, however busy the machine
  const store = Object.assign(Object.create(kept) as Store, { ledger: memoryLedger() });
  const hand = handClock(midnight);
  const clock = Object.defineProperty({ ...hand, sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(() => { hand.now += ms; resolve(); }, ms)) }, 'now', { get: () => hand.now, set: (ms: number) => void (hand.now = ms) });
  return world({ clock, store, config: configured(way, capUsd), small: { answer: { text: 'S', probability: 0.3 } }, large: { answer: ({ sampling }) => ({ text: 'L '.repeat(sampling.tokensMax ?? 8).trim(), firstMs: answerMs }) } });
}

async function served(runtime: Awaited<ReturnType<typeof world>>, wishes: readonly Objective[], everyMs: number | 'together'): Promise<Outcome> {
  let [worthUsd, spentUsd, refused, waited] = [0, 0, 0, 0];
  const paid = { quality: 0, balanced: 0, cost: 0 };
  const because: string[] = [];
  const one = async (objective: Objective, n: number): Promise<void> => {
    try {
      const answer = await asked(runtime, `Question ${n}: which of the two is it?`, { policy: { objective } });
      const right = answer.text.startsWith('L');
      if (right) paid[objective]++;
      worthUsd += preferences[objective].qualityUsd * (right ? 1 : 0.4) - answer.usage.costUsd;
      spentUsd += answer.usage.costUsd;
      because.push(`${decisionOf(answer).chosen}: ${String(decisionOf(answer).inputs['passedOver'])}`);
      const events = (await runtime.store.getTrace(answer.traceId))?.spans.flatMap((span) => span.events) ?? [];
      waited += events.filter(({ name }) => name === 'paid.waited').length;
    } catch (error) {
      assert.equal(TandemError.from(error).code, 'budget_exhausted');
      refused++;
    }
  };
  if (everyMs === 'together') await Promise.all(wishes.map(one));
  else {
    for (const [n, objective] of wishes.entries()) {
      runtime.hand.now += everyMs;
      await one(objective, n);
    }
  }
  const { costUsdPerDay: capUsd = 0 } = runtime.config.policy;
  await runtime.close();
  assert.ok(spentUsd <= capUsd, `${spentUsd} of ${capUsd}`);
  return { worthUsd, spentUsd, refused, paid, waited, because };
}

/** Objectives in random order, these many of each. */
function mixed(counts: Readonly<Record<Objective, number>>, seed: number): Objective[] {
  const all = (Object.keys(counts) as Objective[]).flatMap((objective) => Array.from({ length: counts[objective] }, () => objective));
  const random = seededRandom(seed);
  return all.map((objective) => ({ objective, at: random.next() })).sort((a, b) => a.at - b.at).map(({ objective }) => objective);
}

test('row 3: of a crowd that the budget cannot pay for, those that gain most for a dollar are served first, and it is worth more than serving whoever comes first', { timeout: 60_000 }, async () => {
  const wishes = mixed({ quality: 25, balanced: 25, cost: 25 }, 1);
  const outcome = async (way: Way): Promise<Outcome> => served(await opened(way, 0.03, 200), wishes, 'together');
  const [value, arrival] = [await outcome('value'), await outcome('arrival')];
  assert.ok(value.worthUsd > 1.5 * arrival.worthUsd, `${value.worthUsd} against ${arrival.worthUsd}`);
  assert.ok(value.paid.quality >= 15 && arrival.paid.quality <= 8, JSON.stringify([value.paid, arrival.paid]));
  assert.ok(value.spentUsd > 0.9 * 0.03 && arrival.spentUsd < 0.7 * 0.03, 'whoever comes later is refused for what the first have set aside, most of which they do not use');
  assert.ok(value.waited > 10 && arrival.waited === 0, `${value.waited} waited`);
});

test('row 3: over a day that costs more than the budget, dollars go to those that gain most for them, and last', { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-paid-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const wishes = mixed({ quality: 24, balanced: 30, cost: 246 }, 4);
  const outcome = async (way: Way): Promise<Outcome> => {
    const storePath = join(folder, `${way}.sqlite`);
    const before = await openStore(settings(storePath), { baseDir: '.', clock: handClock(midnight), env: {} });
    await before.traffic?.add(new Map(Array.from({ length: 7 * 24 }, (_, hour) => [midnight - (hour + 1) * 3_600_000, 12]))); // a week like this day
    await before.close();
    return served(await opened(way, 0.028, 0, storePath), wishes, 280_000);
  };
  const [value, arrival] = [await outcome('value'), await outcome('arrival')];
  assert.ok(value.worthUsd > 2 * arrival.worthUsd, `${value.worthUsd} against ${arrival.worthUsd}`);
  assert.ok(value.spentUsd > 0.8 * 0.028, `the budget was used: ${value.spentUsd}`);
  assert.ok(value.paid.quality > 2 * arrival.paid.quality, JSON.stringify([value.paid, arrival.paid]));
  assert.ok(value.because.some((each) => /^small: .*cascade \(gains \d+\.\d\d a dollar, \d+\.\d\d is asked\)/.test(each)), 'and the trace says so');
});

test('while there are dollars enough, nobody waits and the rules decide as ever', { timeout: 60_000 }, async () => {
  const runtime = await world({ config: configured('value', 100), small: { answer: { text: 'S', probability: 0.3 } } });
  const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => asked(runtime, `Question ${n}?`)));
  for (const answer of answers) {
    assert.deepEqual([decisionOf(answer).chosen, decisionOf(answer).because, answer.text], ['cascade', 'The rules decide.', 'L']);
    const events = (await runtime.store.getTrace(answer.traceId))?.spans.flatMap((span) => span.events) ?? [];
    assert.deepEqual(events.filter(({ name }) => name === 'paid.waited'), []);
  }
  await runtime.close();
});

test('a request that is cancelled while it waits leaves the queue, and the next one is let in', async () => {
  const clock = handClock();
  const purse = new Purses([new Purse({ period: 'day', costUsd: 1 }, memoryLedger(), clock)]);
  await purse.prepare(1);
  const queue = new PaidAdmission(purse, () => 0, clock);
  const task = (gainUsd: number) => ({ gainUsd, costUsd: 0.1, costUsdMax: 0.8 });
  const signal = new AbortController().signal;
  const first = await queue.enter(task(1), signal);
  const away = new AbortController();
  const dense = queue.enter(task(9), away.signal);
  const next = queue.enter(task(2), signal);
  away.abort(new TandemError('cancelled', { message: 'gone' }));
  await assert.rejects(dense, { code: 'cancelled' });
  assert.equal(await Promise.race([next, Promise.resolve('waits')]), 'waits');
  first?.();
  (await next)?.();
  await assert.rejects(queue.enter(task(1), away.signal), { code: 'cancelled' });
});

test('a crowd beyond the queue is turned away to the free member, and teaches the pilot nothing', { timeout: 60_000 }, async () => {
  const { autoWith } = await import('../../src/recipes/auto.ts');
  const { Pilot } = await import('../../src/recipes/pilot/pilot.ts');
  const { memoryJournal } = await import('../../src/recipes/pilot/journal.ts');
  const journal = memoryJournal();
  const auto = autoWith(new Pilot({}, journal), undefined, { floor: 0, enter: () => Promise.resolve(undefined) });
  const { serveOne } = await import('../recipes/harness.ts');
  const { fake, priced } = await import('../recipes/fake-model.ts');
  const clock = handClock();
  const team = () => [fake({ id: 'small', answer: { text: 'S', probability: 0.3 } }, clock), fake({ id: 'large', place: 'cloud', price: priced(10, 100), answer: { text: 'L' } }, clock)];
  const { registry } = await import('../../src/recipes/index.ts');
  const recipes = new Map([...registry, ['auto', auto]]);
  const turned = await serveOne(team(), { model: 'tandem/auto', recipes, sampling: { tokensMax: 8 } }, clock);
  assert.deepEqual([turned.text, turned.decisions], ['S', ['auto=cascade', 'auto.paid=small']]);
  const none = await serveOne(team(), { model: 'tandem/auto', recipes, sampling: { tokensMax: 8 }, policy: { objective: 'quality' } }, clock);
  assert.equal(none.error?.code, 'overloaded');
  assert.deepEqual(await journal.latest(10), []);
  assert.equal(parseConfig({ members }).policy.paidFirst, 'value');
});
