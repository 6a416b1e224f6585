import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsOf } from '../../../test/conformance/settings.ts';
import { TandemError } from '../../errors.ts';
import type { Prompt, Sampling } from '../../exchange.ts';
import { answerRequest, honoured } from './body.ts';
import type { OpenAiSettings } from './body.ts';
import { scoredTokens, scoringRequest } from './scoring.ts';

type Fields = Partial<Parameters<typeof settingsOf<'openai'>>[0]>;
const settings = (fields: Fields = {}): OpenAiSettings => settingsOf<'openai'>({ engine: 'openai', model: 'm', baseUrl: 'http://x/v1', ...fields });
const says = (more: Partial<Prompt<string>> = {}): Prompt<string> => ({ messages: [{ role: 'user', content: 'hi' }], ...more });
/** What goes over the wire. */
const sent = (prompt: Prompt<string>, sampling: Sampling = {}, fields: Fields = {}): Record<string, unknown> => JSON.parse(JSON.stringify(answerRequest('it', settings(fields), prompt, sampling).fields)) as Record<string, unknown>;
const refused = (code: string, param?: string) => (error: unknown): boolean => TandemError.is(error) && error.code === code && (param === undefined || error.param === param);

test('every sampling field under its name on the wire', () => {
  const all: Sampling = { tokensMax: 5, temperature: 0, topP: 0.5, topK: 4, minP: 0.1, presencePenalty: 1, frequencyPenalty: -1, repetitionPenalty: 1.1, seed: 0, logitBias: { 5: -100 }, stop: ['a'], topLogprobs: 2, reasoningEffort: 'low', format: { type: 'json-schema', name: 'n', schema: { type: 'object' }, strict: true } };
  const body = sent(says(), all, { logprobs: true, promptLogprobs: 'vllm' });
  assert.deepEqual(body, {
    model: 'm', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5, temperature: 0, top_p: 0.5, top_k: 4, min_p: 0.1, presence_penalty: 1, frequency_penalty: -1, repetition_penalty: 1.1, seed: 0,
    logit_bias: { 5: -100 }, stop: ['a'], logprobs: true, top_logprobs: 2, reasoning_effort: 'low', response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
  });
  assert.deepEqual(sent(says()), { model: 'm', messages: [{ role: 'user', content: 'hi' }] }, 'nothing that was not asked for');
  assert.equal(sent(says(), { tokensMax: 5 }, { tokensMaxField: 'max_completion_tokens' })['max_completion_tokens'], 5);
});

test('what OpenAI does not know is refused where the server is not said to take it, by its public name', () => {
  for (const [sampling, param] of [[{ topK: 1 }, 'top_k'], [{ minP: 0.1 }, 'min_p'], [{ repetitionPenalty: 2 }, 'repetition_penalty'], [{ format: { type: 'grammar', gbnf: 'root ::= "a"' } }, 'grammar']] as const) {
    assert.throws(() => sent(says(), sampling), refused('parameter_unsupported', param));
  }
  assert.throws(() => sent(says(), { topLogprobs: 0 }), refused('ability_missing', 'logprobs'));
  assert.throws(() => sent(says(), { topLogprobs: 6 }, { logprobs: true, topLogprobsMax: 5 }), refused('parameter_unsupported', 'top_logprobs'));
  assert.ok(honoured(settings({ continuesPrefix: 'vllm' })).includes('minP'));
});

test('what the server is said to take beyond OpenAI is sent under these names, and nothing else', () => {
  const takes: Fields = { extensions: ['top_k', 'grammar'] };
  const body = sent(says(), { topK: 3, format: { type: 'grammar', gbnf: 'root ::= "a"' } }, takes);
  assert.deepEqual([body['top_k'], body['grammar'], body['response_format']], [3, 'root ::= "a"', undefined]);
  assert.throws(() => sent(says(), { minP: 0.1 }, takes), refused('parameter_unsupported', 'min_p'));
});

