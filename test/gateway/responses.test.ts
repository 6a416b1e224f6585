/** The Responses, completions, embeddings and models endpoints through the official `openai` client. */
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { TandemError } from '../../src/errors.ts';
import type { Part } from '../../src/exchange.ts';
import { fakeRuntime, text, withGateway } from './fake-runtime.ts';

const client = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

test('a whole response', async () => {
  const runtime = fakeRuntime();
  await withGateway(runtime, async (url) => {
    const response = await client(url).responses.create({ model: 'small', instructions: 'Be brief.', input: 'hi', metadata: { a: 'b' }, max_output_tokens: 50, temperature: 0 });
    assert.equal(response.output_text, 'Hello there.');
    assert.equal(response.status, 'completed');
    assert.deepEqual([(response as unknown as { store: boolean }).store, response.previous_response_id, response.metadata, response.max_output_tokens], [false, null, { a: 'b' }, 50]);
    assert.deepEqual(response.usage, { input_tokens: 7, input_tokens_details: { cached_tokens: 2 }, output_tokens: 5, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 12 });
    assert.deepEqual(runtime.asked[0]?.prompt.messages, [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'hi' }]);
    assert.equal(runtime.asked[0]?.surface, 'responses');
  });
});

test('a streamed response has the events in order, numbered without a gap', async () => {
  const script = (): Part[] => [{ type: 'reasoning', answer: 0, member: 'large', delta: 'hm' }, ...text('Hello', ' there')];
  await withGateway(fakeRuntime(script), async (url) => {
    const events = [];
    for await (const event of await client(url).responses.create({ model: 'small', input: 'hi', stream: true })) events.push(event);
    assert.deepEqual(events.map(({ type }) => type), [
      'response.created', 'response.in_progress',
      'response.output_item.added', 'response.content_part.added', 'response.reasoning_text.delta', 'response.reasoning_text.done', 'response.content_part.done', 'response.output_item.done',
      'response.output_item.added', 'response.content_part.added', 'response.output_text.delta', 'response.output_text.delta', 'response.output_text.done', 'response.content_part.done', 'response.output_item.done',
      'response.completed',
    ]);
    assert.deepEqual(events.map((event) => (event as { sequence_number: number }).sequence_number), events.map((_, index) => index));
    const last = events.at(-1);
    assert.ok(last?.type === 'response.completed');
    assert.deepEqual(last.response.output.map(({ type }) => type), ['reasoning', 'message']);
    assert.equal(last.response.usage?.total_tokens, 12);
    const final = await client(url).responses.stream({ model: 'small', input: 'hi' }).finalResponse();
    assert.equal(final.output_text, 'Hello there');
  });
});

test('function calls: streamed, and the next turn with their output', async () => {
  const script = (received: { prompt: { messages: readonly { role: string }[] } }): Part[] =>
    received.prompt.messages.at(-1)?.role === 'tool'
      ? text('Cold.')
      : [
          { type: 'tool-call', answer: 0, member: 'small', call: 0, id: 'call_1', name: 'weather', argumentsDelta: '{"city":' },
          { type: 'tool-call', answer: 0, member: 'small', call: 0, argumentsDelta: '"Oslo"}' },
          { type: 'finish', answer: 0, member: 'small', reason: 'tool_calls' },
        ];
  const runtime = fakeRuntime(script);
  await withGateway(runtime, async (url) => {
    const openai = client(url);
    const tools = [{ type: 'function' as const, name: 'weather', parameters: { type: 'object' }, strict: true }];
    const stream = openai.responses.stream({ model: 'small', input: 'weather?', tools });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    assert.deepEqual(types.slice(2, -1), ['response.output_item.added', 'response.function_call_arguments.delta', 'response.function_call_arguments.delta', 'response.function_call_arguments.done', 'response.output_item.done']);
    const first = await stream.finalResponse();
    const call = first.output[0];
    assert.ok(call?.type === 'function_call');
    assert.deepEqual([call.call_id, call.name, call.arguments, call.status], ['call_1', 'weather', '{"city":"Oslo"}', 'completed']);
    const input = [{ role: 'user' as const, content: 'weather?' }, { type: 'function_call' as const, call_id: call.call_id, name: call.name, arguments: call.arguments }, { type: 'function_call_output' as const, call_id: call.call_id, output: 'minus 3' }];
    const second = await openai.responses.create({ model: 'small', input, tools });
    assert.equal(second.output_text, 'Cold.');
    assert.deepEqual(runtime.asked.at(-1)?.prompt.messages, [
      { role: 'user', content: 'weather?' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }] },
      { role: 'tool', toolCallId: 'call_1', content: 'minus 3' },
    ]);
  });
});

