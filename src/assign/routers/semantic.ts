/**
 * Ridge regression of every member's quality on the bundled static embedding and the marks of a prompt: what the prompt is
 * about, rather than which words it holds. Inputs are brought to one scale; the weights are few, so they stay 32-bit.
 */
import { SparseBuilder } from '../linear/sparse.ts';
import { ridge } from '../linear/ridge.ts';
import { embedderNamed, type Embedder, type EmbedderName } from './embedder.ts';
import type { Learner, Lesson, Predictor, SavedPredictor } from './learner.ts';

class SemanticPredictor implements Predictor {
  readonly kind = 'semantic';
  readonly members: readonly string[];
  readonly #embedder: Embedder;
  readonly #weights: Float32Array;
  readonly #embedding: Float64Array;

  constructor(saved: SavedPredictor) {
    this.members = saved.members;
    this.#embedder = embedderNamed(String(saved.settings['embedder']));
    this.#weights = saved.arrays['weights'] as Float32Array;
    this.#embedding = new Float64Array(this.#embedder.size);
  }

  estimate(prompt: string, into: Float64Array = new Float64Array(this.members.length)): Float64Array {
    const [width, size] = [this.members.length, this.#embedder.size];
    const x = this.#embedder.embed(prompt, this.#embedding);
    for (let m = 0; m < width; m++) into[m] = this.#weights[size * width + m] as number;
    for (let j = 0, at = 0; j < size; j++) for (let m = 0; m < width; m++, at++) into[m] = (into[m] as number) + (x[j] as number) * (this.#weights[at] as number);
    return into;
  }

  save(): SavedPredictor {
    return { kind: 'semantic', members: this.members, settings: { embedder: this.#embedder.id }, arrays: { weights: this.#weights } };
  }
}

/** Fits. @param penalty ridge penalty on inputs of deviation 1; default ten times the number of inputs */
export function fitSemantic(lesson: Lesson, embedder: EmbedderName = 'bundled', penalty?: number): Predictor {
  const source = embedderNamed(embedder);
  const [rows, size, width] = [lesson.prompts.length, source.size, lesson.members.length];
  const inputs = lesson.prompts.map((prompt) => source.embed(prompt, new Float64Array(size)).slice());
  const mean = new Float64Array(size);
  const deviation = new Float64Array(size);
  for (const x of inputs) for (let j = 0; j < size; j++) mean[j] = (mean[j] as number) + (x[j] as number) / rows;
  for (const x of inputs) for (let j = 0; j < size; j++) deviation[j] = (deviation[j] as number) + ((x[j] as number) - (mean[j] as number)) ** 2 / rows;
  for (let j = 0; j < size; j++) deviation[j] = Math.max(1e-6, Math.sqrt(deviation[j] as number));
  const builder = new SparseBuilder(size);
  for (const x of inputs) {
    for (let j = 0; j < size; j++) builder.add(j, ((x[j] as number) - (mean[j] as number)) / (deviation[j] as number));
    builder.endRow();
  }
  const fit = ridge(builder.build(), lesson.quality, width, { penalty: penalty ?? 10 * size, roundsMax: 40 });
  const weights = new Float32Array((size + 1) * width);
  for (let m = 0; m < width; m++) {
    let intercept = fit.intercept[m] as number;
    for (let j = 0; j < size; j++) {
      const weight = (fit.weights[j * width + m] as number) / (deviation[j] as number);
      weights[j * width + m] = weight;
      intercept -= weight * (mean[j] as number);
    }
    weights[size * width + m] = intercept;
  }
  return new SemanticPredictor({ kind: 'semantic', members: lesson.members, settings: { embedder: source.id }, arrays: { weights } });
}

/** Restores a predictor of this file. @throws {TandemError} router_file_invalid: made with another embedder */
export function loadSemantic(saved: SavedPredictor): Predictor {
  return new SemanticPredictor(saved);
}

/** Quality by what a prompt is about. */
export const semantic: Learner = {
  kind: 'semantic',
  summary: "every member's quality by ridge regression on the bundled static embedding",
  rows: [],
  fit: (lesson) => fitSemantic(lesson),
};
