import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ask, quietCall, says } from '../../../test/conformance/asking.ts';
import { settingsOf, testContext } from '../../../test/conformance/settings.ts';
import { TandemError } from '../../errors.ts';
import type { Message } from '../../exchange.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Model } from '../port.ts';
import { openRecordedModel } from './index.ts';

let folder: string;
const models: Model[] = [];
let written = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-recorded-'));
});
after(async () => {
  await Promise.all(models.map((model) => model.close()));
  await rm(folder, { recursive: true });
});

async function open(rows: readonly unknown[] | string, fields: { member?: string; tokensPerSecond?: number } = {}, clock?: Clock): Promise<Model> {
  const file = `${models.length}-${written++}.jsonl`;
  await writeFile(join(folder, file), typeof rows === 'string' ? rows : rows.map((row) => JSON.stringify(row)).join('\n'));
  const model = await openRecordedModel('it', settingsOf<'recorded'>({ engine: 'recorded', file, ...fields }), testContext({ baseDir: folder, ...(clock === undefined ? {} : { clock }) }));
  models.push(model);
  return model;
}

const code = (expected: ErrorCode, text?: RegExp) => (error: unknown): boolean => TandemError.is(error) && error.code === expected && (text?.test(error.message) ?? true);

test('finds answers by the last user message, and knows their correctness and counts', async () => {
  const model = await open([{ prompt: 'one ', answer: 'first', correct: true, promptTokens: 3, completionTokens: 2 }, { messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'two' }], answer: 'second', correct: 0.25 }]);
  const first = await ask(model, { messages: [{ role: 'user', content: 'nothing' }, { role: 'assistant', content: 'no' }, { role: 'user', content: 'one' }] });
  assert.deepEqual(first.parts, [{ type: 'text', delta: 'first' }, { type: 'finish', reason: 'stop', usage: { promptTokens: 3, completionTokens: 2 }, bytesUp: 0, bytesDown: 0, correct: 1 }]);
  const call = quietCall();
  const second = (await ask(model, says('two'), {}, call)).parts.at(-1);
  assert.ok(second?.type === 'finish' && second.correct === 0.25);
  assert.deepEqual(call.notes.map(([event]) => event), ['usage-estimated']);
  await assert.rejects(ask(model, says('three')), code('recording_missing'));
});

test('an answer of another conversation is never given', async () => {
  const talk = (name: string, system?: string): Message[] => [...(system === undefined ? [] : [{ role: 'system' as const, content: system }]), { role: 'user', content: `My name is ${name}.` }, { role: 'assistant', content: `Hello ${name}.` }, { role: 'user', content: 'What is my name?' }];
  const model = await open([{ messages: talk('Ann'), answer: 'Ann' }, { messages: talk('Bob'), answer: 'Bob' }, { messages: talk('Ann', 'Shout.'), answer: 'ANN' }, { messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'one' }], answer: 'first' }, { prompt: 'two', answer: 'second' }]);
  const text = async (messages: Message[]): Promise<string> => (await ask(model, { messages })).text;
  assert.deepEqual([await text(talk('Ann')), await text(talk('Bob')), await text(talk('Ann', 'Shout.'))], ['Ann', 'Bob', 'ANN']);
  await assert.rejects(text(talk('Carol')), code('recording_missing'));
  await assert.rejects(text([{ role: 'user', content: 'What is my name?' }]), code('recording_missing'));
  assert.equal(await text([{ role: 'user', content: 'one' }]), 'first', 'a row without earlier turns');
  assert.equal(await text([{ role: 'system', content: 'other' }, { role: 'user', content: 'two ' }]), 'second');
  const both = await open([{ prompt: 'p', answer: 'plain' }, { messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'p' }], answer: 'with system' }]);
  assert.equal((await ask(both, { messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'p' }] })).text, 'with system');
  assert.equal((await ask(both, says('p'))).text, 'plain');
});

test('a cut answer has no correctness', async () => {
  const model = await open([{ prompt: 'p', answer: 'one two three four', correct: 1 }]);
  for (const sampling of [{ tokensMax: 2 }, { stop: ['three'] }]) {
    const finish = (await ask(model, says('p'), sampling)).parts.at(-1);
    assert.ok(finish?.type === 'finish' && finish.correct === undefined);
  }
});

test('several answers to one prompt are samples', async () => {
  const model = await open(['a', 'b', 'c'].map((answer) => ({ prompt: 'p', answer })));
  const text = async (sampling: object): Promise<string> => (await ask(model, says('p'), sampling)).text;
  assert.deepEqual([await text({}), await text({ temperature: 0, seed: 2 }), await text({ temperature: 1, seed: 1 }), await text({ temperature: 1, seed: 5 })], ['a', 'a', 'b', 'c']);
});

test('a file of several members needs one to be chosen', async () => {
  const rows = [{ member: 'x', prompt: 'p', answer: 'of x' }, { member: 'y', prompt: 'p', answer: 'of y' }];
  assert.equal((await ask(await open(rows, { member: 'y' }), says('p'))).text, 'of y');
  await assert.rejects(open(rows), code('config_invalid', /x, y/));
  await assert.rejects(open(rows, { member: 'z' }), code('model_file_invalid'));
});

test('every mistake names its line, and no text of it', async () => {
  const good = '{"prompt":"p","answer":"a"}\n';
  const bad = ['{"prompt":"secret', '[]', '{"answer":"secret"}', '{"prompt":"secret"}', '{"prompt":"p","answer":"secret","correct":7}', '{"prompt":"p","answer":"secret","tokens":[{"text":"other","logprob":-1}]}'];
  for (const line of bad) await assert.rejects(open(`${good}\n${line}\n`), (error) => code('model_file_invalid', /^Line 3 /)(error) && !String(error).includes('secret'), line);
  await assert.rejects(open(''), code('model_file_invalid'));
  await assert.rejects(openRecordedModel('it', settingsOf<'recorded'>({ engine: 'recorded', file: 'absent.jsonl' }), testContext({ baseDir: folder })), code('model_file_missing'));
});

test('replays at its pace by the clock, catching up when late', async () => {
  let nowMs = 0;
  const slept: number[] = [];
  const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, sleep: async (ms) => void (slept.push(ms), (nowMs += ms)) };
  const model = await open([{ prompt: 'p', answer: 'one two three four' }], { tokensPerSecond: 10 }, clock);
  let seen = 0;
  for await (const part of model.generate({ prompt: says('p'), sampling: {} }, quietCall())) if (part.type === 'text' && ++seen === 2) nowMs += 150;
  assert.equal(seen, 4);
  assert.deepEqual(slept, [100, 100, 50], 'the third piece was due while the reader was busy');
});

test('finds every row of a large file in little memory', async () => {
  const lines: string[] = [];
  for (let i = 0; i < 20_000; i++) lines.push(`{"prompt":"question ${i}","answer":"answer ${i} ${'x'.repeat(400)}"}`);
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  const model = await open(lines.join('\n'));
  assert.ok(process.memoryUsage().arrayBuffers - before < 16_000_000);
  for (const i of [0, 1, 9_999, 19_999]) assert.ok((await ask(model, says(`question ${i}`))).text.startsWith(`answer ${i} `));
});
