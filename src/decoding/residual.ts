/** What is left of the target's distribution once the draft's share is taken out: where a refused draft's replacement is drawn from. */
import { draw, probability, type Distribution } from './shape.ts';

class Kept implements Distribution {
  ids = new Int32Array(0);
  weights = new Float64Array(0);
  count = 0;
  total = 0;

  copy(from: Distribution): void {
    if (this.ids.length < from.count) {
      this.ids = new Int32Array(Math.min(from.ids.length, Math.max(64, 2 * from.count)));
      this.weights = new Float64Array(this.ids.length);
    }
    this.ids.set(from.ids.subarray(0, from.count));
    this.weights.set(from.weights.subarray(0, from.count));
    this.count = from.count;
    this.total = from.total;
  }
}

/** Remembers the draft's distribution at each drafted position, and draws replacements. Buffers are kept. */
export class Residual {
  readonly #kept: Kept[] = [];
  readonly #size: number;
  #dense: Float64Array | undefined;
  readonly #left: Kept;

  /** @param size pieces of the vocabulary */
  constructor(size: number) {
    this.#size = size;
    this.#left = new Kept();
  }

  /** Remembers the distribution q from which the token at a position was drawn. */
  keep(position: number, q: Distribution): void {
    (this.#kept[position] ??= new Kept()).copy(q);
  }

  /** The remembered q. */
  at(position: number): Distribution {
    return this.#kept[position] as Kept;
  }

  /** Probability under the remembered q. */
  probability(position: number, token: number): number {
    return probability(this.at(position), token);
  }

  /** Draws from p - q where positive, normalised; from p where nothing is left (p equals q up to rounding). */
  draw(position: number, p: Distribution, u: number): number {
    const q = this.at(position);
    const dense = (this.#dense ??= new Float64Array(this.#size));
    for (let n = 0; n < q.count; n++) dense[q.ids[n] as number] = (q.weights[n] as number) / q.total;
    const left = this.#left;
    left.copy(p);
    let total = 0;
    for (let n = 0; n < p.count; n++) {
      const rest = Math.max(0, (p.weights[n] as number) / p.total - (dense[p.ids[n] as number] as number));
      left.weights[n] = rest;
      total += rest;
    }
    left.total = total;
    for (let n = 0; n < q.count; n++) dense[q.ids[n] as number] = 0;
    return draw(total > 0 ? left : p, u);
  }
}
