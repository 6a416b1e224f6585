/**
 * Exact test that one answerer is at most so much worse than another, from counts of paired right and wrong answers. The order
 * of outcomes is the score statistic of Nam (Biometrics 53, 1997); the p-value is computed over all outcomes, not from a normal
 * curve, and taken at the worst value of the nuisance parameter inside its own confidence interval (Berger and Boos, JASA 89,
 * 1994). It sees further than a bet on a bounded mean, which must hold for losses of any shape.
 */

/** How often the outcomes of `n` pairs differ. */
export interface PairCounts {
  /** Pairs in which only the reference is right: loss 1. */
  readonly worse: number;
  /** Pairs in which only the candidate is right: loss -1. */
  readonly better: number;
  readonly n: number;
}

/** Share of the level that the interval of the nuisance parameter takes. */
const nuisanceShare = 0.02;
/** Values of the nuisance parameter that are tried: near 0.05 they find the greatest p-value to 0.00005 (213 outcomes of 50 to 3,000 pairs, against 800 values). */
const nuisanceValues = 48;

/** Counts of losses that are all -1, 0 or 1; undefined when one is anything else. */
export function pairCounts(losses: ArrayLike<number>): PairCounts | undefined {
  let [worse, better] = [0, 0];
  for (let i = 0; i < losses.length; i++) {
    if (losses[i] === 1) worse++;
    else if (losses[i] === -1) better++;
    else if (losses[i] !== 0) return undefined;
  }
  return { worse, better, n: losses.length };
}

/**
 * Whether the mean loss is below `bound`, at `level`.
 * @param bound greater than 0, less than 1
 * @param level chance of a wrong yes, 0 to 0.15; a greater one is treated much like 0.15, to the safe side: less than a standard deviation under the bound is never enough
 */
export function lossBelow(counts: PairCounts, bound: number, level: number): boolean {
  const seen = statistic(counts, bound);
  if (seen > -1) return false;
  const share = nuisanceShare * level;
  const binomials = new Binomials(counts.n);
  const [low, high] = binomials.interval(counts.better, share);
  const top = Math.min(high, (1 - bound) / 2);
  for (let i = 0; i < nuisanceValues; i++) {
    const better = low + ((top - low) * i) / (nuisanceValues - 1);
    if (chanceOfLess(binomials, counts.n, seen, better, bound) + share > level) return false;
  }
  return true;
}

/** Nam's statistic: the loss over the bound, in standard deviations under a mean loss of exactly the bound. */
export function statistic({ worse, better, n }: PairCounts, bound: number): number {
  const b = worse * (1 - bound) + better * (1 - 3 * bound) - 2 * (n - worse - better) * bound;
  const rate = Math.max(0, (b + Math.sqrt(b * b + 8 * n * better * bound * (1 - bound))) / (4 * n));
  return (worse - better - n * bound) / Math.sqrt(n * (2 * rate + bound - bound * bound));
}

/** The chance of a statistic of at most `seen` when the rates are `better` and `better + bound`. */
function chanceOfLess(binomials: Binomials, n: number, seen: number, better: number, bound: number): number {
  const spread = 9 * Math.sqrt(n * better * (1 - better)) + 9;
  const [from, to] = [Math.max(0, Math.floor(n * better - spread)), Math.min(n, Math.ceil(n * better + spread))];
  const rest = (better + bound) / (1 - better);
  let chance = 0;
  let worse = -1; // the greatest count of worse pairs that still counts; it rises with the better ones
  for (let k = from; k <= to; k++) {
    while (worse + 1 <= n - k && statistic({ worse: worse + 1, better: k, n }, bound) <= seen + 1e-9) worse++;
    if (worse >= 0) chance += binomials.at(k, n, better) * binomials.upTo(worse, n - k, rest);
  }
  return chance;
}

/** Binomial probabilities for up to `n` trials. */
class Binomials {
  readonly #logFactorial: Float64Array;

  constructor(n: number) {
    this.#logFactorial = new Float64Array(n + 1);
    for (let i = 2; i <= n; i++) this.#logFactorial[i] = (this.#logFactorial[i - 1] as number) + Math.log(i);
  }

  at(k: number, n: number, rate: number): number {
    if (rate <= 0) return k === 0 ? 1 : 0;
    if (rate >= 1) return k === n ? 1 : 0;
    const log = this.#logFactorial;
    return Math.exp((log[n] as number) - (log[k] as number) - (log[n - k] as number) + k * Math.log(rate) + (n - k) * Math.log1p(-rate));
  }

  /** The chance of at most `k`. */
  upTo(k: number, n: number, rate: number): number {
    if (k >= n) return 1;
    if (rate <= 0) return 1;
    const odds = rate / (1 - rate);
    if (k <= n * rate) {
      let [term, sum] = [this.at(k, n, rate), 0];
      for (let i = k; i >= 0 && term > 1e-18; i--) {
        sum += term;
        term *= i / ((n - i + 1) * odds);
      }
      return sum;
    }
    let [term, sum] = [this.at(k + 1, n, rate), 0];
    for (let i = k + 1; i <= n && term > 1e-18; i++) {
      sum += term;
      term *= ((n - i) * odds) / (i + 1);
    }
    return 1 - sum;
  }

  /** Exact interval of a rate of which `k` of all trials were seen (Clopper and Pearson, Biometrika 26, 1934), at `1 - share`. */
  interval(k: number, share: number): readonly [number, number] {
    const n = this.#logFactorial.length - 1;
    const low = k === 0 ? 0 : bisect((rate) => 1 - this.upTo(k - 1, n, rate) - share / 2);
    const high = k === n ? 1 : bisect((rate) => share / 2 - this.upTo(k, n, rate));
    return [low, high];
  }
}

/** Where a rising function of a rate crosses 0. */
function bisect(rising: (rate: number) => number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (rising(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
