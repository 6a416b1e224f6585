/** What a server counts is believed where it can be a count, and carried to the caller with the tokens of hidden reasoning. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { tandem } from '../../src/ai-sdk/provider.ts';
import type { CallUsage, TraceRecord } from '../../src/trace/trace.ts';
import { openAiSdkModel } from '../../src/models/ai-sdk/index.ts';
import { usageOf } from '../../src/models/openai/wire.ts';
import { ask, quietCall, says } from '../conformance/asking.ts';
import type { Misbehaviour } from '../conformance/mock-openai.ts';
import { settingsOf, testContext } from '../conformance/settings.ts';
import { withGateway } from '../gateway/fake-runtime.ts';
import { deployed, price } from './deployment.ts';

const replying = (usage: unknown): Misbehaviour => ({ kind: 'body', type: 'application/json', text: JSON.stringify({ choices: [{ message: { content: 'yes indeed' }, finish_reason: 'stop' }], usage }) });

test('only whole numbers of a sane size are counts; parts of a count are never more than the whole', () => {
  for (const bad of [-5, 1.5, '7', null, undefined, 1e17, Infinity, {}]) {
    assert.equal(usageOf({ prompt_tokens: bad, completion_tokens: 2 }), undefined, String(bad));
    assert.equal(usageOf({ prompt_tokens: 7, completion_tokens: bad }), undefined, String(bad));
    const parts = usageOf({ prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: { cached_tokens: bad }, completion_tokens_details: { reasoning_tokens: bad } });
    assert.deepEqual(parts, { promptTokens: 7, completionTokens: 2 }, String(bad));
  }
  const parts = usageOf({ prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 9 }, completion_tokens_details: { reasoning_tokens: 3 } });
  assert.deepEqual(parts, { promptTokens: 7, completionTokens: 2, cachedPromptTokens: 7, reasoningTokens: 2 });
  assert.equal(usageOf('garbage' as never), undefined);
});

test('garbage is replaced by an estimate that is marked, whole and streamed', async () => {
  const { mock, outcome, traces, runtime } = await deployed({ price: price(1, 1) });
  for (const usage of [{ prompt_tokens: -5, completion_tokens: 3 }, { prompt_tokens: 1e17, completion_tokens: 1e17 }, { prompt_tokens: 1.5, completion_tokens: '7' }]) {
    mock.behave(replying(usage));
    for (const whole of [true, false]) {
      assert.equal(await outcome({ whole }), 'ok');
      const trace = traces.at(-1) as TraceRecord;
      assert.ok(trace.usage.promptTokens > 0 && trace.usage.promptTokens < 50 && trace.usage.completionTokens > 0 && trace.usage.completionTokens < 50);
      assert.ok(trace.spans.some(({ events }) => events.some(({ name }) => name === 'usage-estimated')));
    }
  }
  const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
  mock.behave({ kind: 'body', type: 'text/event-stream', text: `${event({ choices: [{ delta: { content: 'yes' }, finish_reason: 'stop' }] })}${event({ usage: { prompt_tokens: -1 } })}data: [DONE]\n\n` });
  assert.equal(await outcome(), 'ok', 'an event that holds nothing but a usage that cannot be');
  assert.equal((await runtime.store.listTraces({})).length, 7);
});

test('an AI SDK model is believed no more than a server', async () => {
  const model = (usage: unknown): object => ({ specificationVersion: 'v4', provider: 'p', modelId: 'm', supportedUrls: {}, doStream: () => assert.fail(), doGenerate: async () => ({ content: [{ type: 'text', text: 'yes indeed' }], finishReason: { unified: 'stop' }, usage, warnings: [] }) });
  const usageFrom = async (usage: unknown): Promise<object> => (await ask(await openAiSdkModel('it', settingsOf<'ai-sdk'>({ engine: 'ai-sdk', model: model(usage) as never }), testContext()), says('hi'), {}, quietCall({ whole: true }))).usage;
  assert.deepEqual(await usageFrom({ inputTokens: { total: 9, cacheRead: 11 }, outputTokens: { total: 4, reasoning: 5 } }), { promptTokens: 9, completionTokens: 4, cachedPromptTokens: 9, reasoningTokens: 4 });
  const estimated = (await usageFrom({ inputTokens: { total: -9 }, outputTokens: { total: 0.5 } })) as CallUsage;
  assert.ok(estimated.promptTokens > 0 && estimated.completionTokens === 3);
});

test('tokens of hidden reasoning come through: trace, store, chat, responses, AI SDK', async () => {
  const { mock, runtime, outcome, traces } = await deployed({});
  mock.behave(replying({ prompt_tokens: 12, completion_tokens: 50, completion_tokens_details: { reasoning_tokens: 40 } }));
  assert.equal(await outcome(), 'ok');
  const trace = traces.at(-1) as TraceRecord;
  assert.equal(trace.usage.reasoningTokens, 40);
  assert.equal((await runtime.store.getTrace(trace.id))?.usage.reasoningTokens, 40);
  await withGateway(runtime, async (url) => {
    const usageAt = async (path: string, body: object): Promise<Record<string, unknown>> =>
      ((await (await fetch(`${url}/v1/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'large', ...body }) })).json()) as { usage: Record<string, unknown> }).usage;
    assert.deepEqual((await usageAt('chat/completions', { messages: [{ role: 'user', content: 'hi' }] }))['completion_tokens_details'], { reasoning_tokens: 40 });
    assert.deepEqual((await usageAt('responses', { input: 'hi' }))['output_tokens_details'], { reasoning_tokens: 40 });
  });
  const { usage } = await tandem(runtime)('large').doGenerate({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] });
  assert.deepEqual(usage.outputTokens, { total: 50, text: 10, reasoning: 40 });
});
