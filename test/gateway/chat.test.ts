/** The chat endpoint through the official `openai` client. */
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { TandemError } from '../../src/errors.ts';
import type { Part } from '../../src/exchange.ts';
import { fakeRuntime, text, withGateway } from './fake-runtime.ts';

const client = (url: string, apiKey = 'none'): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'hi' }];

test('a whole answer, with usage, headers and explanation', async () => {
  const runtime = fakeRuntime();
  await withGateway(runtime, async (url) => {
    const { data, response } = await client(url).chat.completions.create({ model: 'tandem/cascade', messages, ...{ tandem: { explain: true } } }).withResponse();
    assert.equal(data.choices[0]?.message.content, 'Hello there.');
    assert.equal(data.choices[0]?.finish_reason, 'stop');
    assert.equal(data.object, 'chat.completion');
    assert.equal(data.model, 'tandem/cascade');
    assert.deepEqual(data.usage, { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12, prompt_tokens_details: { cached_tokens: 2 } });
    const trace = response.headers.get('x-tandem-trace');
    assert.match(trace ?? '', /^[0-9a-f]{32}$/);
    assert.equal(response.headers.get('x-tandem-recipe'), 'cascade');
    assert.equal(response.headers.get('x-tandem-cost-usd'), '0.00125');
    const { tandem } = data as unknown as { tandem: { trace: string; shares: object; decisions: { name: string }[]; costUsd: number } };
    assert.equal(tandem.trace, trace);
    assert.deepEqual(tandem.shares, { small: 3 });
    assert.equal(tandem.decisions[0]?.name, 'cascade.accept');
  });
});

test('a stream: role first, then text, finish, usage with empty choices, [DONE]', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const stream = await client(url).chat.completions.create({ model: 'small', messages, stream: true, stream_options: { include_usage: true } });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(chunks[0]?.choices[0]?.delta, { role: 'assistant', content: '', refusal: null });
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), 'Hello there.');
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, 'stop');
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 12);
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));

    const raw = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages, stream: true }) });
    const body = await raw.text();
    assert.match(raw.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.ok(body.endsWith('data: [DONE]\n\n'));
    assert.ok(!body.includes('"usage"'), 'usage comes only when it is asked for');
  });
});

test('the streaming helper of the client gathers the same answer', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const final = await client(url).chat.completions.stream({ model: 'small', messages }).finalChatCompletion();
    assert.equal(final.choices[0]?.message.content, 'Hello there.');
  });
});

test('a refusal of a member is the message\'s refusal, whole and streamed', async () => {
  const refusing: Part[] = [...['I cannot ', 'do that.'].map((delta): Part => ({ type: 'text', answer: 0, member: 'large', delta, refusal: true })), { type: 'finish', answer: 0, member: 'large', reason: 'stop' }];
  await withGateway(fakeRuntime(() => refusing), async (url) => {
    const whole = await client(url).chat.completions.create({ model: 'large', messages });
    assert.deepEqual([whole.choices[0]?.message.content, whole.choices[0]?.message.refusal], [null, 'I cannot do that.']);
    const final = await client(url).chat.completions.stream({ model: 'large', messages }).finalChatCompletion();
    assert.equal(final.choices[0]?.message.refusal, 'I cannot do that.');
    const response = await client(url).responses.create({ model: 'large', input: 'hi' });
    assert.ok(response.output[0]?.type === 'message');
    assert.deepEqual(response.output[0].content, [{ type: 'refusal', refusal: 'I cannot do that.' }]);
    const types: string[] = [];
    for await (const event of await client(url).responses.create({ model: 'large', input: 'hi', stream: true })) types.push(event.type);
    assert.deepEqual(types.slice(2, -1), ['response.output_item.added', 'response.content_part.added', 'response.refusal.delta', 'response.refusal.delta', 'response.refusal.done', 'response.content_part.done', 'response.output_item.done']);
    const gathered = await client(url).responses.stream({ model: 'large', input: 'hi' }).finalResponse();
    assert.ok(gathered.output[0]?.type === 'message' && gathered.output[0].content[0]?.type === 'refusal');
    assert.equal((await client(url).completions.create({ model: 'large', prompt: 'hi' })).choices[0]?.text, 'I cannot do that.');
  });
});

