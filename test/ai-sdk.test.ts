/** Tandem as an AI SDK provider, used as applications do: generateText, streamText, tool calls, objects, embeddings. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { APICallError, Output, embedMany, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import type { JSONObject } from '@ai-sdk/provider';
import { ask, type AskOptions } from '../src/ask.ts';
import { TandemError } from '../src/errors.ts';
import type { ErrorCode } from '../src/errors.ts';
import type { Part, Received } from '../src/exchange.ts';
import { createTandem as remote, tandem } from '../src/ai-sdk/provider.ts';
import type { RuntimeView } from '../src/ai-sdk/provider.ts';
import { Team } from '../src/models/team.ts';
import { systemClock } from '../src/system/clock.ts';
import { createTandem, type Runtime } from '../src/tandem.ts';
import { withGateway } from './gateway/fake-runtime.ts';
import { fake, type FakeMember } from './recipes/fake-model.ts';
import { startMock } from './conformance/mock-openai.ts';
import type { MockOpenAi } from './conformance/mock-openai.ts';

/** A part without the fields that every part has. */
type Short = Part extends infer P ? (P extends Part ? Omit<P, 'answer' | 'member'> : never) : never;

/** A runtime that answers with what a function says, and remembers what it was asked. */
class FakeRuntime implements RuntimeView {
  readonly received: Received[] = [];
  left = 0;
  readonly #answer: (received: Received) => readonly (Short | TandemError)[];
  readonly #refuse: ErrorCode | undefined;

