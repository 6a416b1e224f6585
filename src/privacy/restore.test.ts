/** Restoring: the same text for every way of cutting the stream, and nothing lost. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { EmittedToken, Part } from '../exchange.ts';
import { restoreParts } from './restore.ts';
import { Vault } from './vault.ts';

function vaultOf(): Vault {
  const vault = new Vault();
  vault.numberFor('email', 'ann@x.de');
  vault.numberFor('email', 'bob@y.org');
  vault.numberFor('key', 'a"b\\c\n😀');
  for (let n = 1; n <= 12; n++) vault.numberFor('phone', `+49 170 ${n}`);
  return vault;
}

const text = (delta: string, more: Partial<Part & { readonly type: 'text' }> = {}): Part => ({ type: 'text', answer: 0, member: 'm', delta, ...more });
const finish = (answer = 0): Part => ({ type: 'finish', answer, member: 'm', reason: 'stop' });

async function run(parts: readonly Part[], vault = vaultOf(), json = false): Promise<Part[]> {
  async function* source(): AsyncGenerator<Part> {
    yield* parts;
  }
  const restored: Part[] = [];
  for await (const part of restoreParts(source(), vault, json)) restored.push(part);
  return restored;
}

const textIn = (parts: readonly Part[], answer = 0): string => parts.map((part) => (part.type === 'text' && part.answer === answer ? part.delta : '')).join('');

/** What models make of a placeholder, and what must come of it. */
const spellings: readonly (readonly [written: string, read: string])[] = [
  ['To <EMAIL_1>.', 'To ann@x.de.'],
  ['<email_1><EMAIL_2>', 'ann@x.debob@y.org'],
  ['< EMAIL_1 >, <  EMAIL_2  >', 'ann@x.de, bob@y.org'],
  ['<EMAIL-1> <EMAIL 1> <EMAIL1> <EMAIL\\_1>', 'ann@x.de ann@x.de ann@x.de ann@x.de'],
  ['[EMAIL_1] {Email_2}', 'ann@x.de bob@y.org'],
  ['[EMAIL_1](mailto:EMAIL_1), [EMAIL_1] (EMAIL_2), ([EMAIL_1])', '[ann@x.de](mailto:ann@x.de), ann@x.de (bob@y.org), (ann@x.de)'],
  ['&lt;EMAIL_1&gt; \\<EMAIL_1\\> \\u003cEMAIL_1\\u003E', 'ann@x.de ann@x.de ann@x.de'],
  ['EMAIL_1, (EMAIL_2) and EMAIL_1', 'ann@x.de, (bob@y.org) and ann@x.de'],
  ['<PHONE_1> <PHONE_12> <PHONE_13>', '+49 170 1 +49 170 12 <PHONE_13>'],
  ['PHONE_1 PHONE_12 PHONE_120', '+49 170 1 +49 170 12 PHONE_120'],
  ['email_1 MY_EMAIL_1 EMAIL_1X EMAIL1 EMAIL_01', 'email_1 MY_EMAIL_1 EMAIL_1X EMAIL1 EMAIL_01'],
  ['<EMAIL_9> <EMAIL_> <EMAIL <<EMAIL_1>> <EMAIL_1', '<EMAIL_9> <EMAIL_> <EMAIL <ann@x.de> <ann@x.de'],
  ['<EMAIL_1] <   EMAIL_1>', '<ann@x.de] <   ann@x.de>'],
  ['E EM EMA EMAI EMAIL & &l &lt \\ \\u \\u003 [ { <', 'E EM EMA EMAI EMAIL & &l &lt \\ \\u \\u003 [ { <'],
  ['a < b && c > d [1] {x} IBAN KEY', 'a < b && c > d [1] {x} IBAN KEY'],
  ['<KEY_1>', 'a"b\\c\n😀'],
  ['', ''],
];

test('reads placeholders as models write them', async () => {
  for (const [written, read] of spellings) assert.equal(textIn(await run([text(written)])), read, written);
});

