/**
 * The gate before a policy change, and the watch after it.
 *
 * Before: a candidate policy takes over only when the lower bound of what it earns more than the current one, estimated from
 * logged decisions, is not below `-lossMax`. Too few rows, too little overlap or too much cut weight refuse it as well: what
 * cannot be estimated is not believed.
 *
 * After: a share of requests (the holdout) keeps the old policy, drawn by a hash of the request, so the two run side by side. When
 * the new one is worse with confidence, it is rolled back. That is looked at after every reward, so the bounds must hold at
 * all times at once: time-uniform empirical Bernstein (Waudby-Smith and Ramdas, arXiv:2010.09686, theorem 2).
 */
import type { Random } from '../../system/random.ts';
import { advantages, bernsteinHalf, bootstrapMean, estimateReward, type LoggedChoice } from './off-policy.ts';

/** What a change must show. */
export interface GateSettings {
  /** Loss of reward that may not be ruled out, 0 to 1; default 0. */
  readonly lossMax?: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** Logged rewards that are needed; default 200. */
  readonly rowsMin?: number;
  /** Rows that the weighted ones must be worth; default 50. */
  readonly effectiveRowsMin?: number;
  /** Default 20. */
  readonly weightMax?: number;
  /** `bernstein` assumes nothing and needs thousands of rows; default `bootstrap`. */
  readonly interval?: 'bernstein' | 'bootstrap';
}

/** What the gate says. */
export interface Verdict {
  readonly passes: boolean;
  /** One sentence. */
  readonly because: string;
  /** What the candidate earns more than the current policy: estimate and bounds. */
  readonly gain: number;
  readonly gainLow: number;
  readonly gainHigh: number;
  readonly rows: number;
  readonly effectiveRows: number;
}

/** Judges a candidate. @param rows decisions of the current policy; `target` is the candidate's probability of the logged arm */
export function judgeChange(rows: readonly LoggedChoice[], settings: GateSettings, random: Pick<Random, 'next'>): Verdict {
  const { lossMax = 0, confidence = 0.95, rowsMin = 200, effectiveRowsMin = 50, weightMax = 20, interval = 'bootstrap' } = settings;
  if (rows.length < rowsMin) return { passes: false, because: `There are ${rows.length} judged decisions; ${rowsMin} are needed.`, gain: 0, gainLow: -Infinity, gainHigh: Infinity, rows: rows.length, effectiveRows: 0 };
  const { effectiveRows, cut } = estimateReward(rows, { method: 'snips', weightMax, resamples: 1 }, random);
  const gains = advantages(rows, weightMax);
  const level = (1 - confidence) / 2;
  let { value, low, high } = bootstrapMean(gains, confidence, random);
  if (interval === 'bernstein') {
    const half = bernsteinHalf(gains, value, 2 * weightMax + 2, level);
    [low, high] = [value - half, value + half];
  }
  const found = { gain: value, gainLow: low, gainHigh: high, rows: rows.length, effectiveRows };
  if (effectiveRows < effectiveRowsMin) return { passes: false, because: 'The candidate would do what was hardly ever tried.', ...found };
  if (cut > 0.1) return { passes: false, because: 'Over a tenth of the weight had to be cut: the logged decisions overlap too little with the candidate.', ...found };
  if (low < -lossMax) return { passes: false, because: 'The lower bound of the gain is worse than what is allowed.', ...found };
  return { passes: true, because: 'The lower bound of the gain is good enough.', ...found };
}

/** The mean of values in [0, 1] with bounds that hold at all times at once. */
export class MeanBounds {
  readonly #level: number;
  #count = 0;
  #sum = 0.5;
  #squares = 0.25;
  #bets = 0;
  #weighted = 0;
  #penalty = 0;

  /** @param level probability that a bound is ever wrong, on both sides together; default 0.05 */
  constructor(level = 0.05) {
    this.#level = level;
  }

  /** Takes a value in [0, 1]. */
  add(value: number): void {
    const before = this.#sum / (this.#count + 1);
    const variance = this.#squares / (this.#count + 1);
    this.#count++;
    const bet = Math.min(0.5, Math.sqrt((2 * Math.log(2 / this.#level)) / (variance * this.#count * Math.log(1 + this.#count))));
    this.#bets += bet;
    this.#weighted += bet * value;
    this.#penalty += 4 * (value - before) ** 2 * ((-Math.log(1 - bet) - bet) / 4);
    this.#sum += value;
    this.#squares += (value - this.#sum / (this.#count + 1)) ** 2;
  }

  /** Values so far. */
  get count(): number {
    return this.#count;
  }

  /** The bounds now; [0, 1] before anything was seen. */
  bounds(): { readonly mean: number; readonly low: number; readonly high: number } {
    if (this.#bets === 0) return { mean: 0.5, low: 0, high: 1 };
    const middle = this.#weighted / this.#bets;
    const half = (Math.log(2 / this.#level) + this.#penalty) / this.#bets;
    return { mean: (this.#sum - 0.5) / this.#count, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
  }
}

/** Two policies side by side. */
export class Trial {
  readonly #holdout: MeanBounds;
  readonly #changed: MeanBounds;

  /** @param level probability of ever rolling back a policy that is not worse; default 0.05 */
  constructor(level = 0.05) {
    this.#holdout = new MeanBounds(level / 2);
    this.#changed = new MeanBounds(level / 2);
  }

  /** A reward came. @param held whether the old policy decided */
  add(held: boolean, reward: number): void {
    (held ? this.#holdout : this.#changed).add(reward);
  }

  /** Whether the new policy is worse with confidence. */
  get worse(): boolean {
    return this.#changed.bounds().high < this.#holdout.bounds().low;
  }

  /** Both sides. */
  sides(): { readonly holdout: ReturnType<MeanBounds['bounds']> & { readonly count: number }; readonly changed: ReturnType<MeanBounds['bounds']> & { readonly count: number } } {
    return { holdout: { ...this.#holdout.bounds(), count: this.#holdout.count }, changed: { ...this.#changed.bounds(), count: this.#changed.count } };
  }
}
