/**
 * The best cascade of up to k tiers under a budget: which arms, in which order, with which thresholds, so that mean quality is
 * greatest while mean cost stays within the budget. Orders are enumerated; the last threshold of an order is found by one
 * exact sweep, those before it among candidates (all distinct scores when they are few, else quantiles). On small data,
 * where the candidates are all scores, the result is the true optimum.
 *
 * Sources: FrugalGPT (arXiv:2305.05176) for order and thresholds under a budget; Tabi (doi:10.1145/3552326.3587438) for levels
 * on calibrated scores.
 */
import type { Outcome, Recorded } from './recorded.ts';
import { rowsOf } from './recorded.ts';

/** A tier: an arm, and the score from which its answer is accepted. The last tier's threshold is 0. */
export interface Tier {
  /** Number of the arm. */
  readonly arm: number;
  readonly threshold: number;
}

/** A cascade and what it does on the rows that it was chosen on. */
export interface TierPlan extends Outcome {
  readonly tiers: readonly Tier[];
}

/** Limits of the search. */
export interface TierSearch {
  /** Mean cost a request at most. */
  readonly budget: number;
  /** 1 to 5; default 3. */
  readonly tiersMax?: number;
  /** Candidate thresholds of the tiers before the last two; default 24. */
  readonly candidatesMax?: number;
}

/** Thresholds beyond every score: nothing is accepted. */
const never = 1.01;

/** The best cascade. Undefined when even the cheapest arm costs more than the budget. */
export function bestTiers(recorded: Recorded, { budget, tiersMax = 3, candidatesMax = 24 }: TierSearch): TierPlan | undefined {
  const n = rowsOf(recorded);
  const everything = Uint32Array.from({ length: n }, (_, row) => row);
  let best: TierPlan | undefined;
  const offer = (tiers: readonly Tier[], quality: number, cost: number): void => {
    const found = { tiers, quality: quality / n, cost: cost / n };
    if (found.cost > budget * (1 + 1e-12)) return;
    if (best === undefined || found.quality > best.quality + 1e-12 || (found.quality > best.quality - 1e-12 && found.cost < best.cost - 1e-15)) best = found;
  };
  const orders = recorded.arms.map((_, arm) => Uint32Array.from(everything).sort((a, b) => (recorded.score[arm]?.[b] as number) - (recorded.score[arm]?.[a] as number)));
  const reaching = new Uint8Array(n).fill(1);
  const extend = (tiers: readonly Tier[], rows: number, quality: number, cost: number): void => {
    const used = new Set(tiers.map(({ arm }) => arm));
    for (const arm of recorded.arms.keys()) {
      if (used.has(arm)) continue;
      const [q, c] = [recorded.quality[arm] as Float64Array, recorded.cost[arm] as Float64Array];
      let [ownCost, ownQuality] = [0, 0];
      for (let row = 0; row < n; row++) if (reaching[row] === 1) [ownCost, ownQuality] = [ownCost + (c[row] as number), ownQuality + (q[row] as number)];
      if ((cost + ownCost) / n > budget * (1 + 1e-12)) continue;
      offer([...tiers, { arm, threshold: 0 }], quality + ownQuality, cost + ownCost);
      if (tiers.length + 1 >= tiersMax || used.size + 1 >= recorded.arms.length) continue;
      for (const last of recorded.arms.keys()) {
        if (last !== arm && !used.has(last)) sweep(recorded, orders[arm] as Uint32Array, reaching, { tiers, arm, last, quality, cost: cost + ownCost }, offer);
      }
      if (tiers.length + 2 >= tiersMax) continue;
      for (const threshold of candidates(recorded.score[arm] as Float64Array, reaching, candidatesMax)) {
        const left: number[] = [];
        let gained = 0;
        for (let row = 0; row < n; row++) {
          if (reaching[row] !== 1 || (recorded.score[arm]?.[row] as number) < threshold) continue;
          gained += q[row] as number;
          reaching[row] = 0;
          left.push(row);
        }
        if (left.length > 0 && left.length < rows) extend([...tiers, { arm, threshold }], rows - left.length, quality + gained, cost + ownCost);
        for (const row of left) reaching[row] = 1;
      }
    }
  };
  extend([], n, 0, 0);
  return best;
}

interface Sweep extends Outcome {
  readonly tiers: readonly Tier[];
  readonly arm: number;
  readonly last: number;
}

/** All thresholds of one tier before the last, in one pass from "accept nothing" to "accept all but one". */
function sweep(recorded: Recorded, order: Uint32Array, reaching: Uint8Array, { tiers, arm, last, quality, cost }: Sweep, offer: (tiers: readonly Tier[], quality: number, cost: number) => void): void {
  const [score, own, next, nextCost] = [recorded.score[arm] as Float64Array, recorded.quality[arm] as Float64Array, recorded.quality[last] as Float64Array, recorded.cost[last] as Float64Array];
  let [q, c] = [quality, cost];
  for (let row = 0; row < reaching.length; row++) if (reaching[row] === 1) [q, c] = [q + (next[row] as number), c + (nextCost[row] as number)];
  let before: number | undefined;
  for (const row of order) {
    if (reaching[row] !== 1) continue;
    const at = score[row] as number;
    // Midway between two scores, so that scores measured anew fall on the same side.
    if (before === undefined) offer([...tiers, { arm, threshold: never }, { arm: last, threshold: 0 }], q, c);
    else if (at < before) offer([...tiers, { arm, threshold: (at + before) / 2 }, { arm: last, threshold: 0 }], q, c);
    before = at;
    q += (own[row] as number) - (next[row] as number);
    c -= nextCost[row] as number;
  }
}

function candidates(score: Float64Array, reaching: Uint8Array, most: number): number[] {
  const distinct = [...new Set(score.filter((_, row) => reaching[row] === 1))].sort((a, b) => a - b);
  const middles = distinct.slice(1).map((each, i) => (each + (distinct[i] as number)) / 2);
  if (middles.length <= most) return middles;
  return Array.from({ length: most }, (_, i) => middles[Math.floor(((i + 0.5) * middles.length) / most)] as number);
}

/** What a cascade does on rows. */
export function runTiers(recorded: Recorded, tiers: readonly Tier[]): Outcome & { readonly perRow: Float64Array; readonly costPerRow: Float64Array } {
  const n = rowsOf(recorded);
  const [perRow, costPerRow] = [new Float64Array(n), new Float64Array(n)];
  for (let row = 0; row < n; row++) {
    for (const [i, { arm, threshold }] of tiers.entries()) {
      costPerRow[row] = (costPerRow[row] as number) + (recorded.cost[arm]?.[row] as number);
      if (i < tiers.length - 1 && (recorded.score[arm]?.[row] as number) < threshold) continue;
      perRow[row] = recorded.quality[arm]?.[row] as number;
      break;
    }
  }
  return { quality: perRow.reduce((sum, each) => sum + each, 0) / n, cost: costPerRow.reduce((sum, each) => sum + each, 0) / n, perRow, costPerRow };
}
