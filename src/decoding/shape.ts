/**
 * From a law to the distribution that a token is drawn from.
 *
 * Order: logit bias and penalties on the logits, then temperature, min-p, top-k, top-p on what they give. Each of the
 * last three keeps a set of most likely tokens, so a token is kept exactly when it passes all of them, each measured on what
 * the one before left. The vocabulary is never sorted: min-p is a threshold, top-k a bounded heap, and top-p pops a heap of
 * only those tokens that can be in the nucleus. Buffers are kept between calls.
 *
 * Glossary. Weight: exp((logit - largest) / temperature), so the most likely token has weight 1. Nucleus: the smallest set of
 * most likely tokens with at least top-p of the total weight.
 *
 * Top-k: Fan et al. 2018. Top-p: Holtzman et al. 2020. Min-p: Nguyen et al. 2024. Repetition penalty: Keskar et al. 2019.
 */
import { largest } from './law.ts';
import { Occurrences } from './occurrences.ts';
import type { Constraint, Law } from './program.ts';
import { penalises, type ShapeSettings } from './settings.ts';

/** Weights below this share of the largest one change no sum in double precision, even a million of them. */
const negligible = -52;

/** A distribution over some tokens: `weights[n] / total` is the probability of `ids[n]`, for n below `count`. */
export interface Distribution {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  readonly count: number;
  readonly total: number;
}

/** Shapes laws of one vocabulary under one setting. Its distribution is valid until the next call; its buffers are made at the first, since greedy answers need none. */
export class Shaper implements Distribution {
  ids = new Int32Array(0);
  weights = new Float64Array(0);
  count = 0;
  total = 0;
  readonly #size: number;
  readonly #settings: ShapeSettings;
  readonly #penalises: boolean;
  readonly #adjustedIds: number[] = [];
  readonly #adjustedLogits: number[] = [];
  #keep: Uint8Array | undefined;

  /** @param size pieces of the vocabulary @param settings how to shape */
  constructor(size: number, settings: ShapeSettings) {
    this.#size = size;
    this.#settings = settings;
    this.#penalises = penalises(settings);
  }

  /** Applies logit bias and penalties to the law itself. `original` still gives the logits as they were. */
  adjust(law: Law, occurrences: Occurrences): void {
    if (this.#adjustedIds.length > 0) {
      this.#adjustedIds.length = 0;
      this.#adjustedLogits.length = 0;
    }
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = this.#settings;
    if (this.#penalises) {
      if (repetitionPenalty !== 1) {
        for (const id of occurrences.prompt) if (!occurrences.counts.has(id)) this.#set(law, id, repeated(law[id] ?? 0, repetitionPenalty));
      }
      for (const [id, count] of occurrences.counts) {
        this.#set(law, id, repeated(law[id] ?? 0, repetitionPenalty) - presencePenalty - frequencyPenalty * count);
      }
    }
    for (const [id, bias] of logitBias) if (id >= 0 && id < law.length) this.#set(law, id, (law[id] ?? 0) + bias);
  }

