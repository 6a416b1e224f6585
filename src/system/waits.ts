/** Waits that end by themselves, whatever becomes of what is waited for: a database across a line that fell silent never answers. */
import { TandemError } from '../errors.ts';
import type { Limits } from '../exchange.ts';
import type { Journey } from '../pipeline.ts';
import { offAbort, onAbort } from './abort.ts';
import { systemClock } from './clock.ts';
import { Deadlines } from './deadlines.ts';

/** A store answers in the machine's time, whatever clock the request goes by. */
const deadlines = new Deadlines(systemClock);

/** The reason that a signal was aborted for, as an error of the catalogue. */
export function reasonOf(signal: AbortSignal): TandemError {
  return TandemError.is(signal.reason) ? signal.reason : new TandemError('cancelled', { message: 'The request was cancelled.' });
}

/** What a request fails with when its time is over. @param totalMs that it had, in milliseconds */
export function timeOver(totalMs: number): TandemError {
  return new TandemError('deadline_exceeded', { message: `The answer was not finished within ${totalMs} milliseconds.` });
}

/**
 * What work for a request gives, but no longer than its client waits and its time lasts. The work itself goes on; what becomes of it then is ignored.
 * @param limits of the request
 * @throws {TandemError} cancelled, deadline_exceeded; else what the work throws
 */
export function whileWanted<T>(work: Promise<T>, { totalMs }: Limits, { signal, trace }: Journey): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onLeave = (): void => reject(reasonOf(signal));
  if (signal.aborted) onLeave();
  else onAbort(signal, onLeave);
  const unwatch = totalMs === undefined ? undefined : deadlines.watch(totalMs - trace.elapsedMs(), () => reject(timeOver(totalMs)));
  work.then(resolve, reject);
  return promise.finally(() => {
    offAbort(signal, onLeave);
    unwatch?.();
  });
}

/** Resolves or rejects as the work does, but resolves after so many milliseconds of the machine's clock; the work then goes on unheard. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  try {
    await Promise.race([work, over.promise]);
  } finally {
    clearTimeout(timer);
  }
}
