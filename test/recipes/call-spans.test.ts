/** What the span of a call says of who answered, from the call to the collector and the terminal. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { configSchema } from '../../src/config.ts';
import { serversOf } from '../../src/models/load.ts';
import type { AnyMember } from '../../src/models/team.ts';
import { otelSpans } from '../../src/trace/otel.ts';
import { renderTrace } from '../../src/trace/index.ts';
import { fake } from './fake-model.ts';
import { serveOne, virtualClock } from './harness.ts';

const resource = { attributes: {}, merge: () => resource } as unknown as Parameters<typeof otelSpans>[1];

test('a call names its model, why the answer ended and where the server is, by the GenAI conventions', async () => {
  const clock = virtualClock();
  const large = { ...fake({ id: 'large', place: 'cloud', answer: { text: 'a b', reason: 'length' } }, clock), modelName: 'gpt-4.1-mini' } as AnyMember;
  const { trace } = await serveOne([large], { model: 'large' }, clock);
  assert.equal(trace.spans.find(({ kind }) => kind === 'call')?.model, 'gpt-4.1-mini');
  const servers = new Map([['large', { address: 'api.example.org', port: 443 }]]);
  const call = otelSpans(trace, resource, servers).at(-1);
  assert.equal(call?.name, 'chat gpt-4.1-mini');
  const wanted = { 'gen_ai.request.model': 'gpt-4.1-mini', 'gen_ai.response.model': 'gpt-4.1-mini', 'gen_ai.response.finish_reasons': ['length'], 'server.address': 'api.example.org', 'server.port': 443 };
  assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((name) => [name, call?.attributes[name]])), wanted);
  assert.match(renderTrace(trace), /model gpt-4\.1-mini/);
});

test('a member without a name of its own is called by its id, and a server that is not known is left out', async () => {
  const clock = virtualClock();
  const { trace } = await serveOne([fake({ id: 'small', answer: { text: 'a' } }, clock)], { model: 'small' }, clock);
  const call = otelSpans(trace, resource).at(-1);
  assert.deepEqual([call?.name, call?.attributes['gen_ai.request.model']], ['chat small', 'small']);
  assert.equal(call?.attributes['server.address'], undefined);
});

test('servers are read off the configuration', () => {
  const { members } = configSchema.parse({
    members: {
      a: { engine: 'openai', baseUrl: 'https://api.example.org/v1', model: 'm' },
      b: { engine: 'openai', baseUrl: 'http://127.0.0.1:8080/v1', model: 'm' },
      c: { engine: 'llama', file: 'x.gguf' },
    },
  });
  assert.deepEqual([...serversOf(members)], [['a', { address: 'api.example.org', port: 443 }], ['b', { address: '127.0.0.1', port: 8080 }]]);
});
