/** Which answers have the form that was asked for. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { formFault, type WantedForm } from './form.ts';

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const tools = [{ name: 'find', parameters: schema }];

test('JSON, schemas, tools and emptiness', async () => {
  const strict: WantedForm = { format: { type: 'json-schema', name: 'x', schema, strict: true } };
  const call = (name: string, given: string): { text: string; toolCalls: { id: string; name: string; arguments: string }[] } => ({ text: '', toolCalls: [{ id: '1', name, arguments: given }] });
  const cases: [Parameters<typeof formFault>[0], WantedForm, boolean][] = [
    [{ text: 'hello', toolCalls: [] }, {}, true],
    [{ text: ' \n', toolCalls: [] }, {}, false],
    [{ text: '{"a":1}', toolCalls: [] }, { format: { type: 'json' } }, true],
    [{ text: '{"a":1', toolCalls: [] }, { format: { type: 'json' } }, false],
    [{ text: '{"city":"Oslo"}', toolCalls: [] }, strict, true],
    [{ text: '{"city":1}', toolCalls: [] }, strict, false],
    [{ text: '{}', toolCalls: [] }, strict, false],
    [call('find', '{"city":"Oslo"}'), { tools }, true],
    [call('find', '{"town":"Oslo"}'), { tools }, false],
    [call('find', '{"city":'), { tools }, false],
    [call('lose', '{}'), { tools }, false],
    [call('find', ''), { tools: [{ name: 'find' }] }, true],
    [{ text: 'no tool', toolCalls: [] }, { tools, toolChoice: 'required' }, false],
    [call('find', '{"city":"Oslo"}'), { tools: [...tools, { name: 'other' }], toolChoice: { name: 'other' } }, false],
    [{ text: '{}', toolCalls: [] }, { format: { type: 'json-schema', name: 'x', schema: { type: 'nonsense' }, strict: true } }, true],
    [{ text: '{}', toolCalls: [] }, { format: { type: 'json-schema', name: 'x', schema: { $ref: '#' }, strict: true } }, false],
    [call('find', '{}'), { tools: [{ name: 'find', parameters: { $ref: '#' } }] }, false],
  ];
  for (const [answer, wanted, fine] of cases) assert.equal((await formFault(answer, wanted)) === undefined, fine, JSON.stringify([answer, wanted]));
});
