/** Budgets: the pace, the queue by value density, and the cap that nothing exceeds. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Pacer, TrafficProfile, type TrafficLog } from '../../src/policy/pacing.ts';
import { memoryLedger, periodOf, Purse, Purses, type SpendLedger } from '../../src/policy/purse.ts';
import { Traffic } from '../../src/policy/traffic.ts';
import { DensityQueue, densityOf, type Admission, type Task } from '../../src/policy/value-density.ts';
import type { Clock } from '../../src/system/clock.ts';
import { Budget } from '../../src/recipes/budget.ts';
import { seededRandom } from '../../src/system/random.ts';
import { fake, priced } from '../recipes/fake-model.ts';

const dayMs = 86_400_000;
const monday = Date.UTC(2026, 10, 16);

function clockFrom(wallMs: number): Clock & { now: number } {
  const clock = { now: wallMs, wallMs: () => clock.now, monotonicMs: () => clock.now, sleep: () => Promise.resolve() };
  return clock;
}

/** Requests an hour: quiet by day, busy in the evening. */
const traffic = (hour: number): number => (hour % 24 >= 18 && hour % 24 < 22 ? 300 : 25);

interface Wish {
  readonly atMs: number;
  readonly gainUsd: number;
  readonly costUsd: number;
}

/** A day of wishes; what is asked in the evening is worth four times as much. */
function day(seed: number, startMs: number): Wish[] {
  const random = seededRandom(seed);
  return Array.from({ length: 24 }, (_, hour) => Array.from({ length: traffic(hour) }, (__, n) => ({ atMs: startMs + hour * 3_600_000 + (n / traffic(hour)) * 3_600_000, gainUsd: 0.02 * random.next() * (traffic(hour) > 100 ? 4 : 1), costUsd: 0.01 * (0.5 + random.next()) }))).flat();
}

function taught(): TrafficProfile {
  const profile = new TrafficProfile();
  for (let n = 0; n < 14; n++) for (const { atMs } of day(n, monday - (14 - n) * dayMs)) profile.note(atMs);
  return profile;
}

test('the profile of traffic foresees the requests of the evening', () => {
  const profile = taught();
  const real = day(1, monday).length;
  assert.ok(Math.abs(profile.expected(monday, monday + dayMs) / real - 1) < 0.05);
  assert.ok(Math.abs(profile.expected(monday + 18 * 3_600_000, monday + 22 * 3_600_000) / 1200 - 1) < 0.05);
  assert.ok(new TrafficProfile().expected(monday, monday + dayMs) >= 0);
});

test('the traffic of all replicas is kept: one that starts later foresees what they saw together; a log that fails loses nothing', async () => {
  const hours = new Map<number, number>();
  let broken = false;
  const log: TrafficLog = {
    add: (counts) => {
      if (broken) return Promise.reject(new Error('no database'));
      for (const [hour, count] of counts) hours.set(hour, (hours.get(hour) ?? 0) + count);
      return Promise.resolve();
    },
    since: (ms) => Promise.resolve(new Map([...hours].filter(([hour]) => hour >= ms))),
  };
  const replicas = [new Traffic(log, 30 * dayMs), new Traffic(log, 30 * dayMs)];
  let n = 0;
  for (let back = 14; back > 0; back--) {
    for (const { atMs } of day(back, monday - back * dayMs)) {
      replicas[n % 2]?.note(atMs);
      if (n++ % 50 !== 0) continue;
      broken = n % 3 === 0;
      for (const replica of replicas) await replica.sync(atMs).catch(() => undefined);
    }
  }
  broken = false;
  for (const replica of replicas) await replica.sync(monday + 60_000);
  const late = new Traffic(log, 30 * dayMs);
  await late.sync(monday + 60_000);
  for (const { profile } of [...replicas, late]) {
    assert.equal(profile.expected(monday, monday + dayMs), taught().expected(monday, monday + dayMs));
    assert.ok(Math.abs(profile.expected(monday + 18 * 3_600_000, monday + 22 * 3_600_000) / 1200 - 1) < 0.05);
  }
});

test('pacing that looks ahead gains more than first come first served and than an even spread over time', () => {
  const budgetUsd = 4;
  const gains = (how: 'paced' | 'first-come' | 'even'): number => {
    let total = 0;
    for (let seed = 50; seed < 58; seed++) {
      const profile = taught();
      const pacer = new Pacer({}, profile);
      let [spent, gained] = [0, 0];
      for (const { atMs, gainUsd, costUsd } of day(seed, monday)) {
        profile.note(atMs);
        const elapsed = (atMs - monday) / dayMs;
        const wanted = how === 'paced' ? gainUsd > (1 + pacer.price) * costUsd : gainUsd > costUsd && (how === 'first-come' || spent <= budgetUsd * elapsed);
        const buys = wanted && spent + costUsd <= budgetUsd;
        if (buys) [spent, gained] = [spent + costUsd, gained + gainUsd - costUsd];
        pacer.served(buys ? costUsd : 0, budgetUsd - spent, atMs, monday + dayMs);
      }
      assert.ok(spent <= budgetUsd);
      if (how === 'paced') assert.ok(spent > 0.8 * budgetUsd, `the budget is used: ${spent}`);
      total += gained;
    }
    return total;
  };
  const [paced, firstCome, even] = [gains('paced'), gains('first-come'), gains('even')];
  assert.ok(paced > 1.5 * firstCome, `paced ${paced.toFixed(1)}, first come ${firstCome.toFixed(1)}`);
  assert.ok(paced > 1.1 * even, `paced ${paced.toFixed(1)}, even ${even.toFixed(1)}`);
});