  constructor(answer: (received: Received) => readonly (Short | TandemError)[], refuse?: ErrorCode) {
    this.#answer = answer;
    this.#refuse = refuse;
  }
  models(): readonly { readonly id: string }[] {
    return [{ id: 'tandem/auto' }, { id: 'tandem/cascade' }, { id: 'small' }];
  }
  async handle(received: Received, signal: AbortSignal): ReturnType<RuntimeView['handle']> {
    this.received.push(received);
    if (this.#refuse !== undefined) throw new TandemError(this.#refuse, { message: 'No.', retryAfterMs: 1 });
    const usage = { promptTokens: 5, cachedPromptTokens: 2, completionTokens: 3, costUsd: 0.25 };
    return { trace: { id: 'abc', recipe: 'cascade', shares: { small: 3 }, usage: () => usage }, parts: this.#parts(received, signal) };
  }
  async *#parts(received: Received, signal: AbortSignal): AsyncGenerator<Part, void, undefined> {
    try {
      for (const part of this.#answer(received)) {
        if (part instanceof TandemError) throw part;
        await new Promise(setImmediate);
        signal.throwIfAborted();
        yield { ...part, answer: 0, member: 'small' } as Part;
      }
    } finally {
      this.left++;
    }
  }
}

const hello = (): readonly Short[] => [
  { type: 'reasoning', delta: 'hm ' },
  { type: 'text', delta: 'Hello ' },
  { type: 'text', delta: 'wörld 😀' },
  { type: 'finish', reason: 'stop' },
];

const weather = tool({ description: 'The weather', inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => ({ city, degrees: 21 }) });

/** Asks for the tool first, and answers with its result afterwards. */
const useTool = ({ prompt }: Received): readonly Short[] => {
  const result = prompt.messages.find((message) => message.role === 'tool');
  if (result !== undefined) return [{ type: 'text', delta: `It said ${result.content}` }, { type: 'finish', reason: 'stop' }];
  return [
    { type: 'tool-call', call: 0, id: 'c1', name: 'weather', argumentsDelta: '{"ci' },
    { type: 'tool-call', call: 0, argumentsDelta: 'ty":"Köln"}' },
    { type: 'finish', reason: 'tool_calls' },
  ];
};

describe('on a runtime', () => {
  test('generateText', async () => {
    const runtime = new FakeRuntime(hello);
    const { text, reasoningText, usage, finishReason, providerMetadata, response } = await generateText({ model: tandem(runtime)('auto'), system: 'Be kind.', prompt: 'Hi', maxOutputTokens: 9, temperature: 0.5, stopSequences: ['x'], seed: 3, providerOptions: { tandem: { privacyClass: 'confidential', knobs: { threshold: 0.5 } } } });
    assert.deepEqual([text, reasoningText, finishReason], ['Hello wörld 😀', 'hm ', 'stop']);
    assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.inputTokenDetails.cacheReadTokens], [5, 3, 2]);
    assert.deepEqual(providerMetadata?.['tandem'], { trace: 'abc', recipe: 'cascade', shares: { small: 3 }, costUsd: 0.25 });
    assert.equal(response.id, 'abc');
    const [received] = runtime.received;
    assert.deepEqual(received?.prompt.messages, [{ role: 'system', content: 'Be kind.' }, { role: 'user', content: 'Hi' }]);
    assert.deepEqual(received?.sampling, { tokensMax: 9, temperature: 0.5, stop: ['x'], seed: 3 });
    assert.deepEqual([received?.model, received?.policy, received?.knobs, received?.whole], ['tandem/auto', { privacyClass: 'confidential' }, { threshold: 0.5 }, true]);
  });
  test('model ids: recipes with and without their prefix, members', async () => {
    const runtime = new FakeRuntime(hello);
    for (const id of ['cascade', 'tandem/cascade', 'small', 'unknown']) await generateText({ model: tandem(runtime).languageModel(id), prompt: 'Hi' });
    assert.deepEqual(runtime.received.map(({ model }) => model), ['tandem/cascade', 'tandem/cascade', 'small', 'unknown']);
  });
  test('streamText gives the text as it comes', async () => {
    const runtime = new FakeRuntime(hello);
    const result = streamText({ model: tandem(runtime)('auto'), prompt: 'Hi' });
    const deltas = [];
    for await (const delta of result.textStream) deltas.push(delta);
    assert.deepEqual(deltas, ['Hello ', 'wörld 😀']);
    assert.equal((await result.usage).outputTokens, 3);
    assert.equal(await result.finishReason, 'stop');
    assert.equal(runtime.received[0]?.whole, false);
  });
  test('tools are called, and their results come back', async () => {
    const runtime = new FakeRuntime(useTool);
    const { text, steps } = await generateText({ model: tandem(runtime)('auto'), prompt: 'Weather in Köln?', tools: { weather }, stopWhen: stepCountIs(3) });
    assert.equal(text, 'It said {"city":"Köln","degrees":21}');
    assert.equal(steps.length, 2);
    assert.deepEqual(steps[0]?.toolCalls.map(({ toolName, input }) => [toolName, input]), [['weather', { city: 'Köln' }]]);
    assert.equal(runtime.received[0]?.prompt.tools?.[0]?.name, 'weather');
    const second = runtime.received[1]?.prompt.messages ?? [];
    assert.deepEqual(second[1]?.toolCalls, [{ id: 'c1', name: 'weather', arguments: '{"city":"Köln"}' }]);
    assert.deepEqual([second[2]?.role, second[2]?.toolCallId], ['tool', 'c1']);
  });
  test('tools are called in a stream', async () => {
    const result = streamText({ model: tandem(new FakeRuntime(useTool))('auto'), prompt: 'Weather in Köln?', tools: { weather }, stopWhen: stepCountIs(3) });
    const kinds = new Set<string>();
    for await (const part of result.fullStream) kinds.add(part.type);
    for (const kind of ['tool-input-start', 'tool-input-delta', 'tool-input-end', 'tool-call', 'tool-result', 'text-delta', 'finish']) assert.ok(kinds.has(kind), kind);
    assert.equal(await result.text, 'It said {"city":"Köln","degrees":21}');
  });
  test('objects by schema', async () => {
    const runtime = new FakeRuntime(() => [{ type: 'text', delta: '{"n": 7}' }, { type: 'finish', reason: 'stop' }]);
    const { output } = await generateText({ model: tandem(runtime)('auto'), prompt: 'A number', output: Output.object({ schema: z.object({ n: z.number() }) }) });
    assert.deepEqual(output, { n: 7 });
    const format = runtime.received[0]?.sampling.format;
    assert.ok(format?.type === 'json-schema' && 'properties' in format.schema);
  });
  test('pictures are handed on', async () => {
    const runtime = new FakeRuntime(hello);
    const content = [{ type: 'text' as const, text: 'What?' }, { type: 'file' as const, mediaType: 'image/png', data: new URL('https://example.org/a.png') }, { type: 'file' as const, data: Buffer.from('abc'), mediaType: 'image/png' }];
    await generateText({ model: tandem(runtime)('auto'), messages: [{ role: 'user', content }] });
    const urls = runtime.received[0]?.prompt.messages[0]?.attachments?.map(({ value }) => (value['image_url'] as { url: string }).url);
    assert.deepEqual(urls, ['https://example.org/a.png', 'data:image/png;base64,YWJj']);
  });
  test('an error keeps its status, code and remedy, and is tried again only when that can help', async () => {
    for (const [code, retryable] of [['policy_violated', false], ['upstream_rate_limited', true]] as const) {
      const runtime = new FakeRuntime(hello, code);
      await assert.rejects(generateText({ model: tandem(runtime)('auto'), prompt: 'Hi', maxRetries: 0 }), (error) => {
        assert.ok(APICallError.isInstance(error));
        assert.equal(error.isRetryable, retryable);
        assert.equal((error.data as { error: { code: string } }).error.code, code);
        return true;
      });
    }
    const once = new FakeRuntime(hello, 'policy_violated');
    await assert.rejects(generateText({ model: tandem(once)('auto'), prompt: 'Hi', maxRetries: 3 }));
    assert.equal(once.received.length, 1);
  });
  test('an error within the stream comes after the text so far', async () => {
    const runtime = new FakeRuntime(() => [{ type: 'text', delta: 'so far' }, new TandemError('upstream_truncated', { message: 'Cut.' })]);
    const errors: unknown[] = [];
    const result = streamText({ model: tandem(runtime)('auto'), prompt: 'Hi', onError: ({ error }) => void errors.push(error) });
    let text = '';
    for await (const part of result.fullStream) if (part.type === 'text-delta') text += part.text;
    assert.equal(text, 'so far');
    assert.ok(APICallError.isInstance(errors[0]) && errors[0].statusCode === 502);
  });
  test('an abort reaches the runtime', async () => {
    const runtime = new FakeRuntime(() => Array.from({ length: 10_000 }, () => ({ type: 'text', delta: 'a' }) as const));
    const controller = new AbortController();
    const result = streamText({ model: tandem(runtime)('auto'), prompt: 'Hi', abortSignal: controller.signal });
    let got = 0;
    let aborted = false;
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta' && ++got === 3) controller.abort();
      aborted ||= part.type === 'abort';
    }
    assert.ok(aborted && got < 100, `${got} parts`);
    await new Promise(setImmediate);
    assert.equal(runtime.left, 1);
  });
  test('leaving the stream stops the runtime', async () => {
    const runtime = new FakeRuntime(() => Array.from({ length: 10_000 }, () => ({ type: 'text', delta: 'a' }) as const));
    const { stream } = await tandem(runtime)('auto').doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] });
    const reader = stream.getReader();
    for (let i = 0; i < 4; i++) await reader.read();
    await reader.cancel();
    assert.equal(runtime.left, 1);
  });
});