test('what responses.parse gives may be sent back as input', async () => {
  const script = (): Part[] => [...text('{"a":1}').slice(0, 1), { type: 'tool-call', answer: 0, member: 'small', call: 0, id: 'call_1', name: 'weather', argumentsDelta: '{"city":"Oslo"}' }, { type: 'finish', answer: 0, member: 'small', reason: 'tool_calls' }];
  const runtime = fakeRuntime(script);
  await withGateway(runtime, async (url) => {
    const openai = client(url);
    const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
    const request = { model: 'small', tools: [{ type: 'function' as const, name: 'weather', parameters: { type: 'object' }, strict: true }], text: { format: { type: 'json_schema' as const, name: 'thing', schema, strict: true } } };
    const first = await openai.responses.parse({ ...request, input: 'hi' });
    assert.match(JSON.stringify(first.output), /"parsed":.*"parsed_arguments":/);
    await openai.responses.parse({ ...request, input: [{ role: 'user', content: 'hi' }, ...(first.output as OpenAI.Responses.ResponseInputItem[]), { type: 'function_call_output', call_id: 'call_1', output: 'minus 3' }] });
    assert.deepEqual(runtime.asked.at(-1)?.prompt.messages, [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: '{"a":1}', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }] },
      { role: 'tool', toolCallId: 'call_1', content: 'minus 3' },
    ]);
  });
});

test('structured output, log-probabilities and an answer cut off', async () => {
  const script = (): Part[] => [
    { type: 'text', answer: 0, member: 'small', delta: '{"a":1}', tokens: [{ text: '{"a":1}', logprob: -0.5, top: [] }] },
    { type: 'finish', answer: 0, member: 'small', reason: 'length' },
  ];
  const runtime = fakeRuntime(script);
  await withGateway(runtime, async (url) => {
    const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
    const response = await client(url).responses.create({ model: 'small', input: [{ role: 'user', content: [{ type: 'input_text', text: 'x' }] }], text: { format: { type: 'json_schema', name: 'thing', schema, strict: true } }, include: ['message.output_text.logprobs'], top_logprobs: 2 });
    assert.equal(response.status, 'incomplete');
    assert.equal(response.incomplete_details?.reason, 'max_output_tokens');
    const item = response.output[0];
    assert.ok(item?.type === 'message' && item.content[0]?.type === 'output_text');
    assert.equal(item.content[0].logprobs?.[0]?.logprob, -0.5);
    assert.deepEqual(runtime.asked[0]?.sampling.format, { type: 'json-schema', name: 'thing', schema, strict: true });
    assert.equal(runtime.asked[0]?.sampling.topLogprobs, 2);
  });
});

