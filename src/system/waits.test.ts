/** Waits for work that may never end. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Journey } from '../pipeline.ts';
import { Aborter } from './abort.ts';
import { atMost, whileWanted } from './waits.ts';

const never = new Promise<never>(() => undefined);
const journey = (signal: AbortSignal, elapsedMs = 0): Journey => ({ signal, trace: { elapsedMs: () => elapsedMs } }) as unknown as Journey;

test('work for a request gives what it gives, and takes its listeners back', async () => {
  const { signal } = new Aborter();
  const limits = { totalMs: 600_000 };
  assert.equal(await whileWanted(Promise.resolve(7), limits, journey(signal)), 7);
  await assert.rejects(whileWanted(Promise.reject(new Error('no')), limits, journey(signal)), /no/);
  assert.equal(await whileWanted(Promise.resolve(8), {}, journey(signal)), 8);
});

test('a client that leaves, or has left, is not waited for any more', async () => {
  const aborter = new Aborter();
  const waiting = whileWanted(never, {}, journey(aborter.signal));
  aborter.abort();
  await assert.rejects(waiting, { code: 'cancelled' });
  await assert.rejects(whileWanted(never, {}, journey(aborter.signal)), { code: 'cancelled' });
  const late = Promise.withResolvers<never>();
  await assert.rejects(whileWanted(late.promise, {}, journey(aborter.signal)), { code: 'cancelled' });
  late.reject(new Error('nobody hears of it'));
});

test('the wait ends with the time of the request, of which some is over', async () => {
  const { signal } = new Aborter();
  await assert.rejects(whileWanted(never, { totalMs: 60_000 }, journey(signal, 59_990)), { code: 'deadline_exceeded', message: /60000 milliseconds/ });
  await assert.rejects(whileWanted(never, { totalMs: 5 }, journey(signal, 10)), { code: 'deadline_exceeded' });
});

test('at most so long: else the work is what counts', async () => {
  await atMost(5, never);
  await atMost(60_000, Promise.resolve());
  await assert.rejects(atMost(60_000, Promise.reject(new Error('no'))), /no/);
});
