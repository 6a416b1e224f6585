/** Calls in the text of answers: found however the text is cut, their arguments as they were written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { AnswerParts } from './answer-parts.ts';
import { memberSources } from './json-source.ts';
import { CallFinder, type CallPart } from './tool-calls.ts';

const call = (json: string): string => `<tool_call>${json}</tool_call>`;

/** Texts joined, calls in between. */
function found(pieces: readonly string[]): (string | readonly [string, string])[] {
  const finder = new CallFinder([{ name: 'f' }, { name: 'g' }]);
  const all: (string | readonly [string, string])[] = [];
  for (const part of [...pieces.flatMap((piece) => finder.push(piece)), ...finder.end()] as CallPart[]) {
    if (part.type === 'call') all.push([part.name, part.arguments]);
    else if (typeof all.at(-1) === 'string') all.push(`${all.pop() as string}${part.delta}`);
    else all.push(part.delta);
  }
  return all;
}

const cases: readonly [string, string, (string | readonly [string, string])[]][] = [
  ['numbers of any size', call('{"name":"f","arguments":{"id":12345678901234567890,"x":1.0,"y":1e400}}'), [['f', '{"id":12345678901234567890,"x":1.0,"y":1e400}']]],
  ['spaces and order', call('\n{ "arguments" : { "b": [1, {"a": 2}] , "a": "x" } , "name" : "f" }\n'), [['f', '{ "b": [1, {"a": 2}] , "a": "x" }']]],
  ['a closing tag in a string', call('{"name":"f","arguments":{"html":"a </tool_call> \\" b"}}'), [['f', '{"html":"a </tool_call> \\" b"}']]],
  ['arguments as a text, and under the other name', `${call('{"name":"f","arguments":"{\\"a\\":1}"}')}${call('{"name":"g","parameters":{"a":1.50}}')}`, [['f', '{"a":1}'], ['g', '{"a":1.50}']]],
  ['none and null', `${call('{"name":"f"}')}${call('{"name":"f","arguments":null}')}${call('{"name":"f","arguments":[]}')}`, [['f', '{}'], ['f', '{}'], ['f', '[]']]],
  ['text before, between and after', `a${call('{"name":"f","arguments":{}}')} b ${call('{"name":"g","arguments":{}}')}c <tool`, ['a', ['f', '{}'], ' b ', ['g', '{}'], 'c <tool']],
  ['no closing tag at the end', '<tool_call>{"name":"f","arguments":{"a":"</tool_call>"}}', [['f', '{"a":"</tool_call>"}']]],
  ['a cut closing tag at the end', '<tool_call>\n{"name":"f","arguments":{"a":"</tool_"}}\n</tool_', [['f', '{"a":"</tool_"}']]],
  ['an unknown function', call('{"name":"h","arguments":{}}'), [call('{"name":"h","arguments":{}}')]],
  ['broken JSON, and a call after it', `${call('{"name":"f","arguments":{"a":"}}')} and ${call('{"name":"g","arguments":{}}')}!`, [`${call('{"name":"f","arguments":{"a":"}}')} and `, ['g', '{}'], '!']],
  ['broken JSON with whole strings', `${call('{"name":"f",}')}${call('{"name":"g","arguments":{}}')}`, [call('{"name":"f",}'), ['g', '{}']]],
];

for (const [name, text, expected] of cases) {
  test(`calls with ${name}`, () => {
    assert.deepEqual(found([text]), expected);
    assert.deepEqual(found([...text]), expected);
    const { next } = seededRandom(6);
    for (let n = 0; n < 60; n++) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) pieces.push(text.slice(at, (at += 1 + Math.floor(next() * 9))));
      assert.deepEqual(found(pieces), expected, JSON.stringify(pieces));
    }
  });
}

test('members of an object, as they are written', () => {
  const members = memberSources(' {"a" : [1,{"b":","}], "q\\"}":"}" ,"n":-1.0e+2,"e":{} , "a":null} ');
  assert.deepEqual([...members], [['a', 'null'], ['q"}', '"}"'], ['n', '-1.0e+2'], ['e', '{}']]);
  assert.equal(memberSources('{ }').size, 0);
});

test('where calls may not be parallel, there is one', () => {
  const text = `${call('{"name":"f","arguments":{}}')}\n${call('{"name":"g","arguments":{}}')}`;
  const calls = (parallelToolCalls: boolean | undefined): number => {
    const parts = new AnswerParts({ tools: [{ name: 'f' }, { name: 'g' }], ...(parallelToolCalls === undefined ? {} : { parallelToolCalls }) }, () => 'id');
    const all = parts.take([{ type: 'text', delta: text }, { type: 'finish', reason: 'stop', promptTokens: 1, cachedPromptTokens: 0, completionTokens: 1 }]);
    return all.filter(({ type }) => type === 'tool-call').length;
  };
  assert.deepEqual([calls(undefined), calls(true), calls(false)], [2, 2, 1]);
});

test('what is left of a forced call that was cut is no text; calls before it stay', () => {
  const whole = call('{"name":"f","arguments":{}}');
  const texts = (text: string, toolChoice: 'auto' | 'required' | { name: string }): string[] => {
    const parts = new AnswerParts({ tools: [{ name: 'f' }], toolChoice }, () => 'id');
    const all = [...[...text].flatMap((delta) => parts.take([{ type: 'text', delta }])), ...parts.take([{ type: 'finish', reason: 'length', promptTokens: 1, cachedPromptTokens: 0, completionTokens: 1 }])];
    return all.map((part) => (part.type === 'text' ? part.delta : part.type === 'finish' ? part.reason : part.type));
  };
  for (const forced of ['required', { name: 'f' }] as const) {
    for (let length = 1; length < whole.length; length++) {
      const complete = length >= whole.indexOf('</');
      assert.deepEqual(texts(whole.slice(0, length), forced), complete ? ['tool-call', 'tool_calls'] : ['length'], whole.slice(0, length));
    }
    assert.deepEqual(texts(`${whole}\n${whole.slice(0, 20)}`, forced), ['tool-call', 'length']);
  }
  assert.deepEqual(texts(whole.slice(0, 20), 'auto'), [whole.slice(0, 20), 'length']);
});
