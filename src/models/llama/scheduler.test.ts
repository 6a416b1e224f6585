/** How steps become batches, over a context that computes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeContext } from '../../../test/engine/fake-context.ts';
import type { Laws, Step } from '../../decoding/program.ts';
import { Scheduler, type Watch } from './scheduler.ts';
import { SequenceStore, type LlamaSequence } from './sequences.ts';
import type { PendingStep, Task } from './task.ts';

const quiet: Watch = { begin: () => undefined, end: () => undefined, urgent: false };

interface Bench {
  readonly fake: FakeContext;
  readonly store: SequenceStore;
  readonly scheduler: Scheduler;
  /** The adapter of each batch. */
  readonly adapters: string[];
}

function bench({ watch = quiet, now = () => 0, tokensMax = 512, rollsBack = true }: { readonly watch?: Watch; readonly now?: () => number; readonly tokensMax?: number; readonly rollsBack?: boolean } = {}): Bench {
  const fake = new FakeContext('apart');
  const store = new SequenceStore(fake.context, 8, tokensMax, rollsBack);
  const scheduler = new Scheduler(watch, now);
  const adapters: string[] = [];
  scheduler.addLane({ context: fake.context, store, rollsBack, useAdapter: (name) => void adapters.push(name) });
  return { fake, store, scheduler, adapters };
}

/** A task that yields what a function gives, with the laws of the step before. */
class FakeTask implements Task {
  readonly run: number;
  readonly pending: PendingStep[] = [];
  waits = false;
  readonly sequence: LlamaSequence;
  readonly errors: unknown[] = [];
  resumed = 0;
  readonly #more: (laws: readonly Laws[]) => readonly Step[];

  constructor(store: SequenceStore, run: number, more: (task: FakeTask, laws: readonly Laws[]) => readonly Step[], adapter = '') {
    this.run = run;
    this.sequence = store.open('model', adapter);
    this.#more = (laws) => more(this, laws);
  }

  resume(laws: readonly Laws[]): readonly Step[] {
    this.resumed++;
    return this.#more(laws);
  }

  fail(error: unknown): readonly Step[] {
    this.errors.push(error);
    return [];
  }
}

/** A task whose one step writes on by itself: each token is the one before plus one, `count` in all. */
function writer({ store, scheduler }: Bench, run: number, prompt: readonly number[], count: number, adapter = ''): FakeTask & { readonly written: number[] } {
  const written: number[] = [];
  const task = new FakeTask(store, run, (_, laws) => {
    assert.deepEqual(laws.map((of) => of.at(0)[0]), [(written.at(-1) as number)], 'the law after the last token that was read');
    return [];
  }, adapter);
  const next = (law: Float32Array): number | undefined => {
    written.push(law[0] as number);
    return written.length < count ? (law[0] as number) : undefined;
  };
  scheduler.submit(task, [{ sequence: task.sequence, tokens: prompt, laws: 'last', next }]);
  return Object.assign(task, { written });
}

const upFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, n) => first + n);

test('a batch holds its sequences in the order of their places, and every task gets its own steps', () => {
  const { fake, store, scheduler } = bench();
  const steps = new Map<FakeTask, number>();
  const next = (task: FakeTask, length: number): readonly Step[] => [{ sequence: task.sequence, tokens: Array.from({ length }, () => task.run), laws: 'last' }];
  const lengths = [100, 3, 1, 60, 2];
  const tasks = lengths.map((_, n) => new FakeTask(store, n + 1, (task, laws) => {
    assert.equal(laws.length, 1);
    assert.ok(task.sequence.tokens.every((token) => token === task.run), 'its own tokens');
    steps.set(task, (steps.get(task) ?? 0) + 1);
    return (steps.get(task) as number) < 20 ? next(task, 1) : [];
  }));
  for (const [n, task] of tasks.entries()) scheduler.submit(task, next(task, lengths[n] as number));
  while (scheduler.busy) scheduler.advance(1);
  assert.deepEqual(tasks.map((task) => [steps.get(task), task.sequence.length]), lengths.map((length) => [20, length + 19]));
  for (const batch of fake.batches) assert.deepEqual(batch, batch.toSorted((a, b) => a - b));
  assert.ok(fake.batches.some((batch) => new Set(batch).size === 5), 'all five in one batch');
});

test('a step that goes on by itself writes token after token, and wakes its task once', () => {
  const stand = bench();
  const task = writer(stand, 1, [5, 6, 7], 20);
  while (stand.scheduler.busy) stand.scheduler.advance(1);
  assert.deepEqual(task.written, upFrom(8, 20));
  assert.deepEqual(task.sequence.tokens, [5, 6, 7, ...upFrom(8, 19)], 'the last one is not read');
  assert.equal(task.resumed, 1);
  assert.equal(stand.fake.batches.length, 20);
});

