/** Who may begin, on models that are nothing but room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, type Need } from './admission.ts';
import type { OpenModel } from './open-model.ts';

const room = (cells: number, requestsMax: number, sequencesMax: number): OpenModel => ({ context: { cells }, requestsMax, sequencesMax, requests: 0, promised: 0, promisedSequences: 0 }) as unknown as OpenModel;
const need = (cells: number, sequences = 1): Need => ({ cells, sequences });

/** A line whose runs note when they begin. */
function line(): { readonly admission: Admission; readonly begun: number[]; enter(run: number, ...needs: readonly [OpenModel, Need][]): void } {
  const admission = new Admission();
  const begun: number[] = [];
  return { admission, begun, enter: (run, ...needs) => admission.enter({ run, needs: new Map(needs), begin: () => void begun.push(run) }) };
}

test('requests begin in their order while there are places, memory and sequences', () => {
  const { admission, begun, enter } = line();
  const [a, b] = [room(100, 2, 3), room(100, 4, 5)];
  enter(1, [a, need(10)]);
  enter(2, [a, need(80)]);
  enter(3, [a, need(10)]);
  enter(4, [a, need(5)], [b, need(5)]);
  enter(5, [b, need(100)]);
  admission.admit();
  assert.deepEqual(begun, [1, 2], 'the third has no place, and whoever needs its model or waits behind them has to wait');
  admission.leave(1);
  admission.admit();
  assert.deepEqual(begun, [1, 2, 3]);
  admission.leave(2);
  admission.admit();
  assert.deepEqual(begun, [1, 2, 3, 4]);
  admission.leave(4);
  admission.admit();
  assert.deepEqual([admission.waiting, admission.admitted], [0, 2]);
  for (const run of [3, 5]) admission.leave(run);
  assert.deepEqual([a.requests, a.promised, a.promisedSequences, b.requests, b.promised, b.promisedSequences], [0, 0, 0, 0, 0, 0]);
});

test('what could never begin is refused', () => {
  const { enter } = line();
  assert.throws(() => enter(1, [room(100, 2, 3), need(101)]), { code: 'context_too_long' });
  assert.throws(() => enter(1, [room(100, 2, 1), need(10, 2)]), { code: 'engine_out_of_memory' });
});

test('a program with two sequences on one model needs two', () => {
  const { admission, begun, enter } = line();
  const model = room(100, 2, 3);
  enter(1, [model, need(10, 2)]);
  enter(2, [model, need(10, 2)]);
  admission.admit();
  assert.deepEqual(begun, [1]);
});

test('what cannot wait takes what is free, ahead of nobody', () => {
  const { admission, begun, enter } = line();
  const model = room(100, 2, 3);
  enter(1, [model, need(30)]);
  admission.admit();
  admission.take(2, model, need(30));
  assert.throws(() => admission.take(3, model, need(50)), { code: 'engine_out_of_memory' });
  admission.take(3, model, need(30));
  assert.throws(() => admission.take(4, model, need(1)), { code: 'engine_out_of_memory' });
  enter(5, [model, need(5)]);
  admission.admit();
  assert.deepEqual(begun, [1], 'no sequence is left');
  admission.leave(2);
  assert.throws(() => admission.take(6, model, need(1)), { code: 'engine_out_of_memory' }, 'somebody waits for it');
  admission.admit();
  assert.deepEqual(begun, [1, 5]);
  assert.equal(model.requests, 2);
});