test('the restored text is the same for every way of cutting the stream', async () => {
  for (const [written, read] of spellings) {
    assert.equal(textIn(await run([...written].map((delta) => text(delta)))), read, `one by one: ${written}`);
    for (let first = 0; first <= written.length; first++) {
      for (let second = first; second <= Math.min(written.length, first + 14); second++) {
        const pieces = [written.slice(0, first), written.slice(first, second), written.slice(second)];
        assert.equal(textIn(await run([...pieces.map((delta) => text(delta)), finish()])), read, JSON.stringify(pieces));
      }
    }
  }
});

test('every chunking of short texts, with tokens that keep in step', async () => {
  for (const written of ['a<EMAIL_1>b', '<KEY_1> <', 'EMAIL_2 [']) {
    const expected = textIn(await run([text(written)]));
    for (let cuts = 0; cuts < 2 ** (written.length - 1); cuts++) {
      const pieces: string[] = [''];
      [...written].forEach((character, at) => {
        pieces[pieces.length - 1] += character;
        if ((cuts >> at) & 1 && at < written.length - 1) pieces.push('');
      });
      assert.equal(textIn(await run(pieces.map((delta) => text(delta)))), expected);
      const parts = await run(pieces.map((delta) => text(delta, { tokens: [{ text: delta, logprob: -0.5 }] })));
      assert.equal(textIn(parts), expected);
      let sum = 0;
      for (const part of parts) {
        if (part.type !== 'text') continue;
        assert.equal(part.tokens?.map((token) => token.text).join(''), part.delta);
        sum += part.tokens?.reduce((total, token) => total + (token.logprob ?? Number.NaN), 0) ?? 0;
      }
      assert.equal(sum, -0.5 * pieces.length, 'no log-probability is lost');
    }
  }
});

test('only the tokens that a value replaces are joined', async () => {
  const tokens: EmittedToken[] = ['Hi', ' <EM', 'AIL', '_1> a', 'nd', ' more'].map((piece, id) => ({ text: piece, id, logprob: -1, top: [] }));
  const parts = await run(tokens.map((token) => text(token.text, { tokens: [token] })));
  const out = parts.flatMap((part) => (part.type === 'text' ? (part.tokens ?? []) : []));
  assert.deepEqual(out, [tokens[0], { text: ' ann@x.de a', logprob: -3 }, tokens[4], tokens[5]]);
  const [whole] = await run([text(tokens.map((token) => token.text).join(''), { tokens })]);
  assert.deepEqual(whole?.type === 'text' && whole.tokens, out);
});

test('a token that a value replaces has no bytes of its own; others keep theirs', async () => {
  const tokens: EmittedToken[] = [{ text: '', bytes: [230, 151] }, { text: '日', bytes: [165] }, { text: '', bytes: [230, 156] }, { text: '本<', bytes: [172, 60] }, { text: 'EMAIL_1> ' }];
  const parts = await run([text('日本<EMAIL_1> ', { tokens })]);
  assert.deepEqual(parts.flatMap((part) => (part.type === 'text' ? (part.tokens ?? []) : [])), [...tokens.slice(0, 3), { text: '本ann@x.de ' }]);
});

test('tokens that do not add up to the text are kept, and so is the text', async () => {
  const parts = await run([text('caf\uFFFD <EMAIL_1> <', { tokens: [{ text: 'x' }] }), text('EMAIL_2>', { tokens: [{ text: 'y' }] })]);
  assert.equal(textIn(parts), 'caf\uFFFD ann@x.de bob@y.org');
});

test('text that cannot be part of a placeholder is not held back, and unchanged parts are passed on as they are', async () => {
  const seen: Part[] = [];
  let given = 0;
  async function* source(): AsyncGenerator<Part> {
    for (const delta of ['Hello ', 'there, <EM', 'AIL_1> and ', 'on']) {
      given++;
      yield text(delta);
    }
  }
  for await (const part of restoreParts(source(), vaultOf())) {
    seen.push(part);
    if (given === 2) assert.equal(textIn(seen), 'Hello there, ');
  }
  assert.equal(textIn(seen), 'Hello there, ann@x.de and on');
  const part = text('plain');
  assert.equal((await run([part]))[0], part);
  const untouched = text('<EMAIL_1>');
  assert.equal((await run([untouched], new Vault()))[0], untouched);
});