test('only a completed response says when it was completed', async () => {
  for (const [reason, status] of [['stop', 'completed'], ['length', 'incomplete'], ['content_filter', 'incomplete']] as const) {
    await withGateway(fakeRuntime(() => [...text('a').slice(0, 1), { type: 'finish', answer: 0, member: 'small', reason }]), async (url) => {
      const openai = client(url);
      const request = { model: 'small', input: 'hi' };
      const streamed = [];
      for await (const event of await openai.responses.create({ ...request, stream: true })) if ('response' in event) streamed.push(event.response);
      const [first, last] = [streamed[0], streamed.at(-1)];
      for (const response of [await openai.responses.create(request), last]) {
        assert.equal(response?.status, status);
        assert.equal(typeof response.completed_at, status === 'completed' ? 'number' : 'object');
      }
      assert.equal(first?.completed_at, null);
    });
  }
});

test('a failure in mid-stream: response.failed, then the client throws', async () => {
  const runtime = fakeRuntime(async function* () {
    yield { type: 'text', answer: 0, member: 'small', delta: 'Hel' };
    throw new TandemError('upstream_truncated', { message: 'The stream of large ended early.' });
  });
  await withGateway(runtime, async (url) => {
    const types: string[] = [];
    await assert.rejects(async () => {
      for await (const event of await client(url).responses.create({ model: 'small', input: 'hi', stream: true })) types.push(event.type);
    }, (error: unknown) => error instanceof OpenAI.APIError && error.code === 'upstream_truncated');
    assert.equal(types.at(-1), 'response.failed');
  });
});

test('legacy completions: whole, echo, streamed, log-probabilities', async () => {
  const script = (): Part[] => [
    { type: 'text', answer: 0, member: 'small', delta: ' a', tokens: [{ text: ' a', logprob: -1, top: [{ text: ' a', logprob: -1 }] }] },
    { type: 'text', answer: 0, member: 'small', delta: ' b', tokens: [{ text: ' b', logprob: -2, top: [] }] },
    { type: 'finish', answer: 0, member: 'small', reason: 'stop' },
  ];
  const runtime = fakeRuntime(script);
  await withGateway(runtime, async (url) => {
    const openai = client(url);
    const echoed = await openai.completions.create({ model: 'small', prompt: 'once', echo: true });
    assert.equal(echoed.choices[0]?.text, 'once a b');
    assert.equal(runtime.asked[0]?.prompt.text, 'once');
    const scored = await openai.completions.create({ model: 'small', prompt: ['once'], logprobs: 1 });
    assert.deepEqual(scored.choices[0]?.logprobs, { tokens: [' a', ' b'], token_logprobs: [-1, -2], top_logprobs: [{ ' a': -1 }, {}], text_offset: [0, 2] });
    let got = '';
    const offsets: number[] = [];
    for await (const chunk of await openai.completions.create({ model: 'small', prompt: 'once', stream: true, logprobs: 0 })) {
      got += chunk.choices[0]?.text ?? '';
      offsets.push(...(chunk.choices[0]?.logprobs?.text_offset ?? []));
    }
    assert.equal(got, ' a b');
    assert.deepEqual(offsets, [0, 2]);
  });
});

test('embeddings, as numbers and as base64', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const openai = client(url);
    const { data, response } = await openai.embeddings.create({ model: 'small', input: ['ab', 'abcd'], dimensions: 3, encoding_format: 'float' }).withResponse();
    assert.deepEqual(data.data.map(({ embedding }) => embedding), [[0.25, 0.375, 0.5], [0.5, 0.625, 0.75]]);
    assert.equal(data.usage.prompt_tokens, 2);
    assert.match(response.headers.get('x-tandem-trace') ?? '', /^[0-9a-f]{32}$/);
    const plain = await openai.embeddings.create({ model: 'small', input: 'ab' });
    assert.deepEqual(plain.data[0]?.embedding, [0.25, 0.375, 0.5, 0.625]);
  });
});

test('models are listed and shown', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const openai = client(url);
    const ids: string[] = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ['tandem/auto', 'tandem/cascade', 'small', 'large']);
    assert.equal((await openai.models.retrieve('tandem/cascade')).id, 'tandem/cascade');
    await assert.rejects(openai.models.retrieve('nobody'), OpenAI.NotFoundError);
  });
});