const toolParts: Part[] = [
  { type: 'tool-call', answer: 0, member: 'small', call: 0, id: 'call_1', name: 'weather', argumentsDelta: '' },
  { type: 'tool-call', answer: 0, member: 'small', call: 0, argumentsDelta: '{"city":' },
  { type: 'tool-call', answer: 0, member: 'small', call: 0, argumentsDelta: '"Oslo"}' },
  { type: 'tool-call', answer: 0, member: 'small', call: 1, id: 'call_2', name: 'time', argumentsDelta: '{}' },
  { type: 'finish', answer: 0, member: 'small', reason: 'tool_calls' },
];
const tools = [{ type: 'function' as const, function: { name: 'weather', description: 'of a city', parameters: { type: 'object' }, strict: true } }, { type: 'function' as const, function: { name: 'time' } }];

test('tools: whole, streamed, and a second turn with the result', async () => {
  const runtime = fakeRuntime((received) => (received.prompt.messages.at(-1)?.role === 'tool' ? text('Cold.') : toolParts));
  await withGateway(runtime, async (url) => {
    const openai = client(url);
    const first = await openai.chat.completions.create({ model: 'small', messages, tools, tool_choice: { type: 'function', function: { name: 'weather' } }, parallel_tool_calls: true });
    const message = first.choices[0]?.message;
    assert.equal(message?.content, null);
    assert.deepEqual(message?.tool_calls?.[0], { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } });
    assert.equal(first.choices[0]?.finish_reason, 'tool_calls');
    assert.deepEqual(runtime.asked[0]?.prompt.toolChoice, { name: 'weather' });
    assert.equal(runtime.asked[0]?.prompt.tools?.[0]?.strict, true);

    const streamed = await openai.chat.completions.stream({ model: 'small', messages, tools }).finalChatCompletion();
    assert.deepEqual(streamed.choices[0]?.message.tool_calls?.map((call) => (call.type === 'function' ? call.function.arguments : '')), ['{"city":"Oslo"}', '{}']);

    assert.ok(message !== undefined);
    const second = await openai.chat.completions.create({ model: 'small', messages: [...messages, message, { role: 'tool', tool_call_id: 'call_1', content: 'minus 3' }], tools });
    assert.equal(second.choices[0]?.message.content, 'Cold.');
    assert.deepEqual(runtime.asked[2]?.prompt.messages.at(-1), { role: 'tool', content: 'minus 3', toolCallId: 'call_1' });
    assert.equal(runtime.asked[2]?.prompt.messages.at(-2)?.toolCalls?.length, 2);
  });
});

test('structured output reaches the members and parses', async () => {
  const runtime = fakeRuntime(() => text('{"a":', '1}'));
  await withGateway(runtime, async (url) => {
    const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
    const parsed = await client(url).chat.completions.parse({ model: 'small', messages, response_format: { type: 'json_schema', json_schema: { name: 'thing', schema, strict: true } } });
    assert.deepEqual(parsed.choices[0]?.message.parsed, { a: 1 });
    assert.deepEqual(runtime.asked[0]?.sampling.format, { type: 'json-schema', name: 'thing', schema, strict: true });
  });
});

test('what chat.completions.parse gives may be sent back', async () => {
  const script = (): Part[] => [...text('{"a":1}').slice(0, 1), { type: 'tool-call', answer: 0, member: 'small', call: 0, id: 'call_1', name: 'weather', argumentsDelta: '{"city":"Oslo"}' }, { type: 'finish', answer: 0, member: 'small', reason: 'tool_calls' }];
  const runtime = fakeRuntime(script);
  await withGateway(runtime, async (url) => {
    const openai = client(url);
    const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
    const request = { model: 'small', tools: [{ type: 'function' as const, function: { name: 'weather', parameters: { type: 'object' }, strict: true } }], response_format: { type: 'json_schema' as const, json_schema: { name: 'thing', schema, strict: true } } };
    const first = (await openai.chat.completions.parse({ ...request, messages })).choices[0]?.message;
    assert.ok(first !== undefined);
    assert.match(JSON.stringify(first), /"parsed_arguments":.*"parsed":/);
    await openai.chat.completions.parse({ ...request, messages: [...messages, first, { role: 'tool', tool_call_id: 'call_1', content: 'minus 3' }] });
    assert.deepEqual(runtime.asked.at(-1)?.prompt.messages[1], { role: 'assistant', content: '{"a":1}', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }] });
  });
});

