/** The time that a request may take, over all that is done for it. */
import type { Limits } from '../exchange.ts';
import type { Journey } from '../pipeline.ts';
import type { Aborter } from '../system/abort.ts';
import type { Deadlines } from '../system/deadlines.ts';
import { timeOver } from '../system/waits.ts';

/**
 * Aborts a run with `deadline_exceeded` when its request's time is over, and says so to whoever waits for something else.
 * @returns what ends the watch; undefined without a limit
 * @throws {TandemError} deadline_exceeded when it is over already
 */
export function watchTime({ totalMs }: Limits, journey: Journey, deadlines: Deadlines, run: Aborter): (() => void) | undefined {
  if (totalMs === undefined) return undefined;
  const leftMs = totalMs - journey.trace.elapsedMs();
  if (leftMs <= 0) throw timeOver(totalMs);
  return deadlines.watch(leftMs, () => {
    run.abort(timeOver(totalMs));
    journey.onTimeUp?.();
  });
}
