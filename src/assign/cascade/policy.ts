/**
 * Routing and cascading in one rule: a policy that at every step may stop with any answer it has, ask the next arm, or jump to
 * any other, by what it knows so far: how hard the request looked, how sure each answer was, and whether the answers agree.
 *
 * Knowledge is cut into bins, so a policy is a tree. On recorded outcomes of all arms the best tree is found by backward
 * induction, exactly: the value of asking an arm is the mean value of the branches that its score opens, less its cost times the
 * price of quality. Branches with few rows are not split further, and what they show of an arm is drawn towards what the
 * whole shows; with `rowsMin` 1 and `shrinkage` 0 the tree is the true optimum on the rows.
 *
 * Source: cascade routing (Dekoninck et al., arXiv:2410.10347). There, quality estimates of fixed form are compared; here they
 * are the recorded means of each branch.
 */
import type { Outcome, Recorded } from './recorded.ts';
import { rowsOf } from './recorded.ts';

/** What to do in a state. Arms are given by number. */
export type Step =
  /** Give the answer of an arm that was asked. */
  | { readonly do: 'stop'; readonly arm: number }
  /** Ask an arm and give its answer, whatever its score. */
  | { readonly do: 'answer'; readonly arm: number }
  /**
   * Ask an arm, then branch: by the bin of its score (`edges` between the bins, ascending) and, where other arms were asked, by
   * whether its answer agrees with one of theirs. `next` has `edges.length + 1` steps for disagreement, then as many for
   * agreement; only the former where nothing was asked before.
   */
  | { readonly do: 'ask'; readonly arm: number; readonly edges: readonly number[]; readonly next: readonly Step[] };

/** A policy: a first step for every bin of the estimate made beforehand. */
export interface Policy {
  /** Edges between the bins of difficulty, ascending; empty: one bin. */
  readonly edges: readonly number[];
  /** One more than edges. */
  readonly first: readonly Step[];
}

/** How a policy is learned. */
export interface PolicySettings {
  /** Quality that one unit of cost is worth; 0: cost does not matter. */
  readonly price: number;
  /** Bins of a score; default 4. */
  readonly bins?: number;
  /** Bins of the estimate made beforehand; default 3. */
  readonly priorBins?: number;
  /** Rows below which a branch only stops or gives one last answer; default 30. */
  readonly rowsMin?: number;
  /** Rows that the mean of the branch above counts as; default 15. */
  readonly shrinkage?: number;
  /** Arms asked on one request at most; default 3. */
  readonly asksMax?: number;
}

/** Learns the best policy at a price. */
export function learnPolicy(recorded: Recorded, settings: PolicySettings): Policy {
  const n = rowsOf(recorded);
  const { bins = 4, priorBins = 3 } = settings;
  const edges = recorded.prior === undefined ? [] : edgesOf(recorded.prior, priorBins);
  const induction = new Induction(recorded, recorded.score.map((score) => edgesOf(score, bins)), settings);
  const roots: number[][] = Array.from({ length: edges.length + 1 }, () => []);
  for (let row = 0; row < n; row++) roots[binOf(recorded.prior?.[row] ?? 0, edges)]?.push(row);
  const whole = induction.means(Array.from({ length: n }, (_, row) => row));
  return { edges, first: roots.map((rows) => induction.best(rows, [], whole).step) };
}

/** Inner edges of bins of equal share; fewer where values are equal. */
export function edgesOf(values: Float64Array, bins: number): number[] {
  const sorted = values.slice().sort();
  const edges: number[] = [];
  for (let bin = 1; bin < bins; bin++) {
    const at = Math.round((bin * sorted.length) / bins);
    const [below, above] = [sorted[Math.max(0, at - 1)] ?? 0, sorted[at] ?? 0];
    // The edge is the least value of the upper bin, or, inside a run of equal values, the next greater one.
    const edge = above > below ? (above + below) / 2 : (sorted.find((each) => each > above) ?? NaN);
    const exact = above > below ? edge : (edge + above) / 2;
    if (Number.isFinite(exact) && exact > (edges.at(-1) ?? -Infinity)) edges.push(exact);
  }
  return edges;
}