test('tools, calls and results', () => {
  const prompt: Prompt<string> = {
    messages: [{ role: 'user', content: 'hi' }, { role: 'assistant', content: '', toolCalls: [{ id: '1', name: 'f', arguments: '{}' }] }, { role: 'tool', content: 'ok', toolCallId: '1' }],
    tools: [{ name: 'f', description: 'd', parameters: { type: 'object' }, strict: true }],
    toolChoice: { name: 'f' },
    parallelToolCalls: false,
  };
  const body = sent(prompt);
  assert.deepEqual(body['tools'], [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true } }]);
  assert.deepEqual([body['tool_choice'], body['parallel_tool_calls']], [{ type: 'function', function: { name: 'f' } }, false]);
  assert.deepEqual((body['messages'] as unknown[]).slice(1), [{ role: 'assistant', content: '', tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }] }, { role: 'tool', content: 'ok', tool_call_id: '1' }]);
  assert.throws(() => sent(prompt, {}, { tools: false }), refused('parameter_unsupported', 'tools'));
});

test('attachments go as parts, exactly as they came', () => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,YWJj', detail: 'low' } };
  const prompt: Prompt<string> = { messages: [{ role: 'user', content: 'What?', attachments: [{ type: 'image_url', value: image }] }] };
  assert.deepEqual((sent(prompt, {}, { attachments: true })['messages'] as { content: unknown }[])[0]?.content, [{ type: 'text', text: 'What?' }, image]);
  assert.throws(() => sent(prompt), refused('parameter_unsupported', 'messages[0].content'));
});

test('a prefix is continued as the server needs it', () => {
  const prompt = says({ prefix: 'The' });
  assert.throws(() => sent(prompt), refused('ability_missing'));
  const vllm = sent(prompt, {}, { continuesPrefix: 'vllm' });
  assert.deepEqual([(vllm['messages'] as unknown[])[1], vllm['continue_final_message'], vllm['add_generation_prompt']], [{ role: 'assistant', content: 'The' }, true, false]);
  const last = sent(prompt, {}, { continuesPrefix: 'last-assistant' });
  assert.deepEqual([(last['messages'] as unknown[]).length, 'continue_final_message' in last], [2, false]);
  assert.equal(sent({ messages: [], text: 'Once', prefix: ' upon' })['prompt'], 'Once upon', 'plain text needs no help of the server');
});

test('scoring asks as the server understands', () => {
  const echo = settings({ promptLogprobs: 'echo' });
  assert.deepEqual(scoringRequest('it', echo, { messages: [], text: 'a' }, ' b', 3), { path: '/completions', fields: { model: 'm', prompt: 'a b', temperature: 0, max_tokens: 0, echo: true, logprobs: 3 } });
  assert.throws(() => scoringRequest('it', echo, says(), ' b', 0), refused('ability_missing'));
  const { fields } = scoringRequest('it', settings({ promptLogprobs: 'vllm' }), says({ prefix: 'The' }), ' end', 0);
  assert.deepEqual((fields['messages'] as unknown[])[1], { role: 'assistant', content: 'The end' });
});

test('the scored tokens are those at the end that spell the continuation', () => {
  const vllm = settings({ promptLogprobs: 'vllm' });
  const entry = (id: number, text: string, logprob = -1): [string, object] => [String(id), { decoded_token: text, logprob }];
  const reply = (...tokens: [string, object][][]): Parameters<typeof scoredTokens>[2] => ({ choices: [], prompt_logprobs: [null, ...tokens.map((entries) => Object.fromEntries(entries))], prompt_token_ids: [0, ...tokens.map((entries) => Number(entries[0]?.[0]))] } as never);
  const scored = (continuation: string, ...tokens: [string, object][][]): string[] => scoredTokens('it', vllm, reply(...tokens), continuation, 1, { promptTokens: 9, completionTokens: 0 }).map(({ text }) => text);
  assert.deepEqual(scored(' b c', [entry(5, 'a')], [entry(9, ' b'), entry(2, 'x', -0.1)], [entry(3, ' c')]), [' b', ' c'], 'the own token is told by its id');
  assert.deepEqual(scored('bc', [entry(5, 'x')], [entry(6, 'ab')], [entry(7, 'c')]), ['ab', 'c'], 'a token across the border counts');
  assert.deepEqual(scored(' 東!', [entry(5, 'a')], [entry(6, ' ')], [entry(7, '\uFFFD')], [entry(8, '\uFFFD')], [entry(9, '!')]), [' ', '\uFFFD', '\uFFFD', '!'], 'parts of characters');
  assert.throws(() => scored('zz', [entry(5, 'a')]), refused('upstream_malformed'));
  assert.throws(() => scoredTokens('it', vllm, { choices: [] }, 'a', 0, { promptTokens: 1, completionTokens: 0 }), refused('upstream_malformed'));
});
