/**
 * Noticing that an arm is not what it was: its rewards, its prices or its times have moved away from what is expected of it.
 *
 * Page's cumulative sums (1954), two-sided, over standardised residuals, at three scales at once: a large slack finds a large
 * change in a dozen requests, a small one a small change in some hundreds. Each level is set so that without a change one
 * of the six sums raises a false alarm about once in 20,000 residuals (Siegmund's approximation of the run length for normal
 * residuals), all together about once in 4,000; a test counts them for rewards of 0 and 1.
 *
 * Residuals are taken against a model that itself learns, but slowly against the sums here.
 */

/** Slack of each scale, in deviations; a shift of twice the slack is found soonest. */
const slacks = [0.1, 0.25, 0.5] as const;

/** Level at which a one-sided sum with this slack alarms once in about `runLength` steps: e^(2kb) - 2kb - 1 = 2 k^2 runLength, level b - 1.166. */
export function levelFor(slack: number, runLength: number): number {
  let b = 1;
  for (let round = 0; round < 60; round++) b = Math.log(2 * slack * slack * runLength + 2 * slack * b + 1) / (2 * slack);
  return b - 1.166;
}

/** How a watch behaves. */
export interface WatchSettings {
  /** Residuals between two false alarms of one scale and side, about. Default 20,000. */
  readonly runLength?: number;
  /** Residuals after a start or an alarm that are not judged. Default 20. */
  readonly quiet?: number;
}

/** A change that was noticed. */
export interface Change {
  readonly direction: 'up' | 'down';
  /** Residuals since the sum that alarmed left zero: how long ago the change probably was. */
  readonly after: number;
}

/** What must be kept of a watch. JSON. */
export interface SavedWatch {
  readonly sums: readonly number[];
  readonly since: readonly number[];
  readonly seen: number;
}

/** Watches one quantity of one arm. */
export class Watch {
  readonly #levels: readonly number[];
  readonly #quiet: number;
  readonly #sums = new Float64Array(2 * slacks.length);
  readonly #since = new Int32Array(2 * slacks.length);
  #seen = 0;

  constructor({ runLength = 20_000, quiet = 20 }: WatchSettings = {}) {
    this.#levels = slacks.map((slack) => levelFor(slack, runLength));
    this.#quiet = quiet;
  }

  /** Takes a residual in deviations, cut at four; begins anew after an alarm. */
  observe(residual: number): Change | undefined {
    if (!Number.isFinite(residual) || this.#seen++ < this.#quiet) return undefined;
    const z = Math.max(-4, Math.min(4, residual));
    let found: Change | undefined;
    for (let i = 0; i < this.#sums.length; i++) {
      const scale = i >> 1;
      const sum = Math.max(0, (this.#sums[i] as number) + (i % 2 === 0 ? z : -z) - (slacks[scale] as number));
      this.#since[i] = sum === 0 ? 0 : (this.#since[i] as number) + 1;
      this.#sums[i] = sum;
      if (sum > (this.#levels[scale] as number) && found === undefined) found = { direction: i % 2 === 0 ? 'up' : 'down', after: this.#since[i] as number };
    }
    if (found !== undefined) this.reset();
    return found;
  }

  /** How near an alarm is, 0 to 1: the fullest sum against its level. */
  get suspicion(): number {
    let most = 0;
    for (let i = 0; i < this.#sums.length; i++) most = Math.max(most, (this.#sums[i] as number) / (this.#levels[i >> 1] as number));
    return most;
  }

  /** What must be kept. */
  save(): SavedWatch {
    return { sums: [...this.#sums], since: [...this.#since], seen: this.#seen };
  }

  /** Goes on from what was kept. */
  restore({ sums, since, seen }: SavedWatch): void {
    if (sums.length !== this.#sums.length || since.length !== this.#since.length) return;
    this.#sums.set(sums);
    this.#since.set(since);
    this.#seen = seen;
  }

  /** Begins anew. */
  reset(): void {
    this.#sums.fill(0);
    this.#since.fill(0);
    this.#seen = 0;
  }
}
