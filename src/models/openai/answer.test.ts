import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TandemError } from '../../errors.ts';
import type { Call, ModelPart } from '../port.ts';
import { AnswerReader } from './answer.ts';

const call: Call = { signal: new AbortController().signal };

function read(...events: unknown[]): ModelPart[] {
  const reader = new AnswerReader('it');
  const out: ModelPart[] = [];
  for (const event of events) reader.event({ event: '', data: typeof event === 'string' ? event : JSON.stringify(event) }, out);
  reader.flush(out);
  out.push(reader.finish(40, { bytesUp: 1, bytesDown: 2 }, call));
  return out;
}

const delta = (fields: unknown, finish_reason: string | null = null, more: object = {}): unknown => ({ choices: [{ index: 0, delta: fields, finish_reason, ...more }] });

test('text that came together leaves as one part', () => {
  const parts = read(delta({ role: 'assistant', content: '' }), delta({ content: 'a' }), delta({ content: 'b' }), delta({}, 'stop'), '[DONE]');
  assert.deepEqual(parts, [{ type: 'text', delta: 'ab' }, { type: 'finish', reason: 'stop', usage: { promptTokens: 10, completionTokens: 1 }, bytesUp: 1, bytesDown: 2 }]);
});

test('reads reasoning under both of its names', () => {
  const parts = read(delta({ reasoning_content: 'hm' }), delta({ content: 'so' }), delta({ reasoning: 'ah' }), '[DONE]');
  assert.deepEqual(parts.map((part) => ('delta' in part ? [part.type, part.delta] : part.type)), [['reasoning', 'hm'], ['text', 'so'], ['reasoning', 'ah'], 'finish']);
});

test('a refusal is text that says so, and stays apart from the content', () => {
  const streamed = read(delta({ role: 'assistant', content: '', refusal: null }), delta({ refusal: 'I ' }), delta({ refusal: 'cannot.' }), delta({}, 'stop'), '[DONE]');
  assert.deepEqual(streamed.slice(0, -1), [{ type: 'text', delta: 'I ', refusal: true }, { type: 'text', delta: 'cannot.', refusal: true }]);
  const both = read(delta({ content: 'Well. ', refusal: 'No.' }, 'stop'));
  assert.deepEqual(both.slice(0, -1), [{ type: 'text', delta: 'Well. ' }, { type: 'text', delta: 'No.', refusal: true }]);
});

test('joins log-probabilities of chat and of plain completions', () => {
  const token = { token: 'a', logprob: -0.5, bytes: [97], top_logprobs: [{ token: 'a', logprob: -0.5 }, { token: 'b', logprob: -1 }] };
  const chat = read(delta({ content: 'a' }, null, { logprobs: { content: [token] } }), delta({ content: 'a' }, null, { logprobs: { content: [token] } }), '[DONE]');
  assert.ok(chat[0]?.type === 'text');
  assert.deepEqual(chat[0].tokens, Array(2).fill({ text: 'a', logprob: -0.5, top: [{ text: 'a', logprob: -0.5 }, { text: 'b', logprob: -1 }] }));
  const plain = read({ choices: [{ text: 'a', finish_reason: 'length', logprobs: { tokens: ['a'], token_logprobs: [-0.5], top_logprobs: [{ b: -1, a: -0.5 }] } }] });
  assert.ok(plain[0]?.type === 'text');
  assert.deepEqual(plain[0].tokens, [{ text: 'a', logprob: -0.5, top: [{ text: 'a', logprob: -0.5 }, { text: 'b', logprob: -1 }] }]);
  assert.ok(plain[1]?.type === 'finish' && plain[1].reason === 'length' && plain[1].usage.completionTokens === 1);
});

test('keeps the bytes of tokens that are part of a character, and of no others', () => {
  const half = { token: 'bytes:\\xe6\\x97', logprob: -1, bytes: [230, 151] };
  const whole = { token: '日', logprob: -2, bytes: [230, 151, 165] };
  const tokenWith = (bytes: unknown): unknown => {
    const [part] = read(delta({ content: 'a' }, null, { logprobs: { content: [{ token: 'a', logprob: -1, bytes }] } }), '[DONE]');
    return part?.type === 'text' ? part.tokens : undefined;
  };
  const [part] = read(delta({ content: '日' }, null, { logprobs: { content: [{ ...half, top_logprobs: [whole, half] }, whole] } }), '[DONE]');
  const kept = { text: half.token, logprob: -1, bytes: [230, 151] };
  assert.deepEqual(part?.type === 'text' && part.tokens, [{ ...kept, top: [{ text: '日', logprob: -2 }, kept] }, { text: '日', logprob: -2 }]);
  for (const bytes of [undefined, null, 'a', 7, [], [97], [300], [230, -1], [230, 1.5], ['x'], [null, 230]]) assert.deepEqual(tokenWith(bytes), [{ text: 'a', logprob: -1 }], JSON.stringify(bytes));
});

