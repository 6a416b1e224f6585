/** The table that is shipped: equal to Python's vectors, as its manifest says, small, and near in meaning. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { bundledEmbedder, bundledTable } from '../../src/embed/bundled.ts';

const skip = existsSync(bundledTable) ? false : 'weights/embedder/table.bin is not there';
const weights = new URL('../../weights/', import.meta.url);

function vectorOf(text: string): Float64Array {
  const embedder = bundledEmbedder();
  const vector = new Float64Array(embedder.size);
  embedder.embed(text, vector);
  return vector;
}

function cosine(a: string, b: string): number {
  const [x, y] = [vectorOf(a), vectorOf(b)];
  return x.reduce((sum, each, j) => sum + each * (y[j] as number), 0);
}

test('vectors equal those that the trainer wrote', { skip }, () => {
  const rows = JSON.parse(readFileSync(new URL('embedder/check.json', weights), 'utf8')) as { text: string; vector: number[] }[];
  assert.ok(rows.length >= 10);
  for (const { text, vector } of rows) {
    const worst = Math.max(...vectorOf(text).map((each, j) => Math.abs(each - (vector[j] as number))));
    assert.ok(worst < 1e-5, `${worst} in a text of ${text.length} characters`);
  }
});

test('the manifest tells the truth about the file', { skip }, () => {
  const { embedder } = JSON.parse(readFileSync(new URL('manifest.json', weights), 'utf8')) as { embedder: { id: string; file: string; bytes: number; sha256: string; parameters: number; dimensions: number } };
  const bytes = readFileSync(new URL(embedder.file, weights));
  assert.deepEqual([bytes.length, createHash('sha256').update(bytes).digest('hex')], [embedder.bytes, embedder.sha256]);
  assert.deepEqual([bundledEmbedder().id, bundledEmbedder().parameters, bundledEmbedder().size], [embedder.id, embedder.parameters, embedder.dimensions]);
  assert.ok(embedder.bytes < 8e6);
});

test('texts that mean the same are nearer than texts that share a word', { skip }, () => {
  for (const [text, same, other] of [
    ['how do I cook rice', 'recipe for boiling rice', 'how do I get to the airport'],
    ['transfer money to my savings', 'move cash into my account', 'is it going to rain tomorrow'],
    ['my laptop will not turn on', 'the computer does not start', 'turn on the kitchen lights'],
    ['The physician examined the patient.', 'A doctor looked at a sick man.', 'The patient angler caught a fish.'],
  ] as const) assert.ok(cosine(text, same) > cosine(text, other), `${text}: ${cosine(text, same)}, ${cosine(text, other)}`);
});

test('texts in any script have a vector, and equal texts the same one', { skip }, () => {
  for (const text of ['图书馆在哪里', 'Где библиотека?', 'مكتبة', '😀', '한국어']) assert.ok(Math.abs(cosine(text, text) - 1) < 1e-9, text);
});
