/** What `createTandem` leaves behind when it cannot start. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TandemError } from '../src/errors.ts';
import { Team, type AnyMember } from '../src/models/team.ts';
import { createTandem } from '../src/tandem.ts';
import { memoryStore } from './gateway/fake-runtime.ts';

test('a start that fails at the last step closes what it had opened, the newest first', async () => {
  const closed: string[] = [];
  const closing = (name: string) => async (): Promise<void> => void closed.push(name);
  const member = { id: 'large', engine: 'fake', place: 'device', abilities: { levels: ['L0'], tools: false, formats: ['text'], topLogprobsMax: 0, sampling: [], continuesPrefix: false, attachments: false }, close: closing('team') };
  const team = new Team([{ model: member, id: 'large', place: 'device', roles: ['large'], price: undefined, energy: undefined } as unknown as AnyMember]);
  const store = { ...memoryStore(), close: closing('store') };
  const config = { defaultModel: 'tandem/large', gateway: { keys: [{ name: 'app', keyEnv: 'NOT_SET' }] } };
  await assert.rejects(createTandem(config, { team, store, env: {} }), (thrown) => TandemError.is(thrown) && thrown.code === 'config_invalid' && thrown.param === 'gateway.keys[0].keyEnv');
  assert.deepEqual(closed, ['team', 'store']);
});
