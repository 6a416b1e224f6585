/**
 * Answer-aware scoring: how likely the weak member's own answer is wrong, from the prompt, the answer, and, where they were
 * asked, the answers of one or two more small members. A small dense ridge regression whose penalty is chosen by inner folds
 * of the training rows.
 *
 * Sources: FrugalGPT's answer scorer (arXiv:2305.05176); consensus of small models (ELM; Yue et al., arXiv:2310.03094).
 */
import { z } from 'zod';
import { SparseBuilder, pickRows, type SparseRows } from '../linear/sparse.ts';
import { predict, ridge, type RidgeFit } from '../linear/ridge.ts';
import { marksOf, scalingOf, type Scaling } from '../text/marks.ts';
import { answerMarksOf, resultOf } from './numbers.ts';

/** A prompt with what the small members said. */
export interface Answered {
  readonly prompt: string;
  /** The weak member's answer. */
  readonly answer: string;
  /** Answers of the other small members. */
  readonly helpers: readonly string[];
}

/** Share of the helpers whose result equals the weak member's; 1 without helpers. */
export function consensusOf({ answer, helpers }: Answered): number {
  if (helpers.length === 0) return 1;
  const own = resultOf(answer);
  return helpers.filter((helper) => resultOf(helper) === own && own !== '').length / helpers.length;
}

/** Features of an answered prompt. */
export function answeredFeatures(answered: Answered): Float64Array {
  const { prompt, answer, helpers } = answered;
  const own = resultOf(answer);
  const results = helpers.map((helper) => resultOf(helper));
  const others = results.length > 1 ? [results.every((each) => each === results[0] && each !== own) ? 1 : 0] : [];
  const [promptMarks, answerMarks] = [marksOf(prompt), answerMarksOf(prompt, answer)];
  const agreements = [...results.map((each) => (each === own ? 1 : 0)), ...others, ...(results.length > 0 ? [consensusOf(answered)] : [])];
  return Float64Array.from([...agreements, ...answerMarks, ...promptMarks]);
}

const penalties = [100, 300, 1000];
const within = 4;
const agreementWeight = 2;
const promptWeight = 0.4;
const innerFolds = 4;

/** What a file of a scorer holds. The calibration turns a score into the probability that the answer is right. */
export const scorerSchema = z.strictObject({
  kind: z.literal('tandem-scorer'),
  version: z.literal(1),
  date: z.string(),
  /** Member whose answers it was fitted on, and on how many. */
  member: z.string(),
  rows: z.number(),
  mean: z.array(z.number()),
  deviation: z.array(z.number()),
  weights: z.array(z.number()),
  intercept: z.number(),
  agreements: z.number(),
  answerMarks: z.number(),
  penalty: z.number(),
  calibration: z.strictObject({ slope: z.number(), intercept: z.number(), mean: z.number(), deviation: z.number() }),
});

/** A scorer as it is stored. */
export type SavedScorer = z.infer<typeof scorerSchema>;

/** A fitted scorer. */
export class AnswerScorer {
  readonly #scaling: Scaling;
  readonly #fit: RidgeFit;
  readonly #agreements: number;
  readonly #answerMarks: number;
  /** The penalty that the inner folds chose. */
  readonly penalty: number;

  constructor(scaling: Scaling, fit: RidgeFit, layout: { readonly agreements: number; readonly answerMarks: number }, penalty: number) {
    this.#scaling = scaling;
    this.#fit = fit;
    this.#agreements = layout.agreements;
    this.#answerMarks = layout.answerMarks;
    this.penalty = penalty;
  }

  /**
   * Fits.
   * @param weak quality of the weak member's answers, 0 to 1
   * @param others mean quality of other members on the same prompts, where known: it tells how hard a prompt is with less noise
   */
  static fit(answered: readonly Answered[], weak: Float64Array, others?: Float64Array): AnswerScorer {
    const features = answered.map(answeredFeatures);
    const agreements = (features[0]?.length ?? 0) - answerMarksOf('', '').length - marksOf('').length;
    const layout = { agreements, answerMarks: answerMarksOf('', '').length };
    const scaling = scalingOf(features);
    const target = weak.map((each, i) => -each - (others === undefined ? 0 : (others[i] as number) / 3));
    const matrix = matrixOf(features, scaling, layout);
    const penalty = chosenPenalty(matrix, target, weak);
    return new AnswerScorer(scaling, ridge(matrix, target, 1, { penalty, roundsMax: 200 }), layout, penalty);
  }

  /** What a file must hold to restore it. */
  save(): Pick<SavedScorer, 'mean' | 'deviation' | 'weights' | 'intercept' | 'agreements' | 'answerMarks' | 'penalty'> {
    const { mean, deviation } = this.#scaling;
    return { mean: Array.from(mean), deviation: Array.from(deviation), weights: Array.from(this.#fit.weights), intercept: this.#fit.intercept[0] as number, agreements: this.#agreements, answerMarks: this.#answerMarks, penalty: this.penalty };
  }

  /** Restores one. */
  static load({ mean, deviation, weights, intercept, agreements, answerMarks, penalty }: ReturnType<AnswerScorer['save']>): AnswerScorer {
    return new AnswerScorer({ mean: Float64Array.from(mean), deviation: Float64Array.from(deviation) }, { weights: Float64Array.from(weights), intercept: Float64Array.of(intercept) }, { agreements, answerMarks }, penalty);
  }

  /** Greater: rather wrong. */
  score(answered: Answered): number {
    const matrix = matrixOf([answeredFeatures(answered)], this.#scaling, { agreements: this.#agreements, answerMarks: this.#answerMarks });
    return predict(matrix, this.#fit)[0] as number;
  }
}

function matrixOf(features: readonly Float64Array[], { mean, deviation }: Scaling, { agreements, answerMarks }: { readonly agreements: number; readonly answerMarks: number }): SparseRows {
  const builder = new SparseBuilder(mean.length);
  for (const row of features) {
    for (let i = 0; i < row.length; i++) {
      const weight = i < agreements ? agreementWeight : i < agreements + answerMarks ? 1 : promptWeight;
      builder.add(i, weight * Math.max(-within, Math.min(within, ((row[i] as number) - (mean[i] as number)) / (deviation[i] as number))));
    }
    builder.endRow();
  }
  return builder.build();
}

/** The penalty whose out-of-fold scores correlate best with the weak member's failures. */
function chosenPenalty(matrix: SparseRows, target: Float64Array, weak: Float64Array): number {
  let [best, bestCorrelation] = [penalties[0] as number, -Infinity];
  for (const penalty of penalties) {
    const scores = new Float64Array(matrix.rows);
    for (let fold = 0; fold < innerFolds; fold++) {
      const [inside, outside]: [number[], number[]] = [[], []];
      for (let row = 0; row < matrix.rows; row++) (row % innerFolds === fold ? inside : outside).push(row);
      const fit = ridge(pickRows(matrix, outside), Float64Array.from(outside, (row) => target[row] as number), 1, { penalty, roundsMax: 200 });
      const found = predict(pickRows(matrix, inside), fit);
      inside.forEach((row, i) => (scores[row] = found[i] as number));
    }
    const correlation = -correlationOf(scores, weak);
    if (correlation > bestCorrelation) [best, bestCorrelation] = [penalty, correlation];
  }
  return best;
}

function correlationOf(a: Float64Array, b: Float64Array): number {
  const n = a.length;
  const [meanA, meanB] = [a.reduce((sum, each) => sum + each, 0) / n, b.reduce((sum, each) => sum + each, 0) / n];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [x, y] = [(a[i] as number) - meanA, (b[i] as number) - meanB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb + 1e-12);
}
