/** Hearing of an abort: the same for our own signals and for everybody else's. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Aborter, offAbort, onAbort } from './abort.ts';

for (const [name, Controller] of [['Aborter', Aborter], ['AbortController', AbortController]] as const) {
  test(`${name}: those who want to hear are told once, in their order; those who were taken back are not`, () => {
    const controller = new Controller();
    const { signal } = controller;
    const heard: string[] = [];
    const [first, second, third] = ['first', 'second', 'third'].map((who) => () => void heard.push(who)) as [() => void, () => void, () => void];
    for (const callback of [first, second, third]) onAbort(signal, callback);
    offAbort(signal, second);
    offAbort(signal, () => undefined);
    signal.addEventListener('abort', () => heard.push('event'));
    controller.abort('why');
    controller.abort('again');
    assert.deepEqual(heard.toSorted(), ['event', 'first', 'third']);
    assert.ok(heard.indexOf('first') < heard.indexOf('third'));
    assert.equal(signal.reason, 'why');
    onAbort(signal, second);
    controller.abort();
    assert.ok(!heard.includes('second'), 'a signal that has aborted tells nobody any more');
  });

  test(`${name}: a callback may take others back and hear the reason`, () => {
    const controller = new Controller();
    const { signal } = controller;
    const heard: unknown[] = [];
    onAbort(signal, () => heard.push(signal.aborted, signal.reason));
    controller.abort(7);
    assert.deepEqual(heard, [true, 7]);
  });
}

test('a signal of long life keeps nothing of the many who listened for a while', () => {
  const { signal } = new AbortController();
  let added = 0;
  const { addEventListener } = signal;
  signal.addEventListener = function (this: AbortSignal, ...args: Parameters<typeof addEventListener>) {
    added++;
    return addEventListener.apply(this, args);
  } as typeof addEventListener;
  for (let round = 0; round < 1_000; round++) {
    const callback = (): void => undefined;
    onAbort(signal, callback);
    offAbort(signal, callback);
  }
  assert.equal(added, 1);
});

test('an aborted Aborter throws what it was aborted with', () => {
  const aborter = new Aborter();
  aborter.abort(new Error('stopped'));
  assert.throws(() => aborter.signal.throwIfAborted(), /stopped/);
});