test('tells tool calls apart by index, by id, or by neither', () => {
  const piece = (fields: unknown): unknown => delta({ tool_calls: [fields] });
  const named = (id: string, name: string, index?: number): unknown => piece({ ...(index === undefined ? {} : { index }), id, function: { name, arguments: '' } });
  const more = (text: string, index?: number): unknown => piece({ ...(index === undefined ? {} : { index }), function: { arguments: text } });
  const gathered = (parts: readonly ModelPart[]): string[] => {
    const calls: string[] = [];
    for (const part of parts) if (part.type === 'tool-call') calls[part.call] = `${calls[part.call] ?? `${part.id}:${part.name}:`}${part.argumentsDelta}`;
    return calls;
  };
  const expected = ['1:f:{"a":1}', '2:g:{}'];
  assert.deepEqual(gathered(read(named('1', 'f', 0), more('{"a"', 0), named('2', 'g', 1), more('{}', 1), more(':1}', 0), delta({}, 'tool_calls'))), expected, 'by index');
  assert.deepEqual(gathered(read(named('1', 'f', 0), more('{"a":1}', 0), named('2', 'g', 0), more('{}', 0), delta({}, 'tool_calls'))), expected, 'always index 0');
  const parts = read(named('1', 'f'), more('{"a":1}'), named('2', 'g'), more('{}'), delta({}, 'stop'));
  assert.deepEqual(gathered(parts), expected, 'no index');
  assert.ok(parts.at(-1)?.type === 'finish' && (parts.at(-1) as { reason: string }).reason === 'tool_calls', 'stop after tool calls means tool_calls');
});

test('a stream without a finish reason and without [DONE] is truncated', () => {
  assert.throws(() => read(delta({ content: 'a' })), (error) => TandemError.is(error) && error.code === 'upstream_truncated');
});

for (const [what, event] of Object.entries({ 'half a JSON text': '{"choices": [', 'a list': '[]', 'an object without choices': '{"id": 1}', 'a tool call without a name': delta({ tool_calls: [{ index: 0 }] }) })) {
  test(`${what} is malformed`, () => {
    assert.throws(() => read(event), (error) => TandemError.is(error) && error.code === 'upstream_malformed');
  });
}

test('an error inside the stream keeps its kind and loses its prose', () => {
  const cases = [
    [{ error: { message: 'secret prompt', type: 'rate_limit_error', code: null } }, 'upstream_rate_limited'],
    [{ error: { message: 'secret prompt', code: 503 } }, 'upstream_failed'],
    [{ error: { message: 'secret prompt', type: 'secret prompt', code: 'context_length_exceeded' } }, 'context_too_long'],
    [{ error: 'secret prompt' }, 'upstream_failed'],
  ] as const;
  for (const [event, code] of cases) {
    assert.throws(() => read(event), (error) => TandemError.is(error) && error.code === code && !error.message.includes('secret'), code);
  }
});

test('a repeated prefix is dropped however it is cut, and other text is kept', () => {
  const texts = (prefix: string, ...deltas: string[]): string[] => {
    const reader = new AnswerReader('it', prefix);
    const out: ModelPart[] = [];
    for (const content of deltas) {
      reader.event({ event: '', data: JSON.stringify(delta({ content })) }, out);
      reader.flush(out);
    }
    reader.settle(out);
    return out.map((part) => (part.type === 'text' ? part.delta : part.type));
  };
  assert.deepEqual(texts('The river', 'The', ' ri', 'ver runs', ' on'), [' runs', ' on']);
  assert.deepEqual(texts('The river', 'The river', ' runs'), [' runs']);
  assert.deepEqual(texts('The river', ' runs', ' on'), [' runs', ' on']);
  assert.deepEqual(texts('The river', 'The r', 'oad'), ['The road']);
  assert.deepEqual(texts('The river', 'The r'), ['The r'], 'an answer that is shorter than the prefix');
});
