/**
 * The contract of learned routers: a learner turns a lesson (prompts with the quality of every member's answer) into a
 * predictor of each member's quality on a new prompt. What is done with the predictions (a pair, a utility, a promise) is
 * decided elsewhere. Nothing here does I/O.
 */

/** What a learner is taught. */
export interface Lesson {
  readonly prompts: readonly string[];
  /** Member ids; every row has a quality for each. */
  readonly members: readonly string[];
  /** Quality of each answer, 0 to 1, rows x members, row-major. NaN where a member did not answer (only some learners allow it). */
  readonly quality: Float64Array;
  /** Mean quality of all members known for a row, also those that are not routed to: tells with less noise how hard it is. */
  readonly common?: Float64Array;
  /** Several metrics of quality, each as `quality`; only `multi-metric` reads them. */
  readonly metrics?: Readonly<Record<string, Float64Array>>;
  /** Texts of the answers per row, in the order of `members`; only learners without labels read them. */
  readonly answers?: readonly (readonly string[])[];
  /** What each member is good at, in words, in the order of `members`; only matching by model card reads it. */
  readonly cards?: readonly string[];
  /** Of everything that is drawn at random. */
  readonly seed: number;
}

/** A fitted router. */
export interface Predictor {
  readonly kind: PredictorKind;
  readonly members: readonly string[];
  /**
   * Estimated quality of each member on a prompt, higher is better. The scale is the predictor's own: only differences
   * between members and orders among prompts mean something until they are calibrated.
   * @param into overwritten when given; as long as `members`
   */
  estimate(prompt: string, into?: Float64Array): Float64Array;
  /** What a file must hold to restore it. */
  save(): SavedPredictor;
}

/** Numbers and arrays of a predictor. Arrays keep their type in a file. */
export interface SavedPredictor {
  readonly kind: PredictorKind;
  readonly members: readonly string[];
  /** Settings: JSON. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly arrays: Readonly<Record<string, SavedArray>>;
  /** Predictors that this one combines. */
  readonly parts?: readonly SavedPredictor[];
}

/** Arrays that files hold. */
export type SavedArray = Float32Array | Int32Array | Int16Array | Int8Array | Uint8Array;

/** A way of learning. */
export interface Learner {
  readonly kind: PredictorKind;
  /** One sentence for help and cards. */
  readonly summary: string;
  /** Rows of systems.md that it implements; a test names each. */
  readonly rows: readonly number[];
  fit(lesson: Lesson): Predictor;
}

/** Every way of learning. */
export type PredictorKind = 'linear' | 'quality-gap' | 'difficulty' | 'factorisation' | 'reward-distilled' | 'contrastive' | 'sparse-gate' | 'neighbours' | 'semantic' | 'model-card' | 'label-free' | 'probed' | 'ensemble' | 'multi-metric';

/** Some rows of a lesson. */
export function subset(lesson: Lesson, rows: ArrayLike<number>): Lesson {
  const width = lesson.members.length;
  const quality = new Float64Array(rows.length * width);
  const [prompts, answers]: [string[], (readonly string[])[]] = [[], []];
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    prompts.push(lesson.prompts[row] ?? '');
    if (lesson.answers !== undefined) answers.push(lesson.answers[row] ?? []);
    quality.set(lesson.quality.subarray(row * width, (row + 1) * width), i * width);
  }
  const metrics = lesson.metrics === undefined ? {} : { metrics: Object.fromEntries(Object.entries(lesson.metrics).map(([name, values]) => [name, Float64Array.from({ length: rows.length * width }, (_, k) => values[(rows[Math.floor(k / width)] as number) * width + (k % width)] as number)])) };
  return { ...lesson, prompts, quality, ...metrics, ...(lesson.common === undefined ? {} : { common: Float64Array.from(rows, (row) => lesson.common?.[row] ?? 0) }), ...(lesson.answers === undefined ? {} : { answers }) };
}

/** Estimates for many prompts, rows x members. */
export function estimates(predictor: Predictor, prompts: readonly string[]): Float64Array {
  const width = predictor.members.length;
  const found = new Float64Array(prompts.length * width);
  prompts.forEach((prompt, row) => predictor.estimate(prompt, found.subarray(row * width, (row + 1) * width)));
  return found;
}
