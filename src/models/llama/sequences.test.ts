/** Where sequences lie and in which order their tokens reach the library, over a context that computes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Laws, Step } from '../../decoding/program.ts';
import { seededRandom } from '../../system/random.ts';
import type { DecodeOutcome, LlamaContext, MemoryLayout } from './context.ts';
import { Scheduler } from './scheduler.ts';
import { SequenceStore, type LlamaSequence } from './sequences.ts';
import type { PendingStep, Task } from './task.ts';

/** What a context is asked, without one. */
class FakeContext {
  readonly layout: MemoryLayout;
  readonly cells = 4096;
  readonly vocabularySize = 1000;
  readonly outputsMax = 64;
  length = 0;
  outputs = 0;
  /** Sequences of the batch under construction, and those of the batches before. */
  batch: number[] = [];
  readonly batches: number[][] = [];
  /** What comes of a batch, and whether sequences can be cut back. */
  outcome: DecodeOutcome = 'done';
  cuts = true;

  constructor(layout: MemoryLayout) {
    this.layout = layout;
  }

  get context(): LlamaContext {
    return this as unknown as LlamaContext;
  }

  add(_token: number, _position: number, sequence: number, wanted: boolean): number {
    this.length++;
    this.batch.push(sequence);
    return wanted ? this.outputs++ : -1;
  }

  decode(): DecodeOutcome {
    this.batches.push(this.batch);
    this.batch = [];
    this.length = 0;
    this.outputs = 0;
    return this.outcome;
  }

  mayStop(): void {}

  cut(): boolean {
    return this.cuts;
  }

  law(): Float32Array {
    return new Float32Array(1);
  }

  share(): void {}
}

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

test('a batch holds its sequences in the order of their places, and every task gets its own steps', () => {
  const fake = new FakeContext('apart');
  const store = new SequenceStore(fake.context, 8, 512, true);
  const scheduler = new Scheduler({ begin: () => undefined, end: () => undefined }, () => 0);
  scheduler.addLane({ context: fake.context, store, rollsBack: true, useAdapter: () => undefined });
  class Writer implements Task {
    readonly pending: PendingStep[] = [];
    waits = false;
    readonly sequence = store.open('model', '');
    steps = 0;
    readonly run: number;
    readonly length: number;

    constructor(run: number, length: number) {
      this.run = run;
      this.length = length;
    }

    next(): readonly Step[] {
      return [{ sequence: this.sequence, tokens: Array.from({ length: this.steps === 0 ? this.length : 1 }, () => this.run), laws: 'last' }];
    }

    resume(laws: readonly Laws[]): readonly Step[] {
      assert.equal(laws.length, 1);
      assert.ok(this.sequence.tokens.every((token) => token === this.run), 'its own tokens');
      return ++this.steps < 20 ? this.next() : [];
    }

    fail(error: unknown): readonly Step[] {
      throw error;
    }
  }
  const tasks = [100, 3, 1, 60, 2].map((length, n) => new Writer(n + 1, length));
  for (const task of tasks) scheduler.submit(task, task.next());
  while (scheduler.busy) scheduler.advance();
  assert.deepEqual(tasks.map(({ steps, sequence }) => [steps, sequence.length]), [100, 3, 1, 60, 2].map((length) => [20, length + 19]));
  for (const batch of fake.batches) assert.deepEqual(batch, batch.toSorted((a, b) => a - b));
  assert.ok(fake.batches.some((batch) => new Set(batch).size === 5), 'all five in one batch');
});

test('a batch of several requests is not stopped for one of them where that would be lost for all; alone, one may be', () => {
  for (const rollsBack of [true, false]) {
    const fake = new FakeContext('apart');
    const store = new SequenceStore(fake.context, 8, 512, rollsBack);
    const watched: (readonly number[])[] = [];
    const scheduler = new Scheduler({ begin: (runs) => watched.push(runs), end: () => undefined }, () => 0);
    scheduler.addLane({ context: fake.context, store, rollsBack, useAdapter: () => undefined });
    const failed: unknown[] = [];
    const reader = (run: number): Task & { readonly first: readonly Step[] } => {
      const sequence = store.open('model', '');
      return { run, pending: [], waits: false, first: [{ sequence, tokens: new Array<number>(300).fill(run), laws: 'last' }], resume: () => [], fail: (error) => (failed.push(error), []) };
    };
    const [one, other] = [reader(1), reader(2)];
    scheduler.submit(one, one.first);
    scheduler.submit(other, other.first);
    scheduler.advance();
    assert.deepEqual(watched, rollsBack ? [[1, 2]] : []);
    scheduler.withdraw(other);
    fake.cuts = rollsBack;
    fake.outcome = 'stopped';
    scheduler.advance();
    assert.deepEqual(watched.at(-1), [1]);
    assert.equal(failed.length, rollsBack ? 0 : 1);
    assert.equal(scheduler.busy, rollsBack);
  }
});
