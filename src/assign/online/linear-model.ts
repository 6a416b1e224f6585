/**
 * Bayesian linear regression that forgets: the estimator under every bandit here.
 *
 *   model      reward = x . w + noise of deviation `noise`
 *   prior      w ~ normal(priorMean, noise^2 / priorPrecision), coordinate by coordinate; a precision of 50 on the constant
 *              coordinate is worth 50 observations
 *   data       S = sum of weight * x x^T,  s = sum of weight * reward * x, each scaled by the discount at every step
 *   posterior  A = S + diag(priorPrecision),  mean = A^-1 (s + priorPrecision * priorMean),  covariance = noise^2 A^-1
 *
 * The discount scales the data and leaves the prior as it is, which is D-LinUCB's A <- g A + (1 - g) A0 (Russac, Vernade and
 * Cappé, arXiv:1909.09146). A is factorised exactly (Cholesky) when it has changed: for the up to 24 features used here that is
 * a few microseconds, and unlike rank-one updates of an inverse it neither drifts nor breaks under discounting.
 *
 * The data part is a sum over observations, so that replicas may add their parts in any order.
 */
import { factorise, solveLower, solveUpper } from './cholesky.ts';

/** How a model begins and forgets. */
export interface LinearModelSettings {
  /** Coordinates of a feature vector, 1 to 64; the first is the constant 1. */
  readonly size: number;
  /** Weights that are expected before any observation; default 0. */
  readonly priorMean?: ArrayLike<number>;
  /** How many observations each of those is worth, above 0; default 1 each. */
  readonly priorPrecision?: ArrayLike<number>;
  /** Share of the data that is kept at each step, 0 to 1; default 1. 0.999 remembers about 1,000 steps. */
  readonly discount?: number;
  /** Deviation of a reward around its mean; default 0.5, the most that a reward between 0 and 1 can have. */
  readonly noise?: number;
}

/** What a model expects. */
export interface Expected {
  readonly mean: number;
  /** Deviation of the mean itself (not of one reward). */
  readonly deviation: number;
}

/** What must be kept of a model. JSON. */
export interface SavedLinearModel {
  readonly products: readonly number[];
  readonly moments: readonly number[];
  readonly precision: readonly number[];
  readonly weight: number;
}

/** One target's estimator. */
export class LinearModel {
  readonly size: number;
  readonly noise: number;
  readonly #discount: number;
  readonly #priorMean: Float64Array;
  readonly #precision: Float64Array;
  readonly #products: Float64Array;
  readonly #moments: Float64Array;
  #weight = 0;
  /** Scales that are not yet multiplied in: thousands of steps pass for an arm that is never chosen. */
  #pending = 1;
  #stale = true;
  readonly #factor: Float64Array;
  readonly #mean: Float64Array;
  readonly #scratch: Float64Array;

  constructor({ size, priorMean, priorPrecision, discount = 1, noise = 0.5 }: LinearModelSettings) {
    this.size = size;
    this.noise = noise;
    this.#discount = discount;
    this.#priorMean = Float64Array.from({ length: size }, (_, i) => priorMean?.[i] ?? 0);
    this.#precision = Float64Array.from({ length: size }, (_, i) => priorPrecision?.[i] ?? 1);
    this.#products = new Float64Array(size * size);
    this.#moments = new Float64Array(size);
    this.#factor = new Float64Array(size * size);
    this.#mean = new Float64Array(size);
    this.#scratch = new Float64Array(size);
  }

  /** Observations that the data is still worth, after discounts. */
  get weight(): number {
    return this.#weight * this.#pending;
  }

  /** Expected reward of features. */
  expect(features: ArrayLike<number>): Expected {
    this.#refresh();
    const { size } = this;
    let mean = 0;
    for (let i = 0; i < size; i++) mean += (features[i] as number) * (this.#mean[i] as number);
    solveLower(this.#factor, features, this.#scratch, size);
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (this.#scratch[i] as number) ** 2;
    return { mean, deviation: this.noise * Math.sqrt(squares) };
  }

  /** The posterior mean of the weights. */
  weights(): Float64Array {
    this.#refresh();
    return this.#mean.slice();
  }

  /** Steps pass. @param steps how many, at least 0 */
  pass(steps: number): void {
    if (this.#discount === 1 || steps === 0 || this.#weight === 0) return;
    this.#pending *= this.#discount ** steps;
    this.#stale = true;
  }

  /** An observation. @param weight what it counts for, at least 0; default 1 */
  observe(features: ArrayLike<number>, reward: number, weight = 1): void {
    this.#settle();
    const { size } = this;
    for (let i = 0; i < size; i++) {
      const x = weight * (features[i] as number);
      this.#moments[i] = (this.#moments[i] as number) + x * reward;
      for (let j = 0; j <= i; j++) this.#products[i * size + j] = (this.#products[i * size + j] as number) + x * (features[j] as number);
    }
    this.#weight += weight;
    this.#stale = true;
  }

  /**
   * What was learned holds less than it did: a change was noticed.
   * @param keep observations that the data is worth at most afterwards
   * @param constant precision that the prior keeps at most on the constant coordinate; default as it is
   */
  forget(keep: number, constant = Infinity): void {
    if (this.weight > keep) this.#pending *= keep / this.weight;
    this.#settle();
    this.#precision[0] = Math.min(this.#precision[0] as number, constant);
    this.#stale = true;
  }

  /** What must be kept to go on later. */
  save(): SavedLinearModel {
    this.#settle();
    return { products: [...this.#products], moments: [...this.#moments], precision: [...this.#precision], weight: this.#weight };
  }

  /** Goes on from what was kept; a state of another size is ignored. @returns whether it was taken */
  restore({ products, moments, precision, weight }: SavedLinearModel): boolean {
    if (products.length !== this.#products.length || moments.length !== this.size || precision.length !== this.size) return false;
    this.#products.set(products);
    this.#moments.set(moments);
    this.#precision.set(precision);
    this.#weight = weight;
    this.#pending = 1;
    this.#stale = true;
    return true;
  }

  #settle(): void {
    if (this.#pending === 1) return;
    for (let i = 0; i < this.#products.length; i++) this.#products[i] = (this.#products[i] as number) * this.#pending;
    for (let i = 0; i < this.size; i++) this.#moments[i] = (this.#moments[i] as number) * this.#pending;
    this.#weight *= this.#pending;
    this.#pending = 1;
  }

  #refresh(): void {
    if (!this.#stale) return;
    this.#stale = false;
    const { size } = this;
    const scale = this.#pending;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) this.#factor[i * size + j] = scale * (this.#products[i * size + j] as number) + (i === j ? (this.#precision[i] as number) : 0);
      this.#scratch[i] = scale * (this.#moments[i] as number) + (this.#precision[i] as number) * (this.#priorMean[i] as number);
    }
    factorise(this.#factor, size);
    solveLower(this.#factor, this.#scratch, this.#mean, size);
    solveUpper(this.#factor, this.#mean, this.#mean, size);
  }
}
