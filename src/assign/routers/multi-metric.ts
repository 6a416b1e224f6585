/**
 * Routing on several metrics at once: one predictor a metric (correctness, form, style, whatever is judged), and a member's
 * quality as their weighted mean. Weights can be changed in the file's settings without training anew.
 *
 * Source: RouteT2I, which predicts several quality metrics of an edge and a cloud generator and compares them.
 */
import { fail } from '../../errors.ts';
import { fitLinear } from './linear.ts';
import type { Learner, Lesson, Predictor, SavedPredictor } from './learner.ts';

class MultiMetricPredictor implements Predictor {
  readonly kind = 'multi-metric';
  readonly members: readonly string[];
  readonly metrics: readonly string[];
  readonly #parts: readonly Predictor[];
  readonly #weights: Float32Array;
  readonly #one: Float64Array;

  constructor(metrics: readonly string[], parts: readonly Predictor[], weights: Float32Array) {
    this.metrics = metrics;
    this.#parts = parts;
    this.#weights = weights;
    this.members = parts[0]?.members ?? [];
    this.#one = new Float64Array(this.members.length);
  }

  estimate(prompt: string, into: Float64Array = new Float64Array(this.members.length)): Float64Array {
    into.fill(0);
    this.#parts.forEach((part, metric) => {
      part.estimate(prompt, this.#one);
      for (let m = 0; m < into.length; m++) into[m] = (into[m] as number) + (this.#weights[metric] as number) * (this.#one[m] as number);
    });
    return into;
  }

  save(): SavedPredictor {
    return { kind: this.kind, members: this.members, settings: { metrics: this.metrics }, arrays: { weights: this.#weights }, parts: this.#parts.map((part) => part.save()) };
  }
}

/** Learns every metric by itself. @param weights by metric, 0 or more; default: all alike */
export function fitMultiMetric(lesson: Lesson, weights: Readonly<Record<string, number>> = {}): Predictor {
  const metrics = Object.entries(lesson.metrics ?? fail('bench_data_invalid', 'Learning several metrics needs rows with "metrics": {metric: {member: 0..1}}.'));
  if (metrics.length === 0) fail('bench_data_invalid', 'The rows name no metric.');
  const given = metrics.map(([name]) => weights[name] ?? 1);
  const sum = given.reduce((total, each) => total + each, 0);
  if (!(sum > 0)) fail('bench_data_invalid', 'Every metric has the weight 0.');
  return new MultiMetricPredictor(metrics.map(([name]) => name), metrics.map(([, quality]) => fitLinear({ ...lesson, quality })), Float32Array.from(given, (each) => each / sum));
}

/** Every metric by itself, weighed alike. */
export const multiMetric: Learner = {
  kind: 'multi-metric',
  summary: 'several metrics of quality, each by itself, as a weighted mean',
  rows: [38],
  fit: (lesson) => fitMultiMetric(lesson),
};

/** Restores a predictor of this file. */
export function loadMultiMetric(saved: SavedPredictor, parts: readonly Predictor[]): Predictor {
  return new MultiMetricPredictor(saved.settings['metrics'] as readonly string[], parts, saved.arrays['weights'] as Float32Array);
}