test('text that is JSON stays JSON; reasoning beside it is text', async () => {
  const written = '{"key":"<KEY_1>","to":"EMAIL_1"}';
  for (let cut = 0; cut <= written.length; cut++) {
    const parts = await run([{ type: 'reasoning', answer: 0, member: 'm', delta: 'so <KEY_1>' }, text(written.slice(0, cut)), text(written.slice(cut)), finish()], vaultOf(), true);
    assert.deepEqual(JSON.parse(textIn(parts)), { key: 'a"b\\c\n😀', to: 'ann@x.de' });
    assert.equal(parts.map((part) => (part.type === 'reasoning' ? part.delta : '')).join(''), 'so a"b\\c\n😀');
  }
});

test('arguments of tool calls stay JSON, alternate, and are opened once', async () => {
  const call = (index: number, argumentsDelta: string, opening?: object): Part => ({ type: 'tool-call', answer: 0, member: 'm', call: index, argumentsDelta, ...opening });
  const parts = await run([
    call(0, '', { id: 'a', name: 'f' }),
    call(1, '{"k":"<KE', { id: 'b', name: 'g' }),
    call(0, '{"to":"\\u003cEMAIL'),
    call(1, 'Y_1>"'),
    call(0, '_1\\u003e"}'),
    call(1, ',"e":"EMAIL_2"}'),
    finish(),
  ]);
  const written = (index: number): string => parts.map((part) => (part.type === 'tool-call' && part.call === index ? part.argumentsDelta : '')).join('');
  assert.deepEqual(JSON.parse(written(0)), { to: 'ann@x.de' });
  assert.deepEqual(JSON.parse(written(1)), { k: 'a"b\\c\n😀', e: 'bob@y.org' });
  assert.deepEqual(parts.filter((part) => part.type === 'tool-call' && part.id !== undefined).map((part) => part.type === 'tool-call' && [part.id, part.name]), [['a', 'f'], ['b', 'g']]);
  assert.equal(parts.at(-1)?.type, 'finish');
});

test('answers and reasoning have their own state; held text comes out before what follows it', async () => {
  const parts = await run([
    { type: 'reasoning', answer: 0, member: 'm', delta: 'think <EMAIL' },
    text('for <EM', { answer: 1 }),
    { type: 'reasoning', answer: 0, member: 'm', delta: '_1> <PH' },
    text('Dear <EM'),
    text('AIL_2>', { answer: 1 }),
    text('AIL_1> <EM'),
    finish(1),
    finish(0),
  ]);
  assert.equal(textIn(parts, 0), 'Dear ann@x.de <EM');
  assert.equal(textIn(parts, 1), 'for bob@y.org');
  assert.equal(parts.map((part) => (part.type === 'reasoning' ? part.delta : '')).join(''), 'think ann@x.de <PH');
  const kinds = parts.filter((part) => part.answer === 0).map((part) => part.type);
  assert.ok(kinds.lastIndexOf('reasoning') < kinds.indexOf('text'), kinds.join(' '));
  assert.equal(kinds.at(-1), 'finish');
});

test('what is held comes out when the source ends early, and before its error', async () => {
  assert.equal(textIn(await run([text('cut <EMAIL')])), 'cut <EMAIL');
  assert.equal(textIn(await run([text('cut EMAIL_1')])), 'cut ann@x.de');
  async function* failing(): AsyncGenerator<Part> {
    yield text('half <EMAIL_1> <EM');
    throw new TypeError('broken line');
  }
  const seen: Part[] = [];
  await assert.rejects(async () => {
    for await (const part of restoreParts(failing(), vaultOf())) seen.push(part);
  }, /broken line/);
  assert.equal(textIn(seen), 'half ann@x.de <EM');
});

test('leaving the stream closes its source', async () => {
  let closed = false;
  async function* source(): AsyncGenerator<Part> {
    try {
      for (;;) yield text('x');
    } finally {
      closed = true;
    }
  }
  for await (const _ of restoreParts(source(), vaultOf())) break;
  assert.ok(closed);
});