describe('on a gateway elsewhere', () => {
  let mock: MockOpenAi;
  before(async () => {
    mock = await startMock({ key: 'k', models: ['tandem/auto'] });
  });
  after(() => mock.close());
  test('text, streams, tools, vectors, errors', async () => {
    const provider = remote({ baseURL: mock.url, apiKey: 'k' });
    const model = provider('auto');
    const { text, usage } = await generateText({ model, prompt: 'Tell me about the river.', temperature: 0 });
    assert.ok(text.length > 0 && (usage.outputTokens ?? 0) > 0);
    assert.equal(mock.requests.at(-1)?.body['model'], 'tandem/auto');
    assert.equal(await streamText({ model, prompt: 'Tell me about the river.', temperature: 0 }).text, text);
    const called = await generateText({ model, prompt: 'Please use weather', tools: { weather } });
    assert.deepEqual(called.toolCalls.map(({ toolName, input }) => [toolName, input]), [['weather', { city: 'café' }]]);
    const { embeddings } = await embedMany({ model: provider.embeddingModel('auto'), values: ['a', 'b'] });
    assert.equal(embeddings.length, 2);
    const stranger = remote({ baseURL: mock.url, apiKey: 'wrong' });
    await assert.rejects(generateText({ model: stranger('auto'), prompt: 'Hi', maxRetries: 0 }), (error) => APICallError.isInstance(error) && TandemError.is(error.cause) && error.cause.code === 'upstream_auth');
    await Promise.all([provider.close(), stranger.close()]);
  });
  test('policy and knobs travel in the tandem object', async () => {
    const provider = remote({ baseURL: mock.url, apiKey: 'k' });
    const limits = { places: ['device'], totalMs: 5_000 };
    await generateText({ model: provider('auto'), prompt: 'Hi', providerOptions: { tandem: { objective: 'private', privacyClass: 'confidential', limits, knobs: { threshold: 0.5 } } } });
    assert.deepEqual(mock.requests.at(-1)?.body['tandem'], { objective: 'private', privacy: 'confidential', limits, knobs: { threshold: 0.5 } });
    await streamText({ model: provider('auto'), prompt: 'Hi', providerOptions: { tandem: { privacyClass: 'open' } } }).text;
    assert.deepEqual(mock.requests.at(-1)?.body['tandem'], { privacy: 'open' });
    await generateText({ model: provider('auto'), prompt: 'Hi' });
    assert.equal('tandem' in (mock.requests.at(-1)?.body ?? {}), false);
    await provider.close();
  });
  test('sampling that only Tandem knows travels too', async () => {
    const provider = remote({ baseURL: mock.url, apiKey: 'k' });
    await generateText({ model: provider('auto'), prompt: 'Hi', topK: 3, providerOptions: { tandem: { sampling: { minP: 0.1, repetitionPenalty: 1.1, format: { type: 'grammar', gbnf: 'root ::= "a"' } } } } });
    const { top_k, min_p, repetition_penalty, grammar } = mock.requests.at(-1)?.body ?? {};
    assert.deepEqual([top_k, min_p, repetition_penalty, grammar], [3, 0.1, 1.1, 'root ::= "a"']);
    await provider.close();
  });
  test('a wrong address is named', () => {
    assert.throws(() => remote({ baseURL: 'nowhere' }), (error) => TandemError.is(error) && error.code === 'config_invalid');
  });
});

