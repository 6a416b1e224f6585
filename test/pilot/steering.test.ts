/** Steering: the price of a dollar follows the budget, over replicas and restarts. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { parseConfig } from '../../src/config.ts';
import { Team } from '../../src/models/team.ts';
import { memoryLedger } from '../../src/policy/purse.ts';
import { Steering } from '../../src/steering.ts';
import type { Store } from '../../src/store/store.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { fake, priced } from '../recipes/fake-model.ts';
import { handClock } from './world.ts';

const prompt = { messages: [{ role: 'user' as const, content: 'hello' }] };

test('spending faster than the day allows makes a dollar dear; a restart in the middle of the day neither forgets what was spent nor panics', async () => {
  const clock = handClock();
  const ledger = memoryLedger();
  const store = { ledger } as unknown as Store;
  const config = parseConfig({ members: { x: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x' } }, policy: { costUsdPerDay: 10 } });
  const open = (): Promise<Steering> => Steering.open({ config, team: new Team([fake({ id: 'x', place: 'cloud', price: priced(10, 100), answer: {} }, clock)]), store, clock });
  const spend = async (steering: Steering, requests: number, costUsd: number): Promise<void> => {
    for (let n = 0; n < requests; n++) {
      clock.now += 10_000;
      await steering.prepare(`t${n}`, { prompt, sampling: { tokensMax: 4_096 }, answers: 1 });
      const taken = steering.purse?.take(costUsd);
      if (taken !== undefined) steering.purse?.settle(taken, costUsd);
      steering.finished({ id: `t${n}`, usage: { costUsd } } as TraceRecord);
    }
  };
  const first = await open();
  await spend(first, 400, 0.0001);
  assert.equal(first.price, 0, 'far below what the day allows');
  await spend(first, 200, 0.02);
  assert.ok(first.price > 1, `price ${first.price}`);
  await first.close();
  assert.ok(Math.abs((await ledger.granted('day:2026-11-16')) - 4.04) < 1e-9, 'the unused lease went back');
  const second = await open();
  await spend(second, 50, 0.0001);
  assert.equal(second.price, 0, 'what was spent before the restart is no rival');
  await assert.rejects(spend(second, 1000, 0.02), { code: 'budget_exhausted' }, 'and is not forgotten');
  await second.close();
});

test('a ledger that falls silent does not hold up closing', async (t) => {
  const clock = handClock();
  const ledger = { ...memoryLedger(), giveBack: () => new Promise<never>(() => undefined) };
  const config = parseConfig({ members: { x: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x' } }, policy: { costUsdPerDay: 10 } });
  const team = new Team([fake({ id: 'x', place: 'cloud', price: priced(10, 100), answer: {} }, clock)]);
  const steering = await Steering.open({ config, team, store: { ledger } as unknown as Store, clock });
  await steering.prepare('t', { prompt, sampling: { tokensMax: 4_096 }, answers: 1 });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const closing = steering.close();
  t.mock.timers.tick(5_000);
  await closing;
});
