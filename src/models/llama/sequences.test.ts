/** Where sequences lie, over a context that computes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { FakeContext } from '../../../test/engine/fake-context.ts';
import type { MemoryLayout } from './context.ts';
import { SequenceStore, type LlamaSequence } from './sequences.ts';

const storeOf = (layout: MemoryLayout, ids: number): SequenceStore => new SequenceStore(new FakeContext(layout).context, ids, 512, true);
const prompt = (n: number, length = 32): number[] => Array.from({ length }, (_, at) => 1 + n + (at === 0 ? 0 : at % 7));

/** Opens a sequence that holds a prompt, as if it had been computed. */
function opened(store: SequenceStore, tokens: readonly number[]): LlamaSequence {
  const sequence = store.open('model', '', tokens);
  for (let n = sequence.length; n < tokens.length; n++) sequence.tokens.push(tokens[n] as number);
  return sequence;
}

/** Runs of neighbours among sequences: what the library computes one after the other. */
function runs(sequences: readonly LlamaSequence[]): number {
  const ids = sequences.map(({ id }) => id).toSorted((a, b) => a - b);
  return ids.filter((id, n) => n === 0 || id !== (ids[n - 1] as number) + 1).length;
}

test('sequences that are used together lie side by side, whatever was kept before, and a hole is filled first', () => {
  const store = storeOf('apart', 9);
  for (let n = 0; n < 9; n++) opened(store, prompt(10 * n)).close();
  assert.equal(store.keptCount, 9);
  const four = [100, 200, 300, 400].map((n) => opened(store, prompt(n)));
  assert.equal(runs(four), 1);
  const inner = four.toSorted((a, b) => a.id - b.id)[1] as LlamaSequence;
  inner.close();
  const next = opened(store, prompt(500));
  assert.equal(next.id, inner.id, 'the hole, though its prefix was kept last');
  assert.equal(store.keptCount, 5);
});

test('with as many coming and going at random, mostly one run of neighbours is in use', () => {
  const store = storeOf('apart', 17);
  const random = seededRandom(3).next;
  const live: LlamaSequence[] = [];
  const counts: number[] = [];
  for (let n = 0; n < 2000; n++) {
    if (live.length === 4) (live.splice(Math.floor(4 * random()), 1)[0] as LlamaSequence).close();
    live.push(opened(store, prompt(Math.floor(900 * random()))));
    if (live.length === 4) counts.push(runs(live));
    assert.equal(new Set(live.map(({ id }) => id)).size, live.length);
  }
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  assert.ok(mean < 1.5, `${mean} runs`); // 3.3 where places are picked at random
});

test('a prompt goes on with the longest prefix that is kept; of equal ones, with that beside a sequence in use', () => {
  const store = storeOf('apart', 8);
  const common = prompt(1, 40);
  const all = Array.from({ length: 8 }, (_, n) => opened(store, [...common, 900 + n]));
  for (const sequence of all) sequence.close();
  const one = opened(store, prompt(700));
  const again = opened(store, [...common, 990]);
  assert.equal(again.length, 41);
  assert.equal(Math.abs(again.id - one.id), 1);
  const longest = opened(store, [...common, (all.find(({ id }) => id !== one.id && id !== again.id) as LlamaSequence).tokens.at(-1) as number, 5]);
  assert.equal(longest.length, 42);
});

test('where all lie together, the place does not matter: the least recently used prefix makes way', () => {
  const store = storeOf('together', 4);
  const kept = [10, 20, 30, 40].map((n) => opened(store, prompt(n)));
  for (const sequence of kept) sequence.close();
  assert.deepEqual([opened(store, prompt(500)), opened(store, prompt(600))].map(({ id }) => id), [kept[0]?.id, kept[1]?.id]);
});