describe('what protects is never dropped', () => {
  const wrong: readonly (readonly [options: JSONObject, code: ErrorCode, param: string])[] = [
    [{ privacy: 'confidential' }, 'parameter_unknown', 'providerOptions.tandem.privacy'],
    [{ privacyClass: 'Confidential' }, 'parameter_invalid', 'policy.privacyClass'],
    [{ objective: 'cheap' }, 'parameter_invalid', 'policy.objective'],
    [{ limits: { place: ['device'] } }, 'parameter_unknown', 'policy.limits.place'],
    [{ limits: { places: ['home'] } }, 'parameter_invalid', 'policy.limits.places[0]'],
    [{ limits: { costUsdMax: -1 } }, 'parameter_invalid', 'policy.limits.costUsdMax'],
    [{ sampling: { temperature: 99 } }, 'parameter_invalid', 'sampling.temperature'],
    [{ sampling: { temprature: 1 } }, 'parameter_unknown', 'sampling.temprature'],
  ];
  const refused = (code: ErrorCode, param?: string) => (error: unknown): boolean => {
    const known = APICallError.isInstance(error) ? error.cause : error;
    return TandemError.is(known) && known.code === code && (param === undefined || known.param === param);
  };
  let large: FakeMember;
  let runtime: Runtime;
  before(async () => {
    large = fake({ id: 'large', place: 'cloud', answer: { text: 'from the cloud' } }, systemClock);
    runtime = await createTandem({ store: { path: ':memory:' }, gateway: { port: 0 } }, { team: new Team([large]), env: {} });
  });
  after(() => runtime.close());

  test('by the provider', async () => {
    const ask = (options: JSONObject): Promise<unknown> => generateText({ model: tandem(runtime)('large'), prompt: 'Hi', providerOptions: { tandem: options } });
    for (const [options, code, param] of wrong) await assert.rejects(ask(options), refused(code, param), JSON.stringify(options));
    await assert.rejects(ask({ privacyClass: 'confidential' }), refused('policy_violated'));
    assert.equal(large.asked.length, 0);
    await ask({ privacyClass: 'standard', limits: { places: ['cloud'] }, sampling: { temperature: 1 } });
    assert.equal(large.asked.length, 1);
    await assert.rejects(embedMany({ model: tandem(runtime).embeddingModel('embed'), values: ['a'], providerOptions: { tandem: { privacyClass: 'confidential' } } }), refused('parameter_unsupported'));
  });
  test('by ask', async () => {
    const asked = large.asked.length;
    for (const [{ sampling, ...policy }, code, param] of wrong) {
      const options = { model: 'large', ...(sampling === undefined ? { policy } : { sampling }) } as AskOptions;
      await assert.rejects(ask(runtime, 'Hi', options), refused(code, param.replace('providerOptions.tandem', 'policy')), JSON.stringify(options));
    }
    await assert.rejects(ask(runtime, 'Hi', { model: 'large', privacyClass: 'confidential' } as AskOptions), refused('parameter_unknown', 'privacyClass'));
    assert.equal(large.asked.length, asked);
  });
  test('by a provider on a gateway elsewhere', async () => {
    const asked = large.asked.length;
    await withGateway(runtime, async (url) => {
      const provider = remote({ baseURL: `${url}/v1` });
      const ask = (options: JSONObject): Promise<unknown> => generateText({ model: provider('large'), prompt: 'Hi', providerOptions: { tandem: options }, maxRetries: 0 });
      for (const options of [{ privacyClass: 'confidential' }, { limits: { places: ['device'] } }, { limits: { place: ['device'] } }, { privacyClass: 'Confidential' }, { privacy: 'confidential' }, { knobs: { none: 1 } }]) {
        await assert.rejects(ask(options), JSON.stringify(options));
      }
      assert.equal(large.asked.length, asked);
      await ask({ objective: 'cost' });
      assert.equal(large.asked.length, asked + 1);
      await provider.close();
    });
  });
});

