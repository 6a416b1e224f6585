/** The time that a request may take, over all that is done for it. */
import { TandemError } from '../errors.ts';
import type { Limits } from '../exchange.ts';
import type { Journey } from '../pipeline.ts';
import type { Aborter } from '../system/abort.ts';
import type { Deadlines } from '../system/deadlines.ts';

/**
 * Aborts a run with `deadline_exceeded` when its request's time is over, and says so to whoever waits for something else.
 * @returns what ends the watch; undefined without a limit
 * @throws {TandemError} deadline_exceeded when it is over already
 */
export function watchTime({ totalMs }: Limits, journey: Journey, deadlines: Deadlines, run: Aborter): (() => void) | undefined {
  if (totalMs === undefined) return undefined;
  const error = (): TandemError => new TandemError('deadline_exceeded', { message: `The answer was not finished within ${totalMs} milliseconds.` });
  const leftMs = totalMs - journey.trace.elapsedMs();
  if (leftMs <= 0) throw error();
  return deadlines.watch(leftMs, () => {
    run.abort(error());
    journey.onTimeUp?.();
  });
}
