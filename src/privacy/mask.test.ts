/** The mask: both views, everything that a prompt can hold, and that the way back undoes it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Guarded, Message, Part, Policy, Prompt, Sampling } from '../exchange.ts';
import { reached, veilSampling } from '../exchange.ts';
import { systemClock } from '../system/clock.ts';
import { Trace } from '../trace/trace.ts';
import { createMask, type Masked } from './mask.ts';

const detect = ['email', 'phone', 'card', 'iban', 'key'] as const;
const stage = createMask({ detect: [...detect] });
const { root: span } = new Trace('0'.repeat(32), systemClock, { surface: 'chat', requestedModel: 'x' });

function guardedOf(prompt: Prompt<string>, privacyClass: Policy['privacyClass'] = 'standard', sampling: Sampling = {}): Guarded {
  return reached<'guarded', Omit<Guarded, never>>({
    surface: 'chat', model: 'tandem/auto', prompt, sampling, answers: 1, policy: { objective: 'balanced', limits: {}, privacyClass }, knobs: {}, explain: false, key: undefined, caller: { name: 'anonymous' },
  } as unknown as Guarded);
}

const maskOf = (prompt: Prompt<string>, privacyClass?: Policy['privacyClass'], sampling?: Sampling): Masked => stage(guardedOf(prompt, privacyClass, sampling), span);
const say = (...contents: string[]): Prompt<string> => ({ messages: contents.map((content): Message => ({ role: 'user', content })) });
const contents = ({ veiled }: Masked): string[] => veiled.masked.messages.map(({ content }) => content);

async function restored(masked: Masked, ...parts: Part[]): Promise<Part[]> {
  async function* source(): AsyncGenerator<Part> {
    yield* parts;
  }
  return collected(masked.restore(reached<'answered', AsyncIterable<Part>>(source())));
}

async function collected(stream: AsyncIterable<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

test('what hides nothing is not copied', () => {
  const prompt = say('What is the capital of France?', 'Paris, founded 250 BC.');
  const { veiled } = maskOf(prompt);
  assert.equal(veiled.masked, prompt);
  assert.equal(veiled.raw, prompt);
  assert.deepEqual(veiled.hidden, {});
});

test('values get numbered placeholders; the same value the same one, in every message; raw stays raw', () => {
  const prompt = say('I am ann@x.de, call +49 170 1234567', 'Is ann@x.de or bob@x.de right?');
  const masked = maskOf(prompt);
  assert.deepEqual(contents(masked), ['I am <EMAIL_1>, call <PHONE_1>', 'Is <EMAIL_1> or <EMAIL_2> right?']);
  assert.equal(masked.veiled.raw, prompt);
  assert.deepEqual(masked.veiled.hidden, { email: 2, phone: 1 });
  assert.deepEqual(contents(maskOf(prompt)), contents(masked), 'the same request is masked the same way');
});

test('only messages that hide something are copied', () => {
  const prompt = say('nothing here', 'ann@x.de');
  const { veiled } = maskOf(prompt);
  assert.equal(veiled.masked.messages[0], prompt.messages[0]);
});

test('a secret is hidden wherever it stands, before and after the place that gave it away', () => {
  const masked = maskOf(say('Why does Zebra-4711-x fail?', 'password: Zebra-4711-x', 'I typed "Zebra-4711-x".'));
  assert.deepEqual(contents(masked), ['Why does <KEY_1> fail?', 'password: <KEY_1>', 'I typed "<KEY_1>".']);
});

test('texts that already look like placeholders keep their meaning', async () => {
  const masked = maskOf(say('Replace <EMAIL_1> by ann@x.de, and email 2 by bob@x.de'));
  assert.deepEqual(contents(masked), ['Replace <EMAIL_1> by <EMAIL_3>, and email 2 by <EMAIL_4>']);
  const [part] = await restored(masked, { type: 'text', answer: 0, member: 'm', delta: 'In <EMAIL_1>: <EMAIL_3>; EMAIL_2, EMAIL_4.' });
  assert.equal(part?.type === 'text' && part.delta, 'In <EMAIL_1>: ann@x.de; EMAIL_2, bob@x.de.');
});

test('numbers that the names of tools, properties, stop texts or the form show are not given out, early or late', async () => {
  const properties = { KEY_1: {}, 'email-2': { properties: { EMAIL_3: { enum: ['phone 1'] } } } };
  const shown: readonly (readonly [Prompt<string>['tools'], Sampling])[] = [
    [[{ name: 'f', parameters: { type: 'object', properties } }], {}],
    [[{ name: 'PHONE_1', parameters: { KEY_1: 1, EMAIL_2: 1, EMAIL_3: 1 } }], {}],
    [undefined, { format: { type: 'json-schema', name: 'x', strict: true, schema: { properties } } }],
    [undefined, { stop: ['KEY_1', 'EMAIL_2 EMAIL_3', 'phone 1'] }],
    [undefined, { format: { type: 'grammar', gbnf: 'root ::= "EMAIL_2" "EMAIL_3" "KEY_1" "PHONE_1"' } }],
  ];
  const hidden = 'ann@x.de, bob@x.de, +49 170 1234567, password: hunter2!';
  for (const [tools, sampling] of shown) {
    const early = maskOf({ ...say(hidden), ...(tools === undefined ? {} : { tools }) }, 'standard', sampling);
    const late = maskOf({ ...say('hello'), ...(tools === undefined ? {} : { tools }) }, 'standard', sampling);
    assert.deepEqual([contents(early)[0], late.veiled.veil(hidden)], Array(2).fill('<EMAIL_1>, <EMAIL_4>, <PHONE_2>, password: <KEY_2>'));
    const written = '{"KEY_1":"<KEY_2>","EMAIL_3":"EMAIL_4"}';
    const [part] = await restored(early, { type: 'text', answer: 0, member: 'm', delta: written });
    assert.equal(part?.type === 'text' && part.delta, '{"KEY_1":"hunter2!","EMAIL_3":"bob@x.de"}');
  }
});

test('numbers in a schema are masked where they need not stay numbers', () => {
  const parameters = (card: unknown): Record<string, unknown> => ({ properties: { n: { type: 'integer', maximum: 4111111111111111, examples: [card, 12], default: card } } });
  const { veiled } = maskOf({ ...say('hi'), tools: [{ name: 'f', parameters: parameters(4111111111111111) }] });
  assert.deepEqual(veiled.masked.tools?.[0]?.parameters, parameters('<CARD_1>'));
  const { format } = veilSampling({ format: { type: 'json-schema', name: 'x', strict: true, schema: parameters(4111111111111111) } }, veiled.veil);
  assert.deepEqual(format?.type === 'json-schema' && format.schema, parameters('<CARD_1>'));
  const plain = { ...say('hi'), tools: [{ name: 'f', parameters: parameters(1234567890) }] };
  assert.equal(maskOf(plain).veiled.masked, plain);
});

test('an answer that must be JSON stays JSON', async () => {
  const pem = '-----BEGIN PRIVATE KEY-----\nMIIE\nabc=\n-----END PRIVATE KEY-----';
  for (const format of [{ type: 'json' }, { type: 'json-schema', name: 'x', schema: {}, strict: true }, undefined] as const) {
    const masked = maskOf(say(`My key:\n${pem}`), 'standard', format === undefined ? {} : { format });
    const [part] = await restored(masked, { type: 'text', answer: 0, member: 'm', delta: '{"key":"<KEY_1>"}' });
    const delta = part?.type === 'text' ? part.delta : '';
    if (format === undefined) assert.equal(delta, `{"key":"${pem}"}`);
    else assert.deepEqual(JSON.parse(delta), { key: pem });
  }
});

test('names, tool calls, tool descriptions and schemas, prefix and plain text', () => {
  const masked = maskOf({
    messages: [
      { role: 'user', content: 'hi', name: 'ann@x.de' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'send', arguments: '{"to": "ann@x.de", "pin": {"password": "abc123"}, "card": 4111111111111111, "n": 12345678901234567890, "t": "tab\\tann\\u0040x.de"}' }] },
      { role: 'tool', content: '{"sent_to":"ann@x.de"}', toolCallId: 'c1' },
    ],
    tools: [{ name: 'send', description: 'Ask bob@x.de', parameters: { type: 'object', properties: { to: { type: 'string', enum: ['ann@x.de', 'other'] } } } }],
    prefix: 'Dear ann@x.de,',
  });
  const { messages, tools, prefix } = masked.veiled.masked;
  assert.equal(messages[0]?.name, 'EMAIL_1');
  assert.equal(messages[1]?.toolCalls?.[0]?.arguments, '{"to": "<EMAIL_1>", "pin": {"password": "<KEY_1>"}, "card": "<CARD_1>", "n": 12345678901234567890, "t": "tab\\t<EMAIL_1>"}');
  assert.equal(messages[2]?.content, '{"sent_to":"<EMAIL_1>"}');
  assert.equal(tools?.[0]?.description, 'Ask <EMAIL_2>');
  assert.deepEqual(tools?.[0]?.parameters, { type: 'object', properties: { to: { type: 'string', enum: ['<EMAIL_1>', 'other'] } } });
  assert.equal(prefix, 'Dear <EMAIL_1>,');
  assert.equal(maskOf({ messages: [], text: 'Mail ann@x.de and' }).veiled.masked.text, 'Mail <EMAIL_1> and');
});

test('a value that only escapes show is hidden everywhere', () => {
  const masked = maskOf({ messages: [{ role: 'assistant', content: '', toolCalls: [{ id: 'c', name: 'f', arguments: '{"a":"ann\\u0040x.de"}' }] }] });
  assert.equal(masked.veiled.masked.messages[0]?.toolCalls?.[0]?.arguments, '{"a":"<EMAIL_1>"}');
});

test('arguments that are not JSON are masked as text', () => {
  const masked = maskOf({ messages: [{ role: 'assistant', content: '', toolCalls: [{ id: 'c', name: 'f', arguments: '{"to": "ann@x.de", ' }] }] });
  assert.equal(masked.veiled.masked.messages[0]?.toolCalls?.[0]?.arguments, '{"to": "<EMAIL_1>", ');
});

test('later text is masked with the same vault', async () => {
  const masked = maskOf(say('I am ann@x.de'));
  assert.equal(masked.veiled.veil('Draft for ann@x.de, cc bob@x.de; see <EMAIL_1>'), 'Draft for <EMAIL_1>, cc <EMAIL_2>; see <EMAIL_1>');
  assert.deepEqual(masked.veiled.hidden, { email: 2 });
  const [part] = await restored(masked, { type: 'text', answer: 0, member: 'm', delta: 'To <EMAIL_2>.' });
  assert.equal(part?.type === 'text' && part.delta, 'To bob@x.de.');
});

test('a vault that fills only while the answer is made is used', async () => {
  const masked = maskOf(say('hello'));
  async function* source(): AsyncGenerator<Part> {
    yield { type: 'text', answer: 0, member: 'm', delta: 'a <EMAIL_1> ' };
    masked.veiled.veil('ann@x.de');
    yield { type: 'text', answer: 0, member: 'm', delta: 'b <EMAIL_1>' };
  }
  const parts = await collected(masked.restore(reached<'answered', AsyncIterable<Part>>(source())));
  assert.equal(parts.map((part) => (part.type === 'text' ? part.delta : '')).join(''), 'a <EMAIL_1> b ann@x.de');
});

test('open masks nothing and changes nothing; confidential masks', async () => {
  const prompt = say('I am ann@x.de');
  const open = maskOf(prompt, 'open');
  assert.equal(open.veiled.masked, prompt);
  assert.equal(open.veiled.veil('bob@x.de'), 'bob@x.de');
  assert.deepEqual(await restored(open, { type: 'text', answer: 0, member: 'm', delta: '<EMAIL_1>' }), [{ type: 'text', answer: 0, member: 'm', delta: '<EMAIL_1>' }]);
  assert.deepEqual(contents(maskOf(prompt, 'confidential')), ['I am <EMAIL_1>']);
});

test('only the kinds that are configured are masked', () => {
  const masked = createMask({ detect: ['phone'] })(guardedOf(say('ann@x.de +49 170 1234567')), span);
  assert.deepEqual(contents(masked), ['ann@x.de <PHONE_1>']);
});

test('masking and restoring gives back every text, whatever it holds', async () => {
  const values = ['ann@x.de', '+49 170 1234567', '4111 1111 1111 1111', 'DE89370400440532013000', 'password: hunter2!', '<EMAIL_1>', '[PHONE_2]', 'KEY_1', '$&', '$1', '\\', '"', '\n', '🙂', 'und', ' ', '{"a":1}'];
  let seed = 7;
  const pick = (): string => values[(seed = (seed * 48_271) % 2_147_483_647) % values.length] ?? '';
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 1 + (round % 12) }, pick).join(round % 3 === 0 ? '' : ' ');
    const masked = maskOf(say(text));
    const view = contents(masked)[0] ?? '';
    if (round % 3 !== 0) assert.doesNotMatch(view, /ann@x\.de|1234567|4111 1111|DE8937|hunter2/);
    const parts = await restored(masked, { type: 'text', answer: 0, member: 'm', delta: view });
    assert.equal(parts.map((part) => (part.type === 'text' ? part.delta : '')).join(''), text);
  }
});

test('a prompt of many values stays quick', { timeout: 30_000 }, () => {
  const lines = Array.from({ length: 5_000 }, (_, n) => `user${n}@example${n % 50}.com called +49 170 ${1_000_000 + n}`);
  const masked = maskOf(say(lines.join('\n')));
  assert.deepEqual(masked.veiled.hidden, { email: 5_000, phone: 5_000 });
});

test('values that overlap themselves or each other are hidden everywhere', () => {
  const itself = maskOf(say('password: a1a1a1a1a1', `it was ${'a1'.repeat(5_003)}`));
  assert.equal(contents(itself)[0], 'password: <KEY_1>');
  assert.doesNotMatch(contents(itself)[1] ?? '', /(?:a1){5}/);
  const others = maskOf(say('password: Zebra-4711-x, token: 4711-xAbcd9', 'Zebra-4711-xAbcd9'));
  assert.doesNotMatch(contents(others)[1] ?? '', /Zebra-4711-x/);
});
