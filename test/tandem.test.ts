/** What `createTandem` leaves behind when it cannot start, and requests that cannot have their money. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TandemError } from '../src/errors.ts';
import type { Received } from '../src/exchange.ts';
import { Team } from '../src/models/team.ts';
import { systemClock } from '../src/system/clock.ts';
import { createTandem } from '../src/tandem.ts';
import { memoryStore } from './gateway/fake-runtime.ts';
import { memoryLedger } from '../src/policy/purse.ts';
import { fake, priced } from './recipes/fake-model.ts';

test('a start that fails at the last step closes what it had opened, the newest first, and says why it failed', async () => {
  const closed: string[] = [];
  const large = fake({ id: 'large', answer: { text: '' } }, systemClock);
  Object.assign(large.model, { close: async () => void closed.push('team') });
  const store = { ...memoryStore(), close: async () => {
    closed.push('store');
    throw new Error('the disk is full');
  } };
  const config = { defaultModel: 'tandem/large', gateway: { keys: [{ name: 'app', keyEnv: 'NOT_SET' }] } };
  await assert.rejects(createTandem(config, { team: new Team([large]), store, env: {} }), (thrown) => TandemError.is(thrown) && thrown.code === 'config_invalid' && thrown.param === 'gateway.keys[0].keyEnv');
  assert.deepEqual(closed, ['team', 'store']);
});

test('a request that waits for money goes with its client, and with its time', async () => {
  const ledger = { ...memoryLedger(), lease: () => new Promise<never>(() => undefined) };
  const large = fake({ id: 'large', place: 'cloud', price: priced(10, 100), answer: {} }, systemClock);
  const config = { members: { large: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x' } }, policy: { costUsdPerDay: 10 } } as const;
  const runtime = await createTandem(config, { team: new Team([large]), store: { ...memoryStore(), ledger }, env: {} });
  const received: Received = { surface: 'chat', model: 'large', prompt: { messages: [{ role: 'user', content: 'hello' }] }, sampling: { tokensMax: 10 }, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined };
  const client = new AbortController();
  const left = runtime.handle(received, client.signal);
  client.abort();
  await assert.rejects(left, { code: 'cancelled' });
  await assert.rejects(runtime.handle({ ...received, policy: { limits: { totalMs: 5 } } }, new AbortController().signal), { code: 'deadline_exceeded' });
  await runtime.close();
});
