/**
 * What a cascade is optimised on and measured by: for every arm (a member, asked so many times) and every request the
 * quality of its answer, what it cost, the score of its acceptance test, and what the answer comes down to.
 */

/** A way of answering: one member asked `samples` times. Several samples are settled by the largest group that agrees. */
export interface Arm {
  /** Role or id of the member. */
  readonly member: string;
  /** 1 to 16. */
  readonly samples: number;
}

/** Recorded outcomes; every inner array is as long as there are requests, every outer one as there are arms. */
export interface Recorded {
  readonly arms: readonly Arm[];
  /** 0 to 1. */
  readonly quality: readonly Float64Array[];
  /** Dollars, or joules, or milliseconds: whatever the budget is in. */
  readonly cost: readonly Float64Array[];
  /** Score of the acceptance test, 0 to 1, higher is surer. */
  readonly score: readonly Float64Array[];
  /** How hard the request looks before anything is asked, 0 to 1. */
  readonly prior?: Float64Array;
  /** What each answer comes down to; equal texts are equal answers. */
  readonly result?: readonly (readonly string[])[];
}

/** Number of requests. */
export function rowsOf({ quality }: Recorded): number {
  return quality[0]?.length ?? 0;
}

/** Some of the requests. */
export function pick(recorded: Recorded, rows: ArrayLike<number>): Recorded {
  const some = (values: Float64Array): Float64Array => Float64Array.from(rows, (row) => values[row] as number);
  return {
    arms: recorded.arms,
    quality: recorded.quality.map(some),
    cost: recorded.cost.map(some),
    score: recorded.score.map(some),
    ...(recorded.prior === undefined ? {} : { prior: some(recorded.prior) }),
    ...(recorded.result === undefined ? {} : { result: recorded.result.map((texts) => Array.from(rows, (row) => texts[row] ?? '')) }),
  };
}

/** Mean quality and cost of a policy. */
export interface Outcome {
  readonly quality: number;
  readonly cost: number;
}

/** Mean quality and cost of asking one arm always. */
export function alone({ quality, cost }: Recorded, arm: number): Outcome {
  const mean = (values: Float64Array): number => values.reduce((sum, each) => sum + each, 0) / values.length;
  return { quality: mean(quality[arm] as Float64Array), cost: mean(cost[arm] as Float64Array) };
}
