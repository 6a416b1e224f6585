/** Budget, breakers, tally and merge on their own. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Breakers } from '../../src/recipes/breakers.ts';
import { Budget } from '../../src/recipes/budget.ts';
import { merge } from '../../src/recipes/merge.ts';
import { promptTokensOf } from '../../src/recipes/prompt-size.ts';
import { Tally } from '../../src/recipes/tally.ts';
import { endsPlainly } from '../../src/recipes/view.ts';
import { fake, priced } from './fake-model.ts';
import { virtualClock } from './harness.ts';

const prompt = { messages: [{ role: 'user' as const, content: 'x'.repeat(288) }] };

test('a reservation holds the worst case, settling gives back what was not used', () => {
  const member = fake({ id: 'm', place: 'cloud', price: priced(1e4, 1e5), answer: {} }, virtualClock()); // a cent a prompt token, ten an answer token
  assert.equal(promptTokensOf(prompt), 100);
  const budget = new Budget(3);
  const first = budget.reserve(member, prompt, { tokensMax: 10 });
  assert.equal(first.tokensMax, undefined);
  assert.ok(Math.abs(budget.leftUsd - 1) < 1e-9);
  assert.throws(() => budget.reserve(member, prompt, { tokensMax: 10 }), { code: 'budget_exhausted', member: 'm' });
  budget.settle(first, 1.05);
  assert.ok(Math.abs(budget.leftUsd - 1.95) < 1e-9);
  assert.equal(budget.reserve(member, prompt, { tokensMax: 10 }).tokensMax, 9, 'fewer tokens rather than none');
  assert.equal(new Budget(3).reserve(member, prompt, {}).tokensMax, 20, 'an open length is closed');
  assert.deepEqual(new Budget(undefined).reserve(member, prompt, {}), { costUsd: 0 });
});

test('free members can always be called; one in the cloud whose price is not known cannot while dollars are limited', () => {
  const clock = virtualClock();
  const [own, unknown] = [fake({ id: 'own', answer: {} }, clock), fake({ id: 'unknown', place: 'cloud', answer: {} }, clock)];
  const empty = new Budget(0);
  assert.deepEqual(empty.reserve(own, prompt, {}), { costUsd: 0 });
  for (const budget of [empty, new Budget(1_000)]) assert.throws(() => budget.reserve(unknown, prompt, {}), { code: 'cost_unknown', member: 'unknown', message: /price of "unknown" is not known; set price/ });
  assert.deepEqual(new Budget(undefined).reserve(unknown, prompt, {}), { costUsd: 0 });
});

test('an open breaker lets one trial through a cool-down', async () => {
  const clock = virtualClock();
  const breakers = new Breakers(clock);
  const limits = { failuresMax: 2, cooldownMs: 100 };
  breakers.failed('m', 'upstream_failed');
  assert.equal(breakers.admits('m', limits), true);
  breakers.failed('m', 'context_too_long');
  assert.equal(breakers.failures('m'), 1, 'the request\'s fault is not the member\'s');
  breakers.failed('m', 'upstream_timeout');
  assert.equal(breakers.admits('m', limits), false);
  await clock.sleep(100);
  assert.deepEqual([breakers.admits('m', limits), breakers.admits('m', limits)], [true, false], 'one trial, not a crowd');
  await clock.sleep(100);
  assert.equal(breakers.admits('m', limits), true, 'a trial without an outcome does not block for ever');
  breakers.succeeded('m');
  assert.equal(breakers.failures('m'), 0);
});

test('shares follow the rate of the member\'s own calls', () => {
  const tally = new Tally();
  tally.add('m', 100, 50);
  tally.add('m', 100, 50);
  assert.equal(tally.tokensOf('m', 100), 50);
  assert.equal(tally.tokensOf('stranger', 9), 3);
});

test('merged streams are left together, and one failure fails them all', async () => {
  const left: number[] = [];
  async function* counting(id: number, failAt = Infinity): AsyncGenerator<number> {
    try {
      for (let n = 0; n < 5; n++) {
        if (n === failAt) throw new RangeError('made up');
        await new Promise((resolve) => setImmediate(resolve));
        yield id;
      }
    } finally {
      left.push(id);
    }
  }
  const seen: number[] = [];
  for await (const id of merge([counting(1), counting(2)])) {
    seen.push(id);
    if (seen.length === 4) break;
  }
  assert.deepEqual([...new Set(seen)].sort(), [1, 2], 'side by side');
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(left.splice(0).sort(), [1, 2]);
  await assert.rejects(async () => {
    for await (const _ of merge([counting(1), counting(2, 1), counting(3)]));
  }, RangeError);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(left.sort(), [1, 2, 3]);
});

test('text ends plainly only after a finished word that cannot be part of a private value', () => {
  for (const text of ['', 'hello ', 'see you\n', 'a, b; \t']) assert.equal(endsPlainly(text), true, JSON.stringify(text));
  for (const text of ['hello', 'ann@example.org ', '+49 ', 'DE89 3704 ', 'call 5 ', ' ']) assert.equal(endsPlainly(text), false, JSON.stringify(text));
});
