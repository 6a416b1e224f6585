/** Keeps one caller's rewards from drowning out those of others. */

const recentMax = 200;

/** Whose rewards the latest ones are. */
export class Crowd {
  readonly #shareMax: number;
  readonly #recent: string[] = [];

  /** @param shareMax share of the latest 200 rewards that one caller may hold where there are several, 0 to 1 */
  constructor(shareMax: number) {
    this.#shareMax = shareMax;
  }

  /** Whether one more reward of a caller would leave the others too small a say; if not, it is noted. A sole caller crowds nobody. */
  crowds(caller: string): boolean {
    const own = this.#recent.reduce((sum, each) => sum + Number(each === caller), 0);
    if (own < this.#recent.length && own + 1 > this.#shareMax * Math.max(20, this.#recent.length + 1)) return true;
    this.#recent.push(caller);
    if (this.#recent.length > recentMax) this.#recent.shift();
    return false;
  }
}