  /** The logit of a token before `adjust`. */
  original(law: Law, token: number): number {
    const at = this.#adjustedIds.indexOf(token);
    return (at < 0 ? law[token] : this.#adjustedLogits[at]) as number;
  }

  /** Shapes an adjusted law. Not for temperature 0, where the most likely token is taken. */
  shape(law: Law): this {
    if (this.ids.length === 0) {
      this.ids = new Int32Array(this.#size);
      this.weights = new Float64Array(this.#size);
    }
    const { temperature, topK, topP, minP } = this.#settings;
    const least = minP > 0 ? Math.max(negligible, Math.log(minP)) : negligible;
    this.#weigh(law, 1 / temperature, least);
    if (topK > 0 && topK < this.count) this.#keepTop(topK);
    if (topP < 1) this.#keepNucleus(topP);
    return this;
  }

  /** Keeps only the tokens that a constraint allows. Empty (count 0) when it allows none of them. */
  restrict(constraint: Constraint): this {
    this.#keep ??= new Uint8Array(this.ids.length);
    const kept = constraint.filter(this.ids, this.count, this.#keep);
    if (kept === this.count) return this;
    let at = 0;
    let total = 0;
    for (let n = 0; n < this.count; n++) {
      if (this.#keep[n] === 0) continue;
      this.ids[at] = this.ids[n] as number;
      total += this.weights[at++] = this.weights[n] as number;
    }
    this.count = at;
    this.total = total;
    return this;
  }

  #set(law: Law, id: number, logit: number): void {
    this.#adjustedIds.push(id);
    this.#adjustedLogits.push(law[id] as number);
    law[id] = logit;
  }

  #weigh(law: Law, perTemperature: number, least: number): void {
    const { ids, weights } = this;
    const top = largest(law);
    const floor = top + least / perTemperature;
    let count = 0;
    let total = 0;
    for (let id = 0; id < law.length; id++) {
      const logit = law[id] as number;
      if (!(logit >= floor)) continue;
      const weight = Math.exp((logit - top) * perTemperature);
      ids[count] = id;
      weights[count++] = weight;
      total += weight;
    }
    this.count = count;
    this.total = total;
  }

  /** Keeps the k largest weights: a heap of k with the smallest on top; the rest is passed over once. */
  #keepTop(k: number): void {
    const { ids, weights, count } = this;
    for (let n = (k >> 1) - 1; n >= 0; n--) this.#sink(n, k, lighter);
    for (let n = k; n < count; n++) {
      if ((weights[n] as number) <= (weights[0] as number)) continue;
      weights[0] = weights[n] as number;
      ids[0] = ids[n] as number;
      this.#sink(0, k, lighter);
    }
    this.count = k;
    this.#sum();
  }

  /** Keeps the nucleus, most likely first. Tokens lighter than an even share of what may be left out cannot be in it. */
  #keepNucleus(topP: number): void {
    const { ids, weights } = this;
    const wanted = topP * this.total;
    const floor = ((1 - topP) * this.total) / this.count;
    let count = 0;
    for (let n = 0; n < this.count; n++) {
      if ((weights[n] as number) < floor) continue;
      ids[count] = ids[n] as number;
      weights[count++] = weights[n] as number;
    }
    for (let n = (count >> 1) - 1; n >= 0; n--) this.#sink(n, count, heavier);
    let end = count;
    let sum = 0;
    do {
      sum += weights[0] as number;
      this.#swap(0, --end);
      this.#sink(0, end, heavier);
    } while (sum < wanted && end > 0);
    // the popped ones stand at the end, the most likely last
    const kept = count - end;
    ids.copyWithin(0, end, count);
    weights.copyWithin(0, end, count);
    ids.subarray(0, kept).reverse();
    weights.subarray(0, kept).reverse();
    this.count = kept;
    this.total = sum;
  }

  #sum(): void {
    let total = 0;
    for (let n = 0; n < this.count; n++) total += this.weights[n] as number;
    this.total = total;
  }

  #swap(a: number, b: number): void {
    const { ids, weights } = this;
    const id = ids[a] as number;
    const weight = weights[a] as number;
    ids[a] = ids[b] as number;
    weights[a] = weights[b] as number;
    ids[b] = id;
    weights[b] = weight;
  }

  #sink(from: number, end: number, above: (a: number, b: number) => boolean): void {
    const { weights } = this;
    for (let at = from; ; ) {
      let child = 2 * at + 1;
      if (child >= end) return;
      if (child + 1 < end && above(weights[child + 1] as number, weights[child] as number)) child++;
      if (!above(weights[child] as number, weights[at] as number)) return;
      this.#swap(at, child);
      at = child;
    }
  }
}

const lighter = (a: number, b: number): boolean => a < b;
const heavier = (a: number, b: number): boolean => a > b;

function repeated(logit: number, penalty: number): number {
  return logit > 0 ? logit / penalty : logit * penalty;
}

/** Draws a token. @param u uniform in [0, 1) */
export function draw(distribution: Distribution, u: number): number {
  const { ids, weights, count, total } = distribution;
  let left = u * total;
  for (let n = 0; n < count; n++) {
    left -= weights[n] as number;
    if (left < 0) return ids[n] as number;
  }
  return ids[count - 1] as number;
}

/** Probability of a token under a distribution. */
export function probability(distribution: Distribution, token: number): number {
  const { ids, weights, count, total } = distribution;
  for (let n = 0; n < count; n++) if (ids[n] === token) return (weights[n] as number) / total;
  return 0;
}
