/** The `static` engine against the part of the model port that it offers: vectors. It writes no text. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { createTandem } from '../../src/tandem.ts';
import { bundledTable } from '../../src/embed/bundled.ts';
import { openStaticModel } from '../../src/models/static/index.ts';
import type { Model } from '../../src/models/port.ts';
import { fileOf, tinyTable } from '../embedder/tiny-table.ts';
import { quietCall } from './asking.ts';
import { embeddingCases } from './embedding-cases.ts';
import { refuses } from './model-suite.ts';
import { settingsOf } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'tandem-static-'));
after(() => rmSync(folder, { recursive: true }));
const letters = Array.from('abcdefghijklmnopqrstuvwxyz').flatMap((each) => [each, `##${each}`]);
writeFileSync(join(folder, 'table.bin'), fileOf(tinyTable(letters, 16)));
const open = (file = 'table.bin'): Model => openStaticModel('it', settingsOf<'static'>({ engine: 'static', file }), { baseDir: folder });

embeddingCases({
  options: {},
  asks: [],
  model: () => open(),
  test: (name, needs, body) => void test(name, async (t) => (needs(open()) === undefined ? body(t) : t.skip(needs(open())))),
  greedy: () => ({}),
});

test('declares vectors and nothing else, and refuses to write', async () => {
  const { abilities, score, open: session, generate } = open();
  assert.deepEqual([abilities.levels, abilities.embeddingDimensions, score, session], [['Emb'], 16, undefined, undefined]);
  await refuses((async () => { for await (const _ of generate.call(open(), { prompt: { messages: [] }, sampling: {} }, quietCall())) break; })(), 'ability_missing');
});

test('refuses dimensions out of range, texts without characters, files that are not there', async () => {
  await refuses(open().embed!({ texts: ['a'], dimensions: 17 }, quietCall()), 'parameter_invalid');
  await refuses(open().embed!({ texts: ['a'], dimensions: 0 }, quietCall()), 'parameter_invalid');
  await refuses(open().embed!({ texts: ['a', ' '] }, quietCall()), 'parameter_invalid');
  await refuses(Promise.resolve().then(() => open('none.bin')), 'model_file_missing');
});

test('counts pieces as tokens', async () => {
  const { usage } = await open().embed!({ texts: ['abc', 'a b'] }, quietCall());
  assert.deepEqual(usage, { promptTokens: 5, completionTokens: 0 });
});

test('tandem/embed is the member in the role embed; such a member writes no text', async () => {
  const runtime = await createTandem({ members: { mine: { engine: 'static', file: 'table.bin', roles: ['embed'] } }, defaultModel: 'mine', store: { path: ':memory:' } }, { baseDir: folder });
  try {
    const { signal } = new AbortController();
    const { member, vectors, usage } = await runtime.embed({ model: 'tandem/embed', texts: ['a', 'b'], key: undefined }, signal);
    assert.deepEqual([member, vectors.length, vectors[0]?.length, usage.promptTokens], ['mine', 2, 16, 2]);
    assert.ok(runtime.models().some(({ id, kind }) => id === 'tandem/embed' && kind === 'embedder'));
    const asked = { surface: 'chat', prompt: { messages: [{ role: 'user', content: 'a' }] }, sampling: {}, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined } as const;
    await refuses(runtime.handle({ ...asked, model: 'mine' }, signal), 'ability_missing');
    await refuses(runtime.handle({ ...asked, model: 'tandem/embed' }, signal), 'ability_missing');
  } finally {
    await runtime.close();
  }
});

test('without such a member, tandem/embed is the bundled table', { skip: existsSync(bundledTable) ? false : 'weights/embedder/table.bin is not there' }, async () => {
  writeFileSync(join(folder, 'recorded.jsonl'), `${JSON.stringify({ prompt: 'a', answer: 'b' })}\n`);
  const runtime = await createTandem({ members: { cloud: { engine: 'recorded', file: 'recorded.jsonl', place: 'cloud' } }, defaultModel: 'cloud', store: { path: ':memory:' } }, { baseDir: folder });
  try {
    const { member, vectors } = await runtime.embed({ model: 'tandem/embed', texts: ['play some jazz', 'put on some music', 'what is my balance'], key: undefined }, new AbortController().signal);
    assert.equal(member, 'tandem/embed');
    const dot = (a = 0, b = 1): number => (vectors[a] as Float32Array).reduce((sum, each, j) => sum + each * ((vectors[b] as Float32Array)[j] as number), 0);
    assert.ok(dot(0, 1) > dot(0, 2) + 0.1, `nearer in meaning: ${dot(0, 1)}, ${dot(0, 2)}`);
  } finally {
    await runtime.close();
  }
});
