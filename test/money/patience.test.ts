/** A member whose server asks for patience is not waited for while another can answer. */
import assert from 'node:assert/strict';
import test from 'node:test';
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
