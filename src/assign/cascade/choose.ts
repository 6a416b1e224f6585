/**
 * Which kind of cascade to use under a budget: two tiers, more tiers, or a policy with coarser or finer knowledge. Finer ones
 * fit the rows better and other rows worse; folds of the rows decide, on the quality less priced cost of rows left out.
 */
import { learnPolicy, policyOfTiers, policyWithin, runPolicy, type Policy, type PolicySettings } from './policy.ts';
import { pick, rowsOf, type Outcome, type Recorded } from './recorded.ts';
import { bestTiers } from './tiers.ts';

/** A cascade that was chosen. */
export interface ChosenPolicy extends Policy, Outcome {
  /** `tiers <n>`, or `policy <bins> bins`. */
  readonly method: string;
}

type Knowledge = Omit<PolicySettings, 'price'>;

const knowledges: readonly (readonly [string, Knowledge])[] = [
  ['policy 2 bins', { bins: 2, priorBins: 1, rowsMin: 60, shrinkage: 30 }],
  ['policy 3 bins', { bins: 3, priorBins: 1, rowsMin: 60, shrinkage: 30 }],
  ['policy 6 bins', { bins: 6, priorBins: 1, rowsMin: 40, shrinkage: 30 }],
  ['policy 10 bins', { bins: 10, priorBins: 1, rowsMin: 30, shrinkage: 30, asksMax: 2 }],
  ['policy 4 bins, difficulty', { bins: 4, priorBins: 3, rowsMin: 40, shrinkage: 30 }],
];

/**
 * Chooses.
 * @param folds row to fold; the choice is made by rows left out, the result learned on all
 * @returns undefined when even the cheapest arm costs more than the budget
 */
export function choosePolicy(recorded: Recorded, budget: number, folds: Uint8Array, tiersMax = 3): ChosenPolicy | undefined {
  const tierCounts = Array.from({ length: Math.max(1, Math.min(tiersMax, recorded.arms.length)) - 1 }, (_, i) => i + 2);
  const price = policyWithin(recorded, budget, knowledges[1]?.[1]).price;
  const parts = [...new Set(folds)].map((fold) => ({ inside: pick(recorded, indices(folds, (each) => each === fold)), outside: pick(recorded, indices(folds, (each) => each !== fold)) }));
  const worth = (learn: (rows: Recorded) => Policy | undefined): number => {
    let sum = 0;
    for (const { inside, outside } of parts) {
      const policy = learn(outside);
      if (policy === undefined) return -Infinity;
      const { quality, cost } = runPolicy(inside, policy);
      sum += (quality - price * cost) * rowsOf(inside);
    }
    return sum / folds.length;
  };
  const tiers = (rows: Recorded, count: number): Policy | undefined => {
    const found = bestTiers(rows, { budget, tiersMax: count });
    return found === undefined ? undefined : policyOfTiers(found.tiers);
  };
  const ways = [
    ...tierCounts.map((count) => ({ method: `tiers ${count}`, worth: worth((rows) => tiers(rows, count)), learn: () => tiers(recorded, count) })),
    ...knowledges.map(([method, knowledge]) => ({ method, worth: worth((rows) => learnPolicy(rows, { ...knowledge, price })), learn: () => policyWithin(recorded, budget, knowledge) })),
  ].sort((a, b) => b.worth - a.worth);
  for (const { method, learn } of ways) {
    const policy = learn();
    if (policy === undefined) continue;
    const { quality, cost } = runPolicy(recorded, policy);
    if (cost <= budget * (1 + 1e-9)) return { edges: policy.edges, first: policy.first, method, quality, cost };
  }
  return undefined;
}

function indices(folds: Uint8Array, wanted: (fold: number) => boolean): number[] {
  return [...folds.keys()].filter((row) => wanted(folds[row] as number));
}