test('several answers and log-probabilities, whole and streamed', async () => {
  const script = (): Part[] => [0, 1].flatMap((answer): Part[] => [
    { type: 'text', answer, member: 'small', delta: `é${answer}`, tokens: [{ text: 'é', logprob: -0.1, top: [{ text: 'é', logprob: -0.1 }, { text: 'x', logprob: -3 }] }, { text: String(answer), logprob: -Infinity }] },
    { type: 'finish', answer, member: 'small', reason: 'length' },
  ]);
  await withGateway(fakeRuntime(script), async (url) => {
    const openai = client(url);
    const whole = await openai.chat.completions.create({ model: 'small', messages, n: 2, logprobs: true, top_logprobs: 1 });
    assert.deepEqual(whole.choices.map((choice) => [choice.message.content, choice.finish_reason]), [['é0', 'length'], ['é1', 'length']]);
    assert.deepEqual(whole.choices[0]?.logprobs?.content?.[0], { token: 'é', logprob: -0.1, bytes: [195, 169], top_logprobs: [{ token: 'é', logprob: -0.1, bytes: [195, 169] }] });
    assert.equal(whole.choices[0]?.logprobs?.content?.[1]?.logprob, -9999);
    const tokens: (string | undefined)[] = [];
    for await (const chunk of await openai.chat.completions.create({ model: 'small', messages, n: 2, logprobs: true, stream: true })) {
      if (chunk.choices[0]?.logprobs) tokens.push(chunk.choices[0].logprobs.content?.map(({ token }) => token).join('|'));
    }
    assert.deepEqual(tokens, ['é|0', 'é|1']);
  });
});

test('tokens that are part of a character are shown by their bytes, as long as those fit the text', async () => {
  const tokens = [
    { text: '', logprob: -1, bytes: [230, 151], top: [{ text: '\uFFFD', logprob: -1, bytes: [230, 151] }, { text: 'x', logprob: -3 }] },
    { text: '日"', logprob: -2, bytes: [165, 34] },
    { text: 'bytes: \\xe6', logprob: -2, bytes: [32, 230] },
    { text: '本a', logprob: -2, bytes: [172, 97, 98] },
  ];
  const script = (): Part[] => [{ type: 'text', answer: 0, member: 'small', delta: '日" 本a', tokens }, { type: 'finish', answer: 0, member: 'small', reason: 'stop' }];
  const shown = [['bytes:\\xe6\\x97', [230, 151]], ['bytes:\\xa5"', [165, 34]], ['bytes: \\xe6', [32, 230]], ['本a', [...Buffer.from('本a')]]];
  await withGateway(fakeRuntime(script), async (url) => {
    const openai = client(url);
    const { choices } = await openai.chat.completions.create({ model: 'small', messages, logprobs: true, top_logprobs: 2 });
    assert.deepEqual(choices[0]?.logprobs?.content?.map(({ token, bytes }) => [token, bytes]), shown);
    assert.deepEqual(choices[0]?.logprobs?.content?.[0]?.top_logprobs.map(({ token, bytes }) => [token, bytes]), [shown[0], ['x', [120]]]);
    const legacy = await openai.completions.create({ model: 'small', prompt: 'a', logprobs: 2 });
    assert.deepEqual(legacy.choices[0]?.logprobs?.tokens, shown.map(([token]) => token));
    assert.deepEqual(legacy.choices[0]?.logprobs?.top_logprobs?.[0], { 'bytes:\\xe6\\x97': -1, x: -3 });
  });
});

test('every sampling parameter arrives under our name', async () => {
  const runtime = fakeRuntime();
  await withGateway(runtime, async (url) => {
    await client(url).chat.completions.create({
      model: 'small', messages: [{ role: 'developer', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }] }, { role: 'user', content: [{ type: 'text', text: 'look' }, { type: 'image_url', image_url: { url: 'data:x' } }] }],
      temperature: 0.5, top_p: 0.9, presence_penalty: 1, frequency_penalty: -1, stop: ['x', 'y'], seed: 2 ** 40 + 5, logit_bias: { 12: -5 }, max_completion_tokens: 9, reasoning_effort: 'low', user: 'u1', store: false, metadata: { a: 'b' },
      ...{ top_k: 40, min_p: 0.1, repetition_penalty: 1.1, grammar: 'root ::= "x"', tandem: { objective: 'cost', privacy: 'confidential', limits: { costUsdMax: 1, totalMs: 1000, places: ['device'], members: ['small'] }, knobs: { threshold: 0.5 }, recipe: 'cascade' } },
    });
    const asked = runtime.asked[0];
    const { seed, ...rest } = asked?.sampling ?? {};
    assert.ok(Number.isInteger(seed) && Math.abs(seed ?? 0) <= 2 ** 31);
    assert.deepEqual(rest, { temperature: 0.5, topP: 0.9, presencePenalty: 1, frequencyPenalty: -1, stop: ['x', 'y'], logitBias: { 12: -5 }, tokensMax: 9, reasoningEffort: 'low', topK: 40, minP: 0.1, repetitionPenalty: 1.1, format: { type: 'grammar', gbnf: 'root ::= "x"' } });
    assert.equal(asked?.model, 'tandem/cascade');
    assert.deepEqual(asked?.policy, { objective: 'cost', privacyClass: 'confidential', limits: { costUsdMax: 1, totalMs: 1000, places: ['device'], members: ['small'] } });
    assert.deepEqual(asked?.knobs, { threshold: 0.5 });
    assert.deepEqual(asked?.prompt.messages[0], { role: 'system', content: 'a\nb' });
    assert.equal(asked?.prompt.messages[1]?.attachments?.[0]?.type, 'image_url');
    assert.equal(asked?.user, 'u1');
  });
});

