/** A member whose server asks for patience is not waited for while another can answer. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeStages } from '../../src/assign/cascade/stages.ts';
import { folder } from '../cli/tandem.ts';
import { deployed } from './deployment.ts';

const busy = { kind: 'status', status: 429, headers: { 'retry-after': '4' } } as const;

test('failover and route answer with the healthy member at once; alone, the failure is handed on with the time', async () => {
  const healthy = await deployed({});
  const { mock, outcome, traces } = await deployed({ retriesMax: 2, retryAfterMsMax: 60_000 }, { members: { small: { engine: 'openai', baseUrl: healthy.mock.url, model: 'mock', place: 'edge' } } });
  mock.behave(busy);
  for (const model of ['tandem/failover', 'tandem/route']) {
    const before = mock.requests.length;
    const knobs = model === 'tandem/route' ? { threshold: 0 } : {};
    assert.equal(await outcome({ model, knobs }), 'ok', model);
    const { spans } = traces.at(-1) ?? assert.fail('no trace');
    assert.deepEqual(spans.flatMap(({ kind, member, error }) => (kind === 'call' ? [[member, error]] : [])), [['large', 'upstream_rate_limited'], ['small', undefined]], model);
    assert.deepEqual([mock.requests.length - before, spans.flatMap(({ events }) => events.filter(({ name }) => name === 'retry'))], [1, []], 'asked once, not waited for');
  }
  const alone = await deployed({ retriesMax: 2, retryAfterMsMax: 1_000 });
  alone.mock.behave(busy);
  assert.equal(await alone.outcome(), 'upstream_rate_limited');
  assert.equal(alone.mock.requests.length, 1);
});

test('a stage that another member can do is handed to it at once', async (t) => {
  const healthy = await deployed({});
  const ways = [{ member: 'large', samples: 1, quality: 0.9, cost: 0.01 }, { member: 'small', samples: 1, quality: 0.6, cost: 0.001 }];
  const baseDir = folder(t, { 'task.json': encodeStages({ kind: 'tandem-stages', version: 1, date: '2026-11-21', unit: 'usd', stages: [{ name: 'facts', instruction: 'List the facts.', rows: 200, ways }, { name: 'answer', instruction: 'Answer.', rows: 200, ways }] }) });
  const small = { engine: 'openai' as const, baseUrl: healthy.mock.url, model: 'mock', place: 'edge' as const };
  const { mock, outcome, traces } = await deployed({ retriesMax: 2, retryAfterMsMax: 60_000 }, { members: { small }, cascades: { trip: './task.json' }, recipes: { cascade: { stages: 'trip' } } }, { baseDir });
  mock.behave(busy);
  assert.equal(await outcome({ model: 'tandem/cascade' }), 'ok');
  const calls = traces.at(-1)?.spans.flatMap(({ kind, member, error, events }) => (kind === 'call' ? [[member, error, events.some(({ name }) => name === 'retry')]] : []));
  assert.deepEqual(calls, [['large', 'upstream_rate_limited', false], ['small', undefined, false], ['large', 'upstream_rate_limited', false], ['small', undefined, false]]);
  assert.equal(mock.requests.length, 2);
});
