/**
 * Training of a router from rows: out-of-fold scores give the metric, the calibration and the promises; the router itself is
 * fitted on all rows. Nothing here reads or writes files.
 */
import { createHash } from 'node:crypto';
import { seededRandom } from '../system/random.ts';
import { calibrated, calibrationError, fitCalibration, type Judged } from './calibration.ts';
import { fitIsotonic, isotonic } from './isotonic.ts';
import { promiseFor, transfers, type Outcome, type QualityPromise } from './promise/promise.ts';
import { fail } from '../errors.ts';
import { agreementOf, withProbes, type Probes } from './routers/teaching.ts';
import { estimates, subset, type Learner, type Lesson, type Predictor } from './routers/learner.ts';
import { scaled, type RouterCard, type Scaled, type TrainedRouter, type Transfer } from './trained.ts';

/** What is to be trained. */
export interface TrainingWish {
  readonly lesson: Lesson;
  readonly learner: Learner;
  readonly weak: string;
  readonly strong: string;
  /** Which fold each row belongs to; equal prompts in one fold. */
  readonly folds: Uint8Array;
  /** Names the rows in the card. */
  readonly dataName: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Losses for which promises are made; default 0.01, 0.02 and 0.05. */
  readonly losses?: readonly number[];
  /** Platt's two numbers (default), or isotonic steps. */
  readonly calibration?: 'platt' | 'isotonic';
  /** What the prompts of the lesson are: last messages (default), or texts by `sessionText`. */
  readonly reads?: 'last' | 'session';
  /** Mean dollars and milliseconds of each member, where the rows tell. */
  readonly figures?: Readonly<Record<string, { readonly costUsd?: number; readonly latencyMs?: number }>>;
  /** Other labelled rows on which the promises are to be tested. */
  readonly others?: readonly { readonly name: string; readonly prompts: readonly string[]; readonly small: Float64Array; readonly large: Float64Array }[];
  /** Measures scores against the members' quality; passed in, since metrics belong to the bench. */
  readonly metric: (score: Float64Array, weak: Float64Array, strong: Float64Array) => { readonly value: number; readonly low: number; readonly high: number };
}

/** Scores of rows by routers that were not fitted on them: gap of the estimates, strong minus weak. */
export function outOfFold(lesson: Lesson, learner: Learner, folds: Uint8Array, weak: string, strong: string): Float64Array {
  const all = estimatesOutOfFold(lesson, learner, folds);
  const [w, s, width] = [lesson.members.indexOf(weak), lesson.members.indexOf(strong), lesson.members.length];
  return Float64Array.from(lesson.prompts, (_, row) => (all[row * width + s] as number) - (all[row * width + w] as number));
}

/** Estimates of every member, rows x members, by routers that were not fitted on the row. */
export function estimatesOutOfFold(lesson: Lesson, learner: Learner, folds: Uint8Array): Float64Array {
  const width = lesson.members.length;
  const found = new Float64Array(lesson.prompts.length * width);
  for (const fold of new Set(folds)) {
    const inside: number[] = [];
    const outside: number[] = [];
    folds.forEach((each, row) => (each === fold ? inside : outside).push(row));
    const own = estimates(learner.fit(subset(lesson, outside)), inside.map((row) => lesson.prompts[row] ?? ''));
    inside.forEach((row, i) => found.set(own.subarray(i * width, (i + 1) * width), row * width));
  }
  return found;
}

/** Estimated quality of the strong member minus the weak one's, for each prompt. */
export function gapScores(predictor: { readonly members: readonly string[] } & Parameters<typeof estimates>[0], prompts: readonly string[], weak: string, strong: string): Float64Array {
  const [w, s, width] = [predictor.members.indexOf(weak), predictor.members.indexOf(strong), predictor.members.length];
  const found = estimates(predictor, prompts);
  return Float64Array.from(prompts, (_, row) => (found[row * width + s] as number) - (found[row * width + w] as number));
}

/** Calibrates scores to the probability that the strong member's answer is better. */
export function calibrate(scores: Float64Array, better: readonly boolean[]): { readonly calibration: Scaled; readonly error: number } {
  const mean = scores.reduce((sum, each) => sum + each, 0) / scores.length;
  const deviation = Math.max(1e-9, Math.sqrt(scores.reduce((sum, each) => sum + (each - mean) ** 2, 0) / scores.length));
  const judged: Judged[] = Array.from(scores, (score, i) => ({ score: squashed((score - mean) / deviation), correct: better[i] ?? false }));
  const fitted = fitCalibration(judged);
  return { calibration: { ...fitted, mean, deviation }, error: calibrationError(judged.map(({ score, correct }) => ({ score: calibrated(score, fitted), correct }))) };
}

function squashed(z: number): number {
  return 1 / (1 + Math.exp(-z));
}

