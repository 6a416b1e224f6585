/** Dollars while they are short: who among the requests to `tandem/auto` may make paid calls, and when. */
import type { Part } from '../../exchange.ts';
import type { RecipeContext } from '../recipe.ts';

/** What paid calls of a request are for. */
export interface PaidTask {
  /** Dollars that they are expected to gain over the best free way, or over no answer where there is none. */
  readonly gainUsd: number;
  /** Dollars that they are expected to cost, above 0. */
  readonly costUsd: number;
  /** Dollars that they can cost at most. */
  readonly costUsdMax: number;
}

/** Who says it; `policy/paid-admission.ts` does. */
export interface PaidQueue {
  /** Dollars that a dollar has to gain now; 0 while there are enough. */
  readonly floor: number;
  /** Waits for leave to make the calls. @returns what to call once they are over; undefined: turned away, others gain more */
  enter(task: PaidTask, signal: AbortSignal): Promise<(() => void) | undefined>;
}

/** Ways to answer. */
export interface PaidWay {
  readonly paid: () => AsyncIterable<Part>;
  /** What is done instead when it is turned away. @throws {TandemError} overloaded, where there is no free way */
  readonly free: () => AsyncIterable<Part>;
}

/** Answers by the paid way when it is let in, else by the free one. */
export async function* whenAdmitted(queue: PaidQueue, task: PaidTask, { paid, free }: PaidWay, { span, signal, clock }: RecipeContext<unknown>): AsyncGenerator<Part> {
  const startMs = clock.monotonicMs();
  const leave = await queue.enter(task, signal);
  const waitedMs = clock.monotonicMs() - startMs;
  if (waitedMs > 0) span.event('paid.waited', { waitedMs, admitted: leave !== undefined });
  if (leave === undefined) return yield* free();
  try {
    yield* paid();
  } finally {
    leave();
  }
}
