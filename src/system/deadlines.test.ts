import assert from 'node:assert/strict';
import test from 'node:test';
import type { Clock } from './clock.ts';
import { Deadlines } from './deadlines.ts';

/** A clock that a test moves. */
class HandClock implements Clock {
  nowMs = 0;
  readonly #waiting: { readonly atMs: number; readonly wake: () => void }[] = [];
  wallMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      this.#waiting.push({ atMs: this.nowMs + ms, wake: resolve });
    });
  }
  async go(toMs: number): Promise<void> {
    for (;;) {
      const next = this.#waiting.filter(({ atMs }) => atMs <= toMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.nowMs = next.atMs;
      next.wake();
      for (let n = 0; n < 5; n++) await Promise.resolve();
    }
    this.nowMs = toMs;
  }
}

test('near and far deadlines pass in time, and not when they were taken back', async () => {
  const clock = new HandClock();
  const deadlines = new Deadlines(clock);
  const passed: string[] = [];
  const off = (name: string, leftMs: number): (() => void) => deadlines.watch(leftMs, () => passed.push(name));
  off('near', 50);
  off('far', 20_000);
  const takenNear = off('taken near', 60);
  const takenFar = off('taken far', 15_000);
  takenNear();
  takenFar();
  await clock.go(49);
  assert.deepEqual(passed, []);
  await clock.go(50);
  assert.deepEqual(passed, ['near']);
  await clock.go(19_999);
  assert.deepEqual(passed, ['near']);
  await clock.go(20_100);
  assert.deepEqual(passed, ['near', 'far']);
  off('again', 12_000);
  await clock.go(32_300);
  assert.deepEqual(passed, ['near', 'far', 'again'], 'looking begins anew after a quiet time');
});