test('alone it goes on until its time is up, something is urgent, or it is over; beside others one batch at a time', () => {
  let nowMs = 0;
  let urgent = false;
  const stand = bench({ now: () => nowMs++, watch: { ...quiet, get urgent() { return urgent; } } });
  const { scheduler } = stand;
  const task = writer(stand, 1, [5], 100);
  nowMs = 0;
  assert.equal(scheduler.advance(10), 11, 'the first batch, and one for each millisecond');
  assert.equal(scheduler.lone, true);
  urgent = true;
  assert.equal(scheduler.advance(1e9), 1);
  urgent = false;
  const other = writer(stand, 2, [300], 30);
  assert.equal(scheduler.lone, false);
  for (let n = 0; n < 30; n++) assert.equal(scheduler.advance(1e9), 1);
  assert.deepEqual(other.written, upFrom(301, 30));
  assert.equal(task.written.length, 42);
  assert.equal(scheduler.advance(1e9), 58, 'the rest in one go');
  assert.equal(scheduler.busy, false);
  assert.deepEqual(task.written, upFrom(6, 100));
});

test('several steps of one task go on side by side; it wakes with the last law of each', () => {
  const { store, scheduler } = bench();
  const counts = [3, 9, 1];
  const sequences = counts.map(() => store.open('model', ''));
  let woken: (number | undefined)[] = [];
  const task = new FakeTask(store, 1, (_, laws) => {
    woken = laws.map((of) => of.at(0)[0]);
    return [];
  });
  scheduler.submit(task, sequences.map((sequence, n) => {
    let left = counts[n] as number;
    return { sequence, tokens: [100 * n], laws: 'last' as const, next: (law) => (--left > 0 ? law[0] : undefined) };
  }));
  while (scheduler.busy) scheduler.advance(1);
  assert.deepEqual(woken, [3, 109, 201]);
  assert.deepEqual(sequences.map(({ length }) => length), counts);
});

test('what `next` throws, a token outside the vocabulary and a full context end the task, and nobody else', () => {
  for (const beside of [false, true]) {
    const cases: readonly [string, (law: Float32Array) => number | undefined][] = [
      ['internal', () => { throw new TypeError('made up'); }],
      ['parameter_invalid', () => 1000],
      ['context_too_long', (law) => law[0]],
    ];
    for (const [code, next] of cases) {
      const stand = bench({ tokensMax: 40 });
      const other = beside ? writer(stand, 2, [500], 30) : undefined;
      const task = new FakeTask(stand.store, 1, () => assert.fail('woken'));
      stand.scheduler.submit(task, [{ sequence: task.sequence, tokens: [1, 2], laws: 'last', next }]);
      while (stand.scheduler.busy) stand.scheduler.advance(1e9);
      assert.equal(task.errors.length, 1);
      assert.equal((task.errors[0] as { readonly code?: string }).code ?? 'internal', code);
      assert.deepEqual(other?.written, beside ? upFrom(501, 30) : undefined);
    }
  }
});

test('requests under different adapters take turns, batch by batch, however much one of them writes', () => {
  const stand = bench();
  const { scheduler, adapters } = stand;
  const long = writer(stand, 1, [5], 100, 'one');
  const beside = writer(stand, 2, [200], 100, 'one');
  const other = writer(stand, 3, [400], 10, 'two');
  const plain = writer(stand, 4, [600], 10);
  for (let n = 0; n < 45; n++) scheduler.advance(1e9);
  assert.deepEqual([other.written, plain.written], [upFrom(401, 10), upFrom(601, 10)], 'about a quarter of the turns each');
  assert.deepEqual(new Set(adapters.slice(0, 4)), new Set(['one', 'two', '']));
  while (scheduler.busy) scheduler.advance(1e9);
  assert.deepEqual([long.written, beside.written], [upFrom(6, 100), upFrom(201, 100)]);
});

test('a batch that was not computed: memory is cut back, and the step is tried again or ends', () => {
  const stand = bench();
  const { fake, scheduler } = stand;
  const task = writer(stand, 1, [5], 6);
  fake.outcomes.push('done', 'done', 'stopped');
  scheduler.advance(1e9);
  assert.deepEqual(fake.cuts, [[task.sequence.id, 2]]);
  while (scheduler.busy) scheduler.advance(1e9);
  assert.deepEqual(task.written, upFrom(6, 6));
  const failing = writer(stand, 2, [5], 6);
  fake.outcomes.push('done', 'failed');
  while (scheduler.busy) scheduler.advance(1e9);
  assert.equal((failing.errors[0] as { readonly code: string }).code, 'engine_failed');
});

test('a batch of several requests is not stopped for one of them where that would be lost for all; alone, one may be', () => {
  for (const rollsBack of [true, false]) {
    const watched: (readonly number[])[] = [];
    const it = bench({ watch: { ...quiet, begin: (runs) => void watched.push(runs) }, rollsBack });
    const [one, other] = [1, 2].map((run) => new FakeTask(it.store, run, () => [])) as [FakeTask, FakeTask];
    for (const task of [one, other]) it.scheduler.submit(task, [{ sequence: task.sequence, tokens: new Array<number>(300).fill(task.run), laws: 'last' }]);
    it.scheduler.advance(0);
    assert.deepEqual(watched, rollsBack ? [[1, 2]] : []);
    it.scheduler.withdraw(other);
    it.fake.rollsBack = rollsBack;
    it.fake.outcomes.push('stopped');
    it.scheduler.advance(0);
    assert.deepEqual(watched.at(-1), [1]);
    assert.equal(one.errors.length, rollsBack ? 0 : 1);
    assert.equal(it.scheduler.busy, rollsBack);
  }
});