/** Trains. */
export function trainRouter(wish: TrainingWish): TrainedRouter {
  const { lesson, learner, weak, strong, folds, dataName, now } = wish;
  const { members } = lesson;
  const all = estimatesOutOfFold(lesson, learner, folds);
  const at = (row: number, member: string): number => all[row * members.length + members.indexOf(member)] as number;
  const scores = Float64Array.from(lesson.prompts, (_, row) => at(row, strong) - at(row, weak));
  const [weakQuality, strongQuality] = [column(lesson, weak), column(lesson, strong)];
  const better = Array.from(strongQuality, (each, i) => each > (weakQuality[i] as number));
  const fitted = wish.calibration === 'isotonic' ? calibrateIsotonic(scores, better) : calibrate(scores, better);
  // Without labels, what the router foresees is agreement, and that is what its estimates are calibrated to.
  const known = learner.kind === 'label-free' && lesson.answers !== undefined ? { ...lesson, quality: agreementOf(lesson.answers, members.length) } : lesson;
  // A quality between 0 and 1 counts as right with that chance, so that the calibrated figure is the expected quality.
  const random = seededRandom(lesson.seed);
  const own = Object.fromEntries(members.map((member) => [member, calibrate(Float64Array.from(lesson.prompts, (_, row) => at(row, member)), Array.from(column(known, member), (each) => each > random.next())).calibration]));
  const { error } = fitted;
  const calibration: Scaled = { ...fitted.calibration, members: own };
  const predictor = learner.fit(lesson);
  const probability = (score: number): number => scaled(score, calibration);
  const outcomes: Outcome[] = Array.from(scores, (score, i) => ({ score: probability(score), small: weakQuality[i] as number, large: strongQuality[i] as number }));
  const promises = lesson.prompts.length < 50 ? [] : (wish.losses ?? [0.01, 0.02, 0.05]).map((lossMax) => promiseFor(outcomes, { lossMax, confidence: 0.95 }, now)).map((promise) => ({ ...promise, threshold: Math.max(0, Math.min(1.01, promise.threshold)) }));
  const card = {
    kind: predictor.kind,
    date: new Date(now).toISOString().slice(0, 10),
    data: { name: dataName, rows: lesson.prompts.length, sha256: digest(lesson) },
    weak,
    strong,
    metric: { name: 'apgr' as const, ...wish.metric(scores, weakQuality, strongQuality), folds: new Set(folds).size },
    calibrationError: error,
    promises,
    ...(wish.reads === undefined ? {} : { reads: wish.reads }),
    members: Object.fromEntries(members.map((member) => [member, { quality: average(column(lesson, member)), ...wish.figures?.[member] }])),
    ...(wish.others === undefined || wish.others.length === 0 ? {} : { transfers: wish.others.flatMap((other) => transfersOf(other, { card: { weak, strong }, predictor, calibration }, outcomes, promises, now)) }),
  };
  return { card, calibration, predictor };
}

/**
 * A trained router with one member more, known from a few dozen probes (row 36). Promises, pair and metric stay those of the
 * router; choice among members takes the new one in.
 * @throws {TandemError} bench_data_invalid: fewer than 20 probes, or the router knows the member
 */
export function addMember(trained: TrainedRouter, probes: Probes, figures: { readonly costUsd?: number; readonly latencyMs?: number } = {}): TrainedRouter {
  if (probes.prompts.length < 20) fail('bench_data_invalid', `A new member needs at least 20 probes; there are ${probes.prompts.length}.`);
  if (trained.predictor.members.includes(probes.member)) fail('bench_data_invalid', `The router knows "${probes.member}" already.`);
  const predictor = withProbes(trained.predictor, probes);
  const width = predictor.members.length;
  const found = estimates(predictor, probes.prompts);
  const quality = Float64Array.from(probes.quality);
  const { calibration } = calibrate(Float64Array.from(probes.prompts, (_, row) => found[row * width + width - 1] as number), Array.from(quality, (each) => each >= 0.5));
  return {
    card: { ...trained.card, kind: predictor.kind, members: { ...trained.card.members, [probes.member]: { quality: average(quality), ...figures } } },
    calibration: { ...trained.calibration, members: { ...trained.calibration.members, [probes.member]: calibration } },
    predictor,
  };
}

/** Whether each promise may be used on other labelled rows. */
function transfersOf(other: NonNullable<TrainingWish['others']>[number], { card, predictor, calibration }: { readonly card: Pick<RouterCard, 'weak' | 'strong'>; readonly predictor: Predictor; readonly calibration: Scaled }, from: readonly Outcome[], promises: readonly QualityPromise[], now: number): Transfer[] {
  const gaps = gapScores(predictor, other.prompts, card.weak, card.strong);
  const to: Outcome[] = other.prompts.map((_, i) => ({ score: scaled(gaps[i] as number, calibration), small: other.small[i] as number, large: other.large[i] as number }));
  return promises.map((promise) => ({ set: other.name, rows: to.length, lossMax: promise.lossMax, ...transfers(promise.threshold, from, to, promise), date: new Date(now).toISOString().slice(0, 10) }));
}

/** As `calibrate`, with isotonic steps. The error is that of steps fitted on one half, measured on the other, both ways. */
export function calibrateIsotonic(scores: Float64Array, better: readonly boolean[]): { readonly calibration: Scaled; readonly error: number } {
  const mean = average(scores);
  const deviation = Math.max(1e-9, Math.sqrt(scores.reduce((sum, each) => sum + (each - mean) ** 2, 0) / scores.length));
  const judged: Judged[] = Array.from(scores, (score, i) => ({ score: (score - mean) / deviation, correct: better[i] ?? false }));
  const crossed = [0, 1].flatMap((side) => {
    const steps = fitIsotonic(judged.filter((_, i) => i % 2 !== side));
    return judged.filter((_, i) => i % 2 === side).map(({ score, correct }) => ({ score: isotonic(score, steps), correct }));
  });
  return { calibration: { slope: 1, intercept: 0, mean, deviation, steps: fitIsotonic(judged) }, error: calibrationError(crossed) };
}

function average(values: Float64Array): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** Quality of one member in each row. */
export function column({ members, quality, prompts }: Lesson, member: string): Float64Array {
  const at = members.indexOf(member);
  return Float64Array.from(prompts, (_, row) => quality[row * members.length + at] as number);
}

function digest({ prompts, quality }: Lesson): string {
  const hash = createHash('sha256');
  for (const prompt of prompts) hash.update(createHash('sha256').update(prompt).digest());
  return hash.update(new Uint8Array(quality.buffer, quality.byteOffset, quality.byteLength)).digest('hex');
}