test('the price rises while money is short, falls again, and is bounded', () => {
  const profile = taught();
  const pacer = new Pacer({ priceMax: 50 }, profile);
  for (let n = 0; n < 500; n++) pacer.served(0.5, 0.1, monday + n, monday + dayMs);
  assert.ok(pacer.price > 10 && pacer.price <= 50);
  for (let n = 0; n < 2000; n++) pacer.served(0, 1, monday + n, monday + dayMs);
  assert.equal(pacer.price, 0);
  pacer.served(1, -4, monday, monday + dayMs);
  assert.ok(pacer.price > 0, 'an exhausted budget makes everything dear');
  const day = new Pacer({}, profile);
  for (let n = 0; n < 100; n++) day.served(0.5, 0.1, monday + n, monday + dayMs);
  const evening = day.price;
  day.begin();
  assert.ok(day.price > 0 && day.price < evening, 'a new day begins at the mean price of the last');
  day.begin();
  assert.ok(day.price < evening);
});

test('(row 3) the densest first, the least dense turned away, a much denser one preempts, nobody waits for ever, batches', async () => {
  const clock = clockFrom(0);
  const queue = new DensityQueue({ runningMax: 1, waitingMax: 3, agingPerSecond: 1 }, clock);
  const order: string[] = [];
  const ask = (name: string, benefit: number, resource = 1, preemptible = false): Promise<Admission | string> => queue.enter({ benefit, resource, preemptible }).then((admission) => (order.push(name), admission), (error: { code: string }) => error.code);
  const first = (await ask('running', 1, 1, true)) as Admission;
  assert.equal(queue.threshold, 0);
  const waiting = [ask('low', 1), ask('dense', 9, 3), ask('middle', 2)];
  assert.equal(queue.threshold, 1);
  assert.equal(await Promise.race([ask('none', 0.5), Promise.resolve().then(() => 'waits')]).then(() => 'asked'), 'asked');
  assert.equal(first.preempted.aborted, false, 'three times as dense is not enough');
  const urgent = ask('urgent', 50, 1);
  assert.equal(first.preempted.aborted, true, 'fifty times as dense takes the place');
  assert.equal(await waiting[0], 'overloaded', 'the least dense made room');
  first.release();
  first.release();
  ((await urgent) as Admission).release();
  ((await waiting[1]) as Admission).release();
  ((await waiting[2]) as Admission).release();
  assert.deepEqual(order, ['running', 'urgent', 'dense', 'middle']);
  const holder = (await ask('holder', 1)) as Admission;
  const old = ask('old', 1);
  clock.now += 60_000;
  const young = ask('young', 20);
  holder.release();
  assert.equal(order.length, 5);
  await old;
  assert.equal(order.at(-1), 'old', 'waiting a minute outweighs twenty times the benefit');
  const batched = queue.batch(5, (task: Task) => densityOf(task) > 1);
  assert.equal(batched.length, 1);
  await young;
});

test('the hard cap is never exceeded: random calls, costs up to the worst case, several replicas at once', async () => {
  for (let seed = 0; seed < 25; seed++) {
    const random = seededRandom(seed);
    const clock = clockFrom(monday + 1000);
    const capUsd = 0.5 + random.next();
    const slow = memoryLedger();
    // a ledger that answers late and in odd order
    const ledger: SpendLedger = { lease: async (...asked) => { for (let n = 0; n < random.next() * 5; n++) await Promise.resolve(); return slow.lease(...asked); }, giveBack: slow.giveBack, granted: slow.granted };
    const purses = Array.from({ length: 3 }, () => new Purse({ period: 'day', costUsd: capUsd }, ledger, clock));
    let [spent, refused] = [0, 0];
    const open: { readonly purse: Purse; readonly taken: ReturnType<Purse['take']> }[] = [];
    await Promise.all(purses.map(async (purse) => {
      for (let n = 0; n < 300; n++) {
        const worst = 0.02 * random.next();
        await purse.prepare(worst);
        try {
          open.push({ purse, taken: purse.take(worst) });
        } catch (error) {
          assert.equal((error as { code: string }).code, 'budget_exhausted');
          refused++;
        }
        const due = open.length > 4 || random.next() < 0.5 ? open.splice(Math.floor(random.next() * open.length), 1)[0] : undefined;
        if (due === undefined) continue;
        const cost = due.taken.costUsd * random.next();
        due.purse.settle(due.taken, cost);
        spent += cost;
        const aside = open.reduce((sum, { taken }) => sum + taken.costUsd, 0);
        assert.ok(spent + aside <= capUsd + 1e-9, `seed ${seed}: ${spent} spent and ${aside} aside of ${capUsd}`);
      }
    }));
    assert.ok(refused > 0 && spent > 0.5 * capUsd, 'the cap was reached');
    for (const purse of purses) await purse.close();
  }
});

