/** The gateway over the real runtime with the bundled pair, through the official `openai` client and the AI SDK. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText, tool, type LanguageModel } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';
import { createTandem as tandemProvider } from '../../src/ai-sdk/provider.ts';
import { createGateway } from '../../src/gateway/index.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const missing = ['weights/small/model.gguf', 'weights/large/model.gguf', 'src/models/llama/index.ts'].find((path) => !existsSync(join(root, path)));
const skip = missing === undefined ? false : `${missing} is not there`;

async function withPair(use: (openai: OpenAI, runtime: Runtime, url: string) => Promise<void>): Promise<void> {
  const runtime = await createTandem({ gateway: { port: 0 }, store: { path: ':memory:' } }, { baseDir: root });
  const gateway = createGateway(runtime);
  const { url } = await gateway.listen();
  try {
    await use(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }), runtime, url);
  } finally {
    await gateway.close();
    await runtime.close();
  }
}

const messages = [{ role: 'user' as const, content: 'Say hello.' }];

test('the bundled pair behind every endpoint', { skip, timeout: 60_000 }, async (t) => {
  await withPair(async (openai, runtime, url) => {
    await t.test('chat, whole, with explanation', async () => {
      const { data, response } = await openai.chat.completions.create({ model: 'tandem/small', messages, max_completion_tokens: 12, temperature: 0, ...{ tandem: { explain: true } } }).withResponse();
      assert.equal(typeof data.choices[0]?.message.content, 'string');
      assert.ok((data.usage?.completion_tokens ?? 0) > 0 && (data.usage?.completion_tokens ?? 0) <= 12);
      const { tandem } = data as unknown as { tandem: { shares: Record<string, number> } };
      assert.deepEqual(Object.keys(tandem.shares), ['small']);
      const trace = response.headers.get('x-tandem-trace') ?? '';
      const shown = (await (await fetch(`${url}/tandem/traces/${trace}`)).json()) as { outcome: string; spans: { kind: string; member?: string; error?: string }[] };
      assert.equal(shown.outcome, 'ok');
      assert.ok(shown.spans.every(({ error }) => error === undefined), 'no span of a good answer failed');
      assert.ok(shown.spans.some(({ kind, member }) => kind === 'call' && member === 'small'));
    });
    await t.test('the same seed gives the same answer, streamed or not', async () => {
      const ask = { model: 'large', messages, max_completion_tokens: 16, temperature: 0.9, seed: 7 };
      const whole = await openai.chat.completions.create(ask);
      let streamed = '';
      let reason: string | null = null;
      for await (const chunk of await openai.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
        streamed += chunk.choices[0]?.delta.content ?? '';
        reason = chunk.choices[0]?.finish_reason ?? reason;
      }
      assert.equal(streamed, whole.choices[0]?.message.content);
      assert.equal(reason, whole.choices[0]?.finish_reason);
    });
    await t.test('log-probabilities are real ones', async () => {
      const { choices } = await openai.chat.completions.create({ model: 'small', messages, max_completion_tokens: 4, temperature: 0, logprobs: true, top_logprobs: 3 });
      const tokens = choices[0]?.logprobs?.content ?? [];
      assert.ok(tokens.length > 0);
      for (const { logprob, top_logprobs } of tokens) {
        assert.ok(logprob <= 0 && Number.isFinite(logprob));
        assert.equal(top_logprobs.length, 3);
        assert.ok(top_logprobs.every((other, index) => index === 0 || other.logprob <= (top_logprobs[index - 1]?.logprob ?? 0)));
      }
    });
    await t.test('the bytes of tokens are those of the text, also where characters are cut', async () => {
      const ask = { model: 'large', messages, temperature: 0, logprobs: true, ...{ grammar: 'root ::= "日本🦊é"' } };
      const [choice] = (await openai.chat.completions.create(ask)).choices;
      assert.equal(choice?.message.content, '日本🦊é');
      const tokens = choice?.logprobs?.content ?? [];
      assert.deepEqual(tokens.flatMap(({ bytes }) => bytes ?? []), [...Buffer.from('日本🦊é')]);
      assert.ok(tokens.some(({ token }) => token.startsWith('bytes:\\x')));
      const streamed: unknown[] = [];
      for await (const chunk of await openai.chat.completions.create({ ...ask, stream: true })) streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
      assert.deepEqual(streamed, tokens);
    });
    await t.test('structured output holds to its schema', async () => {
      const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false };
      const { choices } = await openai.chat.completions.create({ model: 'small', messages, max_completion_tokens: 60, temperature: 0, response_format: { type: 'json_schema', json_schema: { name: 'verdict', schema, strict: true } } });
      if (choices[0]?.finish_reason === 'stop') assert.equal(typeof (JSON.parse(choices[0].message.content ?? '') as { ok: unknown }).ok, 'boolean');
    });
    await t.test('a tool that must be called is called, with arguments of its schema, streamed or not', async () => {
      const parameters = { type: 'object', properties: { unit: { enum: ['celsius', 'kelvin'] } }, required: ['unit'], additionalProperties: false };
      const ask = { model: 'small', messages, max_completion_tokens: 100, temperature: 0, tools: [{ type: 'function' as const, function: { name: 'weather', description: 'The weather.', parameters, strict: true } }], tool_choice: 'required' as const };
      const { choices } = await openai.chat.completions.create(ask);
      const [call] = choices[0]?.message.tool_calls ?? [];
      assert.ok(call?.type === 'function' && call.function.name === 'weather' && call.id !== '');
      assert.equal(choices[0]?.finish_reason, 'tool_calls');
      assert.ok(['celsius', 'kelvin'].includes((JSON.parse(call.function.arguments) as { unit: string }).unit), call.function.arguments);
      const streamed = await openai.chat.completions.stream(ask).finalChatCompletion();
      assert.deepEqual(streamed.choices[0]?.message.tool_calls?.map((each) => each.type === 'function' && [each.function.name, each.function.arguments]), [['weather', call.function.arguments]]);
      const after = await openai.chat.completions.create({ ...ask, tool_choice: 'none', max_completion_tokens: 8, messages: [...messages, choices[0].message, { role: 'tool', tool_call_id: call.id, content: '21 degrees' }] });
      assert.deepEqual([typeof after.choices[0]?.message.content, after.choices[0]?.message.tool_calls], ['string', undefined]);
    });
    await t.test('the AI SDK, with a provider of its own and with Tandem\'s', async () => {
      const own = tandemProvider({ baseURL: `${url}/v1` });
      const providers: readonly (readonly [string, (id: string) => LanguageModel])[] = [['compatible', createOpenAICompatible({ name: 'tandem', baseURL: `${url}/v1`, includeUsage: true })], ['tandem', own]];
      const expected = (await openai.chat.completions.create({ model: 'small', messages, max_completion_tokens: 12, temperature: 0 })).choices[0]?.message.content;
      for (const [name, provider] of providers) {
        const ask = { model: provider('small'), prompt: 'Say hello.', temperature: 0, maxOutputTokens: 12, maxRetries: 0 };
        const { text, usage } = await generateText(ask);
        assert.equal(text, expected, name);
        assert.ok((usage.outputTokens ?? 0) > 0 && (usage.outputTokens ?? 0) <= 12, name);
        assert.equal(await streamText(ask).text, expected, `${name}, streamed`);
        const weather = tool({ description: 'The weather.', inputSchema: z.object({ unit: z.enum(['celsius', 'kelvin']) }), execute: async () => '21 degrees' });
        const { toolCalls } = await generateText({ ...ask, maxOutputTokens: 100, tools: { weather }, toolChoice: 'required' });
        assert.deepEqual(toolCalls.map(({ toolName }) => toolName), ['weather'], name);
        assert.ok(['celsius', 'kelvin'].includes((toolCalls[0]?.input as { unit: string }).unit), name);
      }
      await own.close();
    });
    await t.test('every recipe that this team can run answers', async () => {
      for (const { id, kind } of runtime.models()) {
        if (kind !== 'recipe') continue;
        const { choices } = await openai.chat.completions.create({ model: id, messages, max_completion_tokens: 8, temperature: 0 });
        assert.ok(['stop', 'length'].includes(choices[0]?.finish_reason ?? ''), id);
      }
    });
    await t.test('responses and completions', async () => {
      const events: string[] = [];
      for await (const event of await openai.responses.create({ model: 'tandem/auto', input: 'Say hello.', max_output_tokens: 16, stream: true })) events.push(event.type);
      assert.equal(events[0], 'response.created');
      assert.ok(['response.completed', 'response.incomplete'].includes(events.at(-1) ?? ''));
      const { choices, usage } = await openai.completions.create({ model: 'small', prompt: 'Once upon a time', max_tokens: 6, temperature: 0 });
      assert.equal(typeof choices[0]?.text, 'string');
      assert.ok((usage?.completion_tokens ?? 0) <= 6);
    });
    await t.test('errors keep their class', async () => {
      const { data, usage } = await openai.embeddings.create({ model: 'small', input: ['play some jazz', 'play some music', 'what is my balance'] });
      assert.ok(usage.prompt_tokens > 0);
      const [jazz, music, balance] = data.map(({ embedding }) => embedding) as [number[], number[], number[]];
      const dot = (a: number[], b: number[]): number => a.reduce((sum, x, index) => sum + x * (b[index] ?? 0), 0);
      assert.ok(Math.abs(dot(jazz, jazz) - 1) < 1e-3, 'unit length');
      assert.ok(dot(jazz, music) > dot(jazz, balance), 'nearer in meaning, nearer in space');
      await assert.rejects(openai.embeddings.create({ model: 'large', input: 'x' }), (error: unknown) => error instanceof OpenAI.BadRequestError && error.code === 'ability_missing');
      await assert.rejects(openai.chat.completions.create({ model: 'small', messages, ...{ tandem: { knobs: { nonsense: 1 } } } }), (error: unknown) => error instanceof OpenAI.BadRequestError && error.code === 'knob_invalid');
    });
    await t.test('a client that goes away frees its model', async () => {
      const ended = new Promise<string>((resolve) => runtime.onTrace(({ outcome }) => resolve(outcome)));
      const abort = new AbortController();
      const stream = await openai.chat.completions.create({ model: 'large', messages, max_completion_tokens: 400, temperature: 1.5, seed: 1, stream: true }, { signal: abort.signal });
      for await (const _ of stream) break;
      abort.abort();
      // A short answer can be over before the client has left.
      assert.ok(['cancelled', 'ok'].includes(await ended));
      const { choices } = await openai.chat.completions.create({ model: 'large', messages, max_completion_tokens: 4 });
      assert.equal(choices.length, 1);
    });
  });
});
