/**
 * Whether a stream of requests has shifted: a test martingale over their p-values (`detector.ts`). An alarm at level `a` is
 * false with chance at most `a`, however long the stream is. It tells when what was learned at home no longer fits and new
 * training is worth its price.
 *
 * Source: test martingales for exchangeability (Vovk, Nouretdinov, Gammerman, 2003).
 */

const powers = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9] as const;

/** Watches a stream of p-values for a shift towards unusual requests. */
export class ShiftWatch {
  readonly #bound: number;
  readonly #logs = powers.map(() => 0);
  #seen = 0;
  #alarmAfter: number | undefined;

  /** @param level chance of a false alarm over the whole stream, 0 to 1; default 0.01 */
  constructor(level = 0.01) {
    this.#bound = Math.log(1 / level);
  }

  /** Takes a p-value; gives after how many the alarm was raised, once it was. */
  observe(pValue: number): number | undefined {
    this.#seen++;
    powers.forEach((power, i) => (this.#logs[i] = (this.#logs[i] as number) + Math.log(power) + (power - 1) * Math.log(Math.max(pValue, 1e-9))));
    const greatest = Math.max(...this.#logs);
    const evidence = greatest + Math.log(this.#logs.reduce((sum, each) => sum + Math.exp(each - greatest), 0) / powers.length);
    if (evidence >= this.#bound) this.#alarmAfter ??= this.#seen;
    return this.#alarmAfter;
  }
}
