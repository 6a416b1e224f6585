/** What `createTandem` leaves behind when it cannot start. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TandemError } from '../src/errors.ts';
import { Team } from '../src/models/team.ts';
import { systemClock } from '../src/system/clock.ts';
import { createTandem } from '../src/tandem.ts';
import { memoryStore } from './gateway/fake-runtime.ts';
import { fake } from './recipes/fake-model.ts';

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