describe('on the bundled pair', { skip: existsSync(new URL('../weights/small/model.gguf', import.meta.url)) ? false : 'weights/small/model.gguf is absent' }, () => {
  test('generateText, streamText and a tool call', { timeout: 60_000 }, async () => {
    const provider = tandem({ store: { path: ':memory:' } });
    try {
      const { text, providerMetadata } = await generateText({ model: provider('auto'), prompt: 'Say hello.', maxOutputTokens: 12 });
      assert.ok(text.length > 0);
      assert.match(String(providerMetadata?.['tandem']?.['trace']), /^[0-9a-f]{32}$/);
      let streamed = '';
      for await (const delta of streamText({ model: provider('large'), prompt: 'Say hello.', maxOutputTokens: 12 }).textStream) streamed += delta;
      assert.ok(streamed.length > 0);
      // a closed choice: models this small would fill a free text up to the limit
      const weatherIn = tool({ inputSchema: z.object({ city: z.enum(['Paris', 'Oslo']) }), execute: async ({ city }) => ({ city, degrees: 21 }) });
      const { toolCalls } = await generateText({ model: provider('large'), prompt: 'What is the weather in Paris?', tools: { weather: weatherIn }, toolChoice: 'required', maxOutputTokens: 120 });
      assert.equal(toolCalls[0]?.toolName, 'weather');
      assert.ok(['Paris', 'Oslo'].includes((toolCalls[0]?.input as { readonly city: string }).city), 'the grammar allows nothing else');
    } finally {
      await provider.close();
    }
  });
});