test('a lease that lies idle goes back, so that another replica can use it', async () => {
  const clock = clockFrom(monday);
  const ledger = memoryLedger();
  const [idle, busy] = [new Purse({ period: 'day', costUsd: 1 }, ledger, clock), new Purse({ period: 'day', costUsd: 1 }, ledger, clock)];
  await idle.prepare(0.9);
  const taken = idle.take(0.3);
  await busy.prepare(0.5);
  assert.throws(() => busy.take(0.5), { code: 'budget_exhausted' });
  await idle.rest(0.1);
  assert.ok(Math.abs(idle.heldUsd - 0.1) < 1e-9, 'what runs keeps its money');
  await busy.prepare(0.5);
  busy.settle(busy.take(0.5), 0.5);
  idle.settle(taken, 0.3);
  await idle.rest(0);
  assert.ok(Math.abs(idle.heldUsd - 0.02) < 1e-9, 'one lease stays');
});

test('a new day brings new money, and what was set aside yesterday cannot be used today', async () => {
  const clock = clockFrom(monday + dayMs - 1000);
  const purse = new Purse({ period: 'day', costUsd: 1 }, memoryLedger(), clock);
  await purse.prepare(1);
  const taken = purse.take(0.9);
  await assert.rejects(async () => { await purse.prepare(0.5); purse.take(0.5); }, { code: 'budget_exhausted', message: /1 dollars a day/ });
  assert.equal(purse.empty, true);
  clock.now += 2000;
  assert.equal(purse.heldUsd, 0);
  purse.settle(taken, 0.1);
  assert.equal(purse.heldUsd, 0, 'yesterday is over');
  await purse.prepare(0.5);
  purse.take(0.5);
  assert.throws(() => purse.take(NaN), { code: 'budget_exhausted' });
  assert.deepEqual(periodOf('month', monday).name, 'month:2026-11-01');
  assert.equal(periodOf('month', monday).endMs, Date.UTC(2026, 11, 1));
});

test('two caps at once: the tighter one holds, and what it refuses is not taken from the other', async () => {
  const clock = clockFrom(monday);
  const ledger = memoryLedger();
  const purses = new Purses([new Purse({ period: 'day', costUsd: 0.5 }, ledger, clock), new Purse({ period: 'month', costUsd: 10 }, ledger, clock)]);
  await purses.prepare(0.6);
  assert.equal(purses.heldUsd, 0.5);
  assert.throws(() => purses.take(0.55), { code: 'budget_exhausted', message: /a day/ });
  assert.equal(purses.purses[1]?.heldUsd, 0.6, 'nothing is lost of the month');
  const taken = purses.take(0.4);
  purses.settle(taken, 0.3);
  assert.deepEqual(purses.purses.map(({ spentUsd }) => spentUsd), [0.3, 0.3]);
  await purses.close();
  assert.ok(Math.abs((await ledger.granted('day:2026-11-16')) - 0.3) < 1e-12, 'what was not spent went back');
});

test('under a cap, a call takes its worst case from the purse: a token a byte, fewer answer tokens, no unknown price, free members always', async () => {
  const clock = clockFrom(monday);
  const purse = new Purses([new Purse({ period: 'day', costUsd: 1 }, memoryLedger(), clock)]);
  await purse.prepare(1);
  const prompt = { messages: [{ role: 'user' as const, content: '7'.repeat(68) }] }; // with the message and the prompt itself: 100 tokens at most
  const [dear, free, unknown] = [fake({ id: 'dear', place: 'cloud', price: priced(1000, 10_000), answer: {} }, clock), fake({ id: 'free', answer: {} }, clock), fake({ id: 'unknown', place: 'cloud', answer: {} }, clock)];
  const budget = new Budget(undefined, purse);
  const reservation = budget.reserve(dear, prompt, { tokensMax: 500 });
  assert.equal(reservation.tokensMax, 90, '0.1 dollars for the prompt, the rest pays for 90 tokens');
  assert.throws(() => budget.reserve(dear, prompt, { tokensMax: 1 }), { code: 'budget_exhausted' });
  assert.deepEqual(budget.reserve(free, prompt, { tokensMax: 10 }), { costUsd: 0 });
  assert.throws(() => budget.reserve(unknown, prompt, {}), { code: 'cost_unknown', message: /price of "unknown" is not known/ });
  budget.settle(reservation, 0.2);
  assert.ok(Math.abs(purse.heldUsd - 0.8) < 1e-9);
});
