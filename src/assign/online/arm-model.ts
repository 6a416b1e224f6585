/**
 * What is known of one arm: its quality, its cost and its time as functions of the request's features, each with a model that
 * forgets and a watch for sudden change. Costs and times are learned as logarithms, since both vary by factors.
 */
import { Watch, type Change, type SavedWatch, type WatchSettings } from './change.ts';
import { LinearModel, type Expected, type SavedLinearModel } from './linear-model.ts';

/** How an arm begins. */
export interface ArmSettings {
  /** Coordinates of a feature vector; the first is the constant 1. */
  readonly size: number;
  readonly quality?: { readonly mean?: ArrayLike<number>; readonly precision?: ArrayLike<number> };
  /** Dollars and milliseconds expected before any observation; each worth `worth` observations. */
  readonly costUsd?: number;
  readonly latencyMs?: number;
  readonly worth?: number;
  /** Share of what was learned that is kept at each step of the bandit; default 0.9995. */
  readonly discount?: number;
  readonly watch?: WatchSettings;
  /** Observations that what was learned of a reward is worth after a change was noticed; default 10. Costs and times start anew. */
  readonly keepAfterChange?: number;
}

/** What an arm did. An absent field was not observed. */
export interface Outcome {
  /** 0 to 1. */
  readonly reward?: number;
  readonly costUsd?: number;
  readonly latencyMs?: number;
  /** What the observation counts for, above 0 up to 1; default 1. */
  readonly weight?: number;
}

/** What changed. */
export interface Noticed extends Change {
  readonly quantity: 'reward' | 'cost' | 'latency';
}

/** What must be kept of an arm. JSON. */
export interface SavedArm {
  readonly quality: SavedLinearModel;
  readonly cost: SavedLinearModel;
  readonly latency: SavedLinearModel;
  readonly spread: { readonly cost: number; readonly latency: number };
  readonly known: { readonly cost: boolean; readonly latency: boolean };
  readonly watches: { readonly reward: SavedWatch; readonly cost: SavedWatch; readonly latency: SavedWatch };
  readonly observations: number;
}

const tiny = 1e-9;
/** Precision that the prior keeps on the constant once a change was noticed: worth three observations. */
const constantAfterChange = 3;
/** Change of a logarithm that counts as one deviation at least: a model that fits costs exactly must not call a few percent a change. */
const factorMin = 0.2;
/** Observations that an old price or time is worth once it was seen to have changed. */
const startAnew = 0.2;
/** Rewards near 0 or 1 vary less than this, but so unevenly that dividing by their own deviation would raise false alarms. */
export const usualMin = 0.3;

/** A positive quantity, learned as a logarithm. */
class Positive {
  readonly model: LinearModel;
  readonly watch: Watch;
  /** Variance of the logarithm around what is expected. */
  spread = 0.25;
  /** Whether anything is known: expected beforehand, or observed. */
  known: boolean;

  constructor(size: number, expected: number | undefined, worth: number, discount: number, watch: WatchSettings | undefined) {
    const known = expected !== undefined && expected > 0;
    this.known = expected !== undefined;
    const mean = new Float64Array(size);
    mean[0] = Math.log(Math.max(tiny, expected ?? 0));
    const precision = new Float64Array(size).fill(5);
    precision[0] = known ? worth : 0.01;
    this.model = new LinearModel({ size, priorMean: mean, priorPrecision: precision, discount, noise: 1 });
    this.watch = new Watch(watch);
  }

  observe(features: ArrayLike<number>, value: number, weight: number): Change | undefined {
    const log = Math.log(Math.max(tiny, value));
    const { mean } = this.model.expect(features);
    const residual = log - mean;
    const judged = this.model.weight >= 10;
    const change = judged ? this.watch.observe(residual / Math.max(factorMin, Math.sqrt(this.spread))) : undefined;
    if (change === undefined && judged) this.spread += 0.02 * (Math.min(residual * residual, 9 * this.spread + 0.01) - this.spread);
    this.model.observe(features, log, weight);
    this.known = true;
    return change;
  }

  /** @param quantile deviations above the middle */
  at(features: ArrayLike<number>, quantile: number): number {
    const { mean, deviation } = this.model.expect(features);
    return quantile === 0 ? Math.exp(mean + this.spread / 2) : Math.exp(mean + quantile * Math.sqrt(this.spread * (1 + deviation * deviation)));
  }
}

/** One arm. */
export class ArmModel {
  readonly #quality: LinearModel;
  readonly #cost: Positive;
  readonly #latency: Positive;
  readonly #watch: Watch;
  readonly #keep: number;
  #observations = 0;

