/** The dollars of a key's day hold for all of its requests together, whatever runs at the same time and however it ends. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { parseConfig, type ConfigInput } from '../../src/config.ts';
import type { Received } from '../../src/exchange.ts';
import { accountBytes } from '../../src/policy/account-memory.ts';
import type { Overrides } from '../../src/tandem.ts';
import { deployed, price, type Deployed } from './deployment.ts';

const gateway = { keys: [{ name: 'a', keyEnv: 'A', costUsdPerDay: 7 }, { name: 'b', keyEnv: 'B', costUsdPerDay: 7 }, { name: 'c', keyEnv: 'C' }] };
const env = { A: 'key-a', B: 'key-b', C: 'key-c' };
/** A dollar for each token of an answer. */
const dollarAToken = price(0, 1_000_000);
const start = (config: ConfigInput = {}, overrides: Overrides = {}): Promise<Deployed> => deployed({ price: dollarAToken, totalTimeoutMs: 5_000 }, { gateway, ...config }, { env, ...overrides });
const asking = (key: string, more: Partial<Received> = {}): Partial<Received> => ({ surface: 'chat', key, sampling: { tokensMax: 4 }, ...more });

const times = (n: number, kitchen: Deployed, received: Partial<Received>): Promise<string[]> => Promise.all(Array.from({ length: n }, () => kitchen.outcome(received)));
const spentBy = (name: string, ...kitchens: Deployed[]): number => kitchens.flatMap(({ traces }) => traces).reduce((sum, { caller, usage }) => (caller === name ? sum + usage.costUsd : sum), 0);
const allowed = ({ mock }: Deployed): unknown => mock.requests.at(-1)?.body['max_tokens'];

/** Resolves when the server has so many requests. */
async function arrived({ mock }: Deployed, requests: number): Promise<void> {
  for (let tries = 0; mock.requests.length < requests && tries < 5_000; tries++) await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const whole of [true, false]) {
  test(`20 requests of a key at once spend no more than its day, ${whole ? 'whole' : 'streamed'}`, async () => {
    const kitchen = await start();
    const outcomes = await times(20, kitchen, asking('key-a', { whole }));
    assert.deepEqual(outcomes.toSorted(), [...Array<string>(18).fill('budget_exhausted'), 'ok', 'ok']);
    const spent = spentBy('a', kitchen);
    assert.ok(spent > 0 && spent <= 7, `spent ${spent}`);
    assert.equal(await kitchen.outcome(asking('key-a', { whole })), spent < 7 ? 'ok' : 'budget_exhausted', 'what they set aside and did not use can be used');
    assert.ok(spentBy('a', kitchen) <= 7);
  });
}

test('several answers and several calls of one request draw on the same day', async () => {
  const { mock } = await deployed({});
  const small = { engine: 'openai', baseUrl: mock.url, model: 'mock', price: dollarAToken } as const;
  for (const more of [{ answers: 3 }, { model: 'tandem/race' }]) {
    const kitchen = await start({ members: { small } });
    const outcomes = await times(10, kitchen, asking('key-a', { sampling: { tokensMax: 2 }, ...more }));
    assert.ok(outcomes.includes('ok') && outcomes.includes('budget_exhausted'), outcomes.join());
    assert.ok(spentBy('a', kitchen) > 0 && spentBy('a', kitchen) <= 7, `spent ${spentBy('a', kitchen)}`);
  }
});

test('threads that share the accounts share the day', async () => {
  const accounts = new SharedArrayBuffer(accountBytes(parseConfig({ gateway }).gateway.keys));
  const [one, two] = [await start({}, { accounts }), await start({}, { accounts })];
  const outcomes = await Promise.all([one, two, one, two].map((kitchen) => times(5, kitchen, asking('key-a'))));
  assert.equal(outcomes.flat().filter((outcome) => outcome === 'ok').length, 2);
  assert.ok(spentBy('a', one, two) <= 7);
});

test('what one key sets aside and spends is nothing to another, with or without a limit', async () => {
  const kitchen = await start();
  kitchen.mock.behave({ kind: 'silence' }, 1);
  const stop = new AbortController();
  const holding = kitchen.outcome(asking('key-a', { sampling: { tokensMax: 100 } }), stop.signal);
  await arrived(kitchen, 1);
  assert.equal(await kitchen.outcome(asking('key-a')), 'budget_exhausted', 'all is set aside');
  assert.equal(await kitchen.outcome(asking('key-b', { sampling: { tokensMax: 100 } })), 'ok');
  assert.equal(allowed(kitchen), 7);
  assert.deepEqual(await times(3, kitchen, asking('key-c')), ['ok', 'ok', 'ok']);
  stop.abort();
  assert.equal(await holding, 'cancelled');
  assert.equal(await kitchen.outcome(asking('key-a', { sampling: { tokensMax: 100 } })), 'ok');
  assert.equal(allowed(kitchen), 7);
});

test('what is set aside comes back when a request is cancelled, fails, runs out of time or is left', async () => {
  const kitchen = await start();
  const { mock, outcome, runtime } = kitchen;
  const wide = asking('key-a', { sampling: { tokensMax: 100 } });
  for (let round = 0; round < 3; round++) {
    mock.behave({ kind: 'silence' }, 1);
    const stop = new AbortController();
    const asked = mock.requests.length;
    const cancelled = outcome(wide, stop.signal);
    await arrived(kitchen, asked + 1);
    stop.abort();
    assert.equal(await cancelled, 'cancelled');
    mock.behave({ kind: 'status', status: 500 }, 1);
    assert.equal(await outcome(wide), 'upstream_failed');
    mock.behave({ kind: 'reset' }, 1);
    assert.equal(await outcome(wide), 'upstream_unreachable');
    mock.behave({ kind: 'silence' }, 1);
    assert.equal(await outcome({ ...wide, policy: { limits: { totalMs: 50 } } }), 'deadline_exceeded');
    const gone = new AbortController();
    gone.abort();
    assert.equal(await outcome(wide, gone.signal), 'cancelled');
    assert.equal(await outcome({ ...wide, knobs: { nobody: 1 } }), 'knob_invalid');
  }
  assert.equal(spentBy('a', kitchen), 0);
  mock.behave({ kind: 'stall', events: 3 }, 1);
  const { parts } = await runtime.handle({ model: 'large', prompt: { messages: [{ role: 'user', content: 'Is it?' }] }, answers: 1, policy: {}, knobs: {}, explain: false, ...wide } as Received, new AbortController().signal);
  for await (const part of parts) if (part.type === 'text') break;
  const spent = spentBy('a', kitchen);
  assert.ok(spent > 0 && spent < 7, `spent ${spent}`);
  assert.equal(await outcome(wide), 'ok');
  assert.equal(allowed(kitchen), 7 - spent, 'all but what was spent');
});
