/**
 * Best-of-n with the number of samples chosen together with the member: what n samples of a member are worth, from N recorded
 * ones, and the cheapest arm that is expected to meet a target.
 *
 * Source: BEST-Route (arXiv:2506.22716). The expectations over all n-subsets are closed forms, not draws.
 */
import type { Arm } from './recorded.ts';
import type { Policy } from './policy.ts';

/** A recorded sample: how good it is, and the score by which the best one would be picked. */
export interface Sample {
  /** 0 to 1. */
  readonly quality: number;
  readonly score: number;
}

/**
 * Expected quality of the best-scored of n samples drawn without replacement from those recorded. The sample of rank i from the
 * top (0 first) is picked when it is drawn and none above it is: C(N - i - 1, n - 1) / C(N, n). Equal scores share.
 * @param n 1 to the number of samples
 */
export function bestOf(samples: readonly Sample[], n: number): number {
  const sorted = [...samples].sort((a, b) => b.score - a.score);
  const total = sorted.length;
  let [sum, below] = [0, total];
  for (let from = 0; from < total; ) {
    let to = from;
    let quality = 0;
    while (to < total && sorted[to]?.score === sorted[from]?.score) quality += sorted[to++]?.quality ?? 0;
    // The best one drawn has this score when none above it and at least one of these is drawn.
    const share = ratio(below, total, n) - ratio(total - to, total, n);
    sum += (share * quality) / (to - from);
    below = total - to;
    from = to;
  }
  return sum;
}

/** C(a, n) / C(b, n). */
function ratio(a: number, b: number, n: number): number {
  let value = 1;
  for (let i = 0; i < n; i++) value *= Math.max(0, a - i) / (b - i);
  return value;
}

/** What an arm is expected to give. */
export interface Expected {
  readonly quality: number;
  readonly cost: number;
}

/** Number of the cheapest arm whose expected quality meets the target; of those that do not, the best one when none does. */
export function cheapestMeeting(arms: readonly Expected[], target: number): number {
  let chosen = 0;
  arms.forEach((arm, i) => {
    const best = arms[chosen] as Expected;
    const [meets, bestMeets] = [arm.quality >= target, best.quality >= target];
    if (meets === bestMeets ? (meets ? arm.cost < best.cost || (arm.cost === best.cost && arm.quality > best.quality) : arm.quality > best.quality) : meets) chosen = i;
  });
  return chosen;
}

/** Arms of a team: every member with every number of samples. */
export function armsOf(members: readonly string[], samples: readonly number[]): Arm[] {
  return members.flatMap((member) => samples.map((each) => ({ member, samples: each })));
}

/** A policy that decides beforehand, in every bin of difficulty, for the cheapest arm whose expected quality there meets the target. */
export function sampledPolicy(edges: readonly number[], expected: readonly (readonly Expected[])[], target: number): Policy {
  return { edges, first: expected.map((arms) => ({ do: 'answer', arm: cheapestMeeting(arms, target) })) };
}