/** The bin of a value: how many edges it reaches. */
export function binOf(value: number, edges: readonly number[]): number {
  let bin = 0;
  while (bin < edges.length && value >= (edges[bin] as number)) bin++;
  return bin;
}

interface Valued {
  readonly step: Step;
  /** Quality less priced cost from here on, a request. */
  readonly value: number;
}

/** Mean quality and cost of every arm. */
type Means = readonly Outcome[];

class Induction {
  readonly #recorded: Recorded;
  readonly #edges: readonly (readonly number[])[];
  readonly #price: number;
  readonly #rowsMin: number;
  readonly #shrinkage: number;
  readonly #asksMax: number;

  constructor(recorded: Recorded, edges: readonly (readonly number[])[], { price, rowsMin = 30, shrinkage = 15, asksMax = 3 }: PolicySettings) {
    this.#recorded = recorded;
    this.#edges = edges;
    this.#price = price;
    this.#rowsMin = rowsMin;
    this.#shrinkage = shrinkage;
    this.#asksMax = asksMax;
  }

  /** Means over rows, drawn towards those of the branch above. */
  means(rows: readonly number[], above?: Means): Means {
    const { quality, cost, arms } = this.#recorded;
    const weight = above === undefined ? 0 : this.#shrinkage;
    return arms.map((_, arm) => {
      let [q, c] = [weight * (above?.[arm]?.quality ?? 0), weight * (above?.[arm]?.cost ?? 0)];
      for (const row of rows) {
        q += quality[arm]?.[row] as number;
        c += cost[arm]?.[row] as number;
      }
      const size = Math.max(1e-9, rows.length + weight);
      return { quality: q / size, cost: c / size };
    });
  }