test('a failure before the first part is an error reply, one in mid-stream an error event', async () => {
  const failing = (early: boolean) => async function* (): AsyncGenerator<Part> {
    if (!early) yield { type: 'text', answer: 0, member: 'small', delta: 'Hel' };
    throw new TandemError('upstream_failed', { message: 'The server of large answered 500.' });
  };
  await withGateway(fakeRuntime(failing(true)), async (url) => {
    await assert.rejects(client(url).chat.completions.create({ model: 'small', messages, stream: true }), (error: unknown) => error instanceof OpenAI.InternalServerError && error.status === 502 && error.code === 'upstream_failed');
  });
  await withGateway(fakeRuntime(failing(false)), async (url) => {
    const stream = await client(url).chat.completions.create({ model: 'small', messages, stream: true });
    let got = '';
    await assert.rejects(async () => {
      for await (const chunk of stream) got += chunk.choices[0]?.delta.content ?? '';
    }, (error: unknown) => error instanceof OpenAI.APIError && error.code === 'upstream_failed');
    assert.equal(got, 'Hel');
  });
});

test('errors map to the client\'s exception classes', async () => {
  const cases: [string, object, number][] = [
    ['BadRequestError', { model: 'small', messages: [] }, 400],
    ['NotFoundError', { model: 'nobody', messages }, 404],
    ['BadRequestError', { model: 'small', messages, temperature: 3 }, 400],
  ];
  await withGateway(fakeRuntime(), async (url) => {
    for (const [name, body, status] of cases) {
      await assert.rejects(client(url).chat.completions.create(body as never), (error: unknown) => error instanceof OpenAI.APIError && error.constructor.name === name && error.status === status, name);
    }
  });
  const keyed = { gateway: { keys: [{ name: 'a', keyEnv: 'K', models: ['small'], requestsPerMinute: 1 }] } };
  await withGateway(fakeRuntime(undefined, keyed, { K: 'secret' }), async (url) => {
    await assert.rejects(client(url, 'wrong').chat.completions.create({ model: 'small', messages }), OpenAI.AuthenticationError);
    await assert.rejects(client(url, 'secret').chat.completions.create({ model: 'large', messages }), OpenAI.PermissionDeniedError);
    await client(url, 'secret').chat.completions.create({ model: 'small', messages });
    await assert.rejects(client(url, 'secret').chat.completions.create({ model: 'small', messages }), (error: unknown) => error instanceof OpenAI.RateLimitError && Number(error.headers.get('retry-after')) >= 1);
  });
});

for (const streaming of [true, false]) {
  test(`a client that goes away stops the work at once (${streaming ? 'streamed' : 'whole'})`, async () => {
    let stoppedMs: number | undefined;
    let started: (() => void) | undefined;
    const running = new Promise<void>((resolve) => (started = resolve));
    const runtime = fakeRuntime(async function* (_received, signal) {
      yield { type: 'text', answer: 0, member: 'small', delta: 'a' };
      started?.();
      await new Promise<void>((_, reject) => signal.addEventListener('abort', () => { stoppedMs = performance.now(); reject(signal.reason); }));
    });
    await withGateway(runtime, async (url) => {
      const abort = new AbortController();
      const asked = client(url).chat.completions.create({ model: 'small', messages, stream: streaming }, { signal: abort.signal });
      const outcome = asked.then(async (answer) => { if ('controller' in answer) for await (const _ of answer) if (abort.signal.aborted) break; }).catch(() => undefined);
      await running;
      const leftMs = performance.now();
      abort.abort();
      while (stoppedMs === undefined && performance.now() - leftMs < 5_000) await new Promise((resolve) => setTimeout(resolve, 2));
      assert.ok(stoppedMs !== undefined, 'the signal was aborted');
      await outcome;
      while (runtime.store.records.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      assert.equal(runtime.store.records[0]?.outcome, 'cancelled');
    });
  });
}