  constructor({ size, quality, costUsd, latencyMs, worth = 5, discount = 0.9995, watch, keepAfterChange = 10 }: ArmSettings) {
    this.#quality = new LinearModel({ size, discount, ...(quality?.mean === undefined ? {} : { priorMean: quality.mean }), ...(quality?.precision === undefined ? {} : { priorPrecision: quality.precision }) });
    this.#cost = new Positive(size, costUsd, worth, discount, watch);
    this.#latency = new Positive(size, latencyMs, worth, discount, watch);
    this.#watch = new Watch(watch);
    this.#keep = keepAfterChange;
  }

  /** Observations in all. */
  get observations(): number {
    return this.#observations;
  }

  /** How near a change of its rewards or costs is to being noticed, 0 to 1. */
  get suspicion(): number {
    return Math.max(this.#watch.suspicion, this.#cost.watch.suspicion);
  }

  /** Steps of the bandit pass. */
  pass(steps: number): void {
    this.#quality.pass(steps);
    this.#cost.model.pass(steps);
    this.#latency.model.pass(steps);
  }

  /** Expected quality. */
  quality(features: ArrayLike<number>): Expected {
    return this.#quality.expect(features);
  }

  /** Expected dollars, or their upper quantile; undefined while nothing is known. @param quantile in deviations; 0 is the mean */
  costUsd(features: ArrayLike<number>, quantile = 0): number | undefined {
    return this.#cost.known ? this.#cost.at(features, quantile) : undefined;
  }

  /** Expected milliseconds, or their upper quantile; undefined while nothing is known. */
  latencyMs(features: ArrayLike<number>, quantile = 0): number | undefined {
    return this.#latency.known ? this.#latency.at(features, quantile) : undefined;
  }

  /** Learns from an outcome; says what changed. */
  learn(features: ArrayLike<number>, { reward, costUsd, latencyMs, weight = 1 }: Outcome): Noticed[] {
    const noticed: Noticed[] = [];
    this.#observations++;
    if (reward !== undefined) {
      const { mean } = this.#quality.expect(features);
      const usual = Math.max(usualMin, Math.sqrt(Math.max(0, mean * (1 - mean))));
      const change = this.#watch.observe((reward - mean) / usual);
      if (change !== undefined) {
        this.#quality.forget(this.#keep, constantAfterChange);
        noticed.push({ ...change, quantity: 'reward' });
      }
      this.#quality.observe(features, reward, weight);
    }
    for (const [quantity, learner, value] of [['cost', this.#cost, costUsd], ['latency', this.#latency, latencyMs]] as const) {
      if (value === undefined) continue;
      const change = learner.observe(features, value, weight);
      if (change === undefined) continue;
      learner.model.forget(startAnew, 0.01);
      learner.model.observe(features, Math.log(Math.max(tiny, value)), weight);
      noticed.push({ ...change, quantity });
    }
    return noticed;
  }

  /** Forgets as if a change of this quantity had been noticed here: another replica noticed it. */
  forget(quantity: Noticed['quantity']): void {
    if (quantity === 'reward') this.#quality.forget(this.#keep, constantAfterChange);
    else (quantity === 'cost' ? this.#cost : this.#latency).model.forget(startAnew, 0.01);
    (quantity === 'reward' ? this.#watch : quantity === 'cost' ? this.#cost.watch : this.#latency.watch).reset();
  }

  /** What must be kept. */
  save(): SavedArm {
    return { quality: this.#quality.save(), cost: this.#cost.model.save(), latency: this.#latency.model.save(), spread: { cost: this.#cost.spread, latency: this.#latency.spread }, known: { cost: this.#cost.known, latency: this.#latency.known }, watches: { reward: this.#watch.save(), cost: this.#cost.watch.save(), latency: this.#latency.watch.save() }, observations: this.#observations };
  }

  /** Goes on from what was kept. @returns whether it was taken */
  restore({ quality, cost, latency, spread, known, watches, observations }: SavedArm): boolean {
    if (!this.#quality.restore(quality) || !this.#cost.model.restore(cost) || !this.#latency.model.restore(latency)) return false;
    this.#cost.spread = spread.cost;
    this.#latency.spread = spread.latency;
    this.#cost.known = known.cost;
    this.#latency.known = known.latency;
    this.#watch.restore(watches.reward);
    this.#cost.watch.restore(watches.cost);
    this.#latency.watch.restore(watches.latency);
    this.#observations = observations;
    return true;
  }
}