  best(rows: readonly number[], asked: readonly number[], above: Means): Valued {
    const means = this.means(rows, above);
    let best: Valued = { step: { do: 'answer', arm: 0 }, value: -Infinity };
    const offer = (step: Step, value: number): void => {
      if (value > best.value + 1e-12) best = { step, value };
    };
    for (const arm of asked) offer({ do: 'stop', arm }, means[arm]?.quality ?? 0);
    for (const arm of this.#recorded.arms.keys()) {
      if (asked.includes(arm)) continue;
      const { quality, cost } = means[arm] as Outcome;
      offer({ do: 'answer', arm }, quality - this.#price * cost);
    }
    if (asked.length + 1 >= Math.min(this.#asksMax, this.#recorded.arms.length + 1) || rows.length < 2 * this.#rowsMin) return best;
    for (const arm of this.#recorded.arms.keys()) if (!asked.includes(arm)) this.#branch(rows, asked, arm, means, offer);
    return best;
  }

  #branch(rows: readonly number[], asked: readonly number[], arm: number, means: Means, offer: (step: Step, value: number) => void): void {
    const edges = this.#edges[arm] as readonly number[];
    const halves = asked.length === 0 || this.#recorded.result === undefined ? 1 : 2;
    const branches: number[][] = Array.from({ length: halves * (edges.length + 1) }, () => []);
    for (const row of rows) branches[(halves === 2 && agrees(this.#recorded, row, arm, asked) ? edges.length + 1 : 0) + binOf(this.#recorded.score[arm]?.[row] as number, edges)]?.push(row);
    const filled = branches.filter((branch) => branch.length > 0);
    if (filled.length < 2 || !filled.some((branch) => branch.length >= this.#rowsMin)) return;
    const now = [...asked, arm];
    const next = branches.map((branch) => (branch.length >= this.#rowsMin ? this.best(branch, now, means) : this.#last(branch, now, means)));
    const value = next.reduce((sum, each, i) => sum + each.value * (branches[i]?.length ?? 0), 0) / rows.length - this.#price * (means[arm] as Outcome).cost;
    offer({ do: 'ask', arm, edges, next: next.map(({ step }) => step) }, value);
  }

  /** The best that asks nothing to branch on. */
  #last(rows: readonly number[], asked: readonly number[], above: Means): Valued {
    const means = this.means(rows, above);
    let best: Valued = { step: { do: 'stop', arm: asked[0] ?? 0 }, value: -Infinity };
    for (const arm of this.#recorded.arms.keys()) {
      const { quality, cost } = means[arm] as Outcome;
      const value = asked.includes(arm) ? quality : quality - this.#price * cost;
      if (value > best.value + 1e-12) best = { step: asked.includes(arm) ? { do: 'stop', arm } : { do: 'answer', arm }, value };
    }
    return best;
  }
}

function agrees({ result }: Recorded, row: number, arm: number, asked: readonly number[]): boolean {
  const own = result?.[arm]?.[row];
  return own !== undefined && own !== '' && asked.some((other) => result?.[other]?.[row] === own);
}

/** What a policy does on rows. `asks`: how often each arm was asked. */
export function runPolicy(recorded: Recorded, policy: Policy): Outcome & { readonly perRow: Float64Array; readonly costPerRow: Float64Array; readonly asks: readonly number[] } {
  const n = rowsOf(recorded);
  const [perRow, costPerRow, asks] = [new Float64Array(n), new Float64Array(n), recorded.arms.map(() => 0)];
  for (let row = 0; row < n; row++) {
    const asked: number[] = [];
    let step = policy.first[binOf(recorded.prior?.[row] ?? 0, policy.edges)] as Step;
    for (;;) {
      const { arm } = step;
      if (step.do !== 'stop') {
        costPerRow[row] = (costPerRow[row] as number) + (recorded.cost[arm]?.[row] as number);
        asks[arm] = (asks[arm] ?? 0) + 1;
      }
      if (step.do !== 'ask') {
        perRow[row] = recorded.quality[arm]?.[row] as number;
        break;
      }
      const bin = binOf(recorded.score[arm]?.[row] as number, step.edges);
      const half = step.next.length > step.edges.length + 1 && agrees(recorded, row, arm, asked) ? step.edges.length + 1 : 0;
      asked.push(arm);
      step = step.next[half + bin] as Step;
    }
  }
  return { quality: perRow.reduce((sum, each) => sum + each, 0) / n, cost: costPerRow.reduce((sum, each) => sum + each, 0) / n, perRow, costPerRow, asks };
}

/** A policy with what it does on the rows that it was learned on, and the price that gave it. */
export interface PricedPolicy extends Policy, Outcome {
  readonly price: number;
}

/** The best policy whose mean cost on the rows stays within a budget: the price is found by bisection. */
export function policyWithin(recorded: Recorded, budget: number, settings: Omit<PolicySettings, 'price'> = {}): PricedPolicy {
  const at = (price: number): PricedPolicy => {
    const policy = learnPolicy(recorded, { ...settings, price });
    const { quality, cost } = runPolicy(recorded, policy);
    return { ...policy, quality, cost, price };
  };
  let best = at(0);
  if (best.cost <= budget) return best;
  let [low, high] = [0, 1 / Math.max(budget, 1e-12)];
  for (let round = 0; round < 60 && (best = at(high)).cost > budget && high < 1e15; round++) [low, high] = [high, high * 4];
  for (let round = 0; round < 16; round++) {
    const middle = (low + high) / 2;
    const found = at(middle);
    if (found.cost > budget) low = middle;
    else [high, best] = [middle, found.quality >= best.quality ? found : best];
  }
  return best;
}

/** A cascade of tiers as a policy. */
export function policyOfTiers(tiers: readonly { readonly arm: number; readonly threshold: number }[]): Policy {
  const stepAt = (i: number): Step => {
    const tier = tiers[i] ?? { arm: 0, threshold: 0 };
    if (i >= tiers.length - 1) return { do: 'answer', arm: tier.arm };
    return { do: 'ask', arm: tier.arm, edges: [tier.threshold], next: [stepAt(i + 1), { do: 'stop', arm: tier.arm }] };
  };
  return { edges: [], first: [stepAt(0)] };
}
