/**
 * The benchmark of routing between two members on rows of recorded answers: scores every row by a router that was not
 * fitted on it, and measures it beside the trivial routers, with intervals, costs, and the time of a decision.
 */
import { AnswerScorer, consensusOf, type Answered } from '../assign/answers/scorer.ts';
import { calibrate, gapScores } from '../assign/training.ts';
import { subset, type Learner, type Lesson, type Predictor } from '../assign/routers/learner.ts';
import { sessionTextOf } from '../assign/session-text.ts';
import { fail } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { byCategory, byLength, byWords, tfIdfRidge } from './baselines.ts';
import { apgrInterval } from './metrics/bootstrap.ts';
import { aiq, routerArenaScore, type Priced } from './metrics/cost.ts';
import { mean, measureOrdered, ordered, quantile, randomRouter, measure, type CurvePoint } from './metrics/curve.ts';
import { drawLabels, foldsOf, hashShare, membersOf, qualityOf, readRows, type Row } from './rows.ts';
import { savingAtEqualQuality, type Saving } from './saving.ts';

/** What a router may look at: the prompt; also the weak member's answer; also the answers of other small members. */
export type Signals = 'prompt' | 'answer' | 'consensus';

/** What is measured. */
export interface RouteBench {
  readonly rows: readonly Row[];
  readonly weak: string;
  readonly strong: string;
  readonly learner: Learner;
  readonly signals: Signals;
  /** Other small members whose answers are asked for; signals `consensus`. */
  readonly helpers: readonly string[];
  /** Train on this many rows and test on the rest; undefined: folds. */
  readonly labels?: number;
  /** Default 5. */
  readonly folds: number;
  readonly seed: number;
  /** Resamples of the bootstrap; default 1000. */
  readonly resamples: number;
  /** Names the split's hash; default the weak and strong member. */
  readonly salt?: string;
  /** Leave the TF-IDF baseline out (it is fitted anew in each fold). */
  readonly quick?: boolean;
}

/** A router's row in a table. */
export interface Measured {
  readonly apgr: number;
  readonly cpt50: number;
  readonly cpt80: number;
}

/** The outcome. Qualities and CPT in percent, times in microseconds, costs in dollars a request. */
export interface RouteReport extends Measured {
  readonly apgrLow: number;
  readonly apgrHigh: number;
  readonly weak: number;
  readonly strong: number;
  readonly oracleApgr: number;
  /** Null when the decision was not timed: signals other than the prompt. */
  readonly decisionP50Us: number | null;
  readonly decisionP99Us: number | null;
  readonly baselines: Readonly<Record<string, Measured>>;
  readonly signals: Signals;
  readonly router: string;
  readonly rows: number;
  readonly testRows: number;
  readonly labels: number | null;
  /** Expected calibration error of the probability that the strong member is better. */
  readonly calibrationError: number;
  readonly points: readonly CurvePoint[];
  /** Dollars and quality of mixtures, from weak only to strong only; every call counted. Empty when costs are not known. */
  readonly priced: readonly Priced[];
  readonly aiq: number | null;
  readonly arenaScore: number | null;
  readonly saving: Saving | null;
}

/** Runs it. @throws {TandemError} bench_data_invalid */
export function benchRoute(bench: RouteBench): RouteReport {
  const { rows, weak, strong } = bench;
  const quality = { weak: qualityOf(rows, weak), strong: qualityOf(rows, strong) };
  const { parts, train } = splitsOf(bench);
  const score = new Float64Array(rows.length);
  const baselineScores = new Map<string, Float64Array>();
  const keep = (name: string, test: readonly number[], values: ArrayLike<number>): void => {
    const all = baselineScores.get(name) ?? new Float64Array(rows.length);
    baselineScores.set(name, all);
    test.forEach((row, i) => (all[row] = values[i] as number));
  };
  const lesson = lessonOf(rows, bench);
  const gap = quality.strong.map((each, i) => each - (quality.weak[i] as number));
  let predictor: Predictor | undefined;
  for (const { inside, outside } of parts) {
    const { scores, fitted } = scoresOf(bench, lesson, quality.weak, outside, inside);
    predictor = fitted ?? predictor;
    inside.forEach((row, i) => (score[row] = scores[i] as number));
    const category = byCategory(rows, gap, outside, inside);
    if (category !== undefined) keep('category', inside, category);
    if (bench.quick !== true && bench.signals === 'prompt') keep('tfidf-ridge', inside, gapScores(tfIdfRidge.fit(subset(lesson, outside)), inside.map((row) => rows[row]?.prompt ?? ''), weak, strong));
  }
  const tested = parts.flatMap(({ inside }) => inside).sort((a, b) => a - b);
  const at = (values: ArrayLike<number>): Float64Array => Float64Array.from(tested, (row) => values[row] as number);
  const scored = { score: at(score), weak: at(quality.weak), strong: at(quality.strong) };
  const order = ordered(scored);
  const { figures, points } = measureOrdered(order);
  const { low, high } = apgrInterval(order, bench.seed, bench.resamples);
  keep('length', rows.map((_, i) => i), byLength(rows));
  keep('words', rows.map((_, i) => i), byWords(rows));
  const baselines: Record<string, Measured> = { random: pick(randomRouter(scored, bench.seed).figures) };
  for (const [name, values] of baselineScores) baselines[name] = pick(measure({ ...scored, score: at(values) }).figures);
  const timing = predictor === undefined ? undefined : decisionTimes(predictor, rows);
  const costs = costsOf(bench, tested);
  const priced = costs === undefined ? [] : pricedCurve(order, scored.score, costs, points);
  const equal = priced.at(-1);
  return {
    ...figures,
    apgrLow: low,
    apgrHigh: high,
    oracleApgr: measure({ ...scored, score: scored.strong.map((each, i) => each - (scored.weak[i] as number)) }).figures.apgr,
    decisionP50Us: timing?.p50 ?? null,
    decisionP99Us: timing?.p99 ?? null,
    baselines,
    signals: bench.signals,
    router: bench.signals === 'prompt' ? bench.learner.kind : bench.signals === 'answer' ? 'answer-scorer' : `consensus with ${bench.helpers.join(', ')}`,
    rows: rows.length,
    testRows: tested.length,
    labels: train ?? null,
    calibrationError: calibrate(scored.score, Array.from(scored.strong, (each, i) => each > (scored.weak[i] as number))).error,
    points,
    priced,
    aiq: equal === undefined ? null : aiq(priced),
    arenaScore: priced.length === 0 ? null : Math.max(...priced.map(routerArenaScore)),
    saving: costs === undefined ? null : savingAtEqualQuality(scored, costs, bench.seed, Math.min(bench.resamples, 400)),
  };
}

function pick({ apgr, cpt50, cpt80 }: Measured): Measured {
  return { apgr, cpt50, cpt80 };
}

interface Part {
  readonly inside: number[];
  readonly outside: number[];
}

function splitsOf({ rows, labels, folds, seed, weak, strong, salt = `${weak}|${strong}` }: RouteBench): { readonly parts: Part[]; readonly train?: number } {
  if (labels !== undefined) {
    if (labels >= rows.length) fail('bench_data_invalid', `--labels ${labels} leaves none of the ${rows.length} rows for the test.`);
    const { train, test } = drawLabels(rows, labels, `${salt}|labels|${seed}`);
    return { parts: [{ inside: test, outside: train }], train: labels };
  }
  const fold = foldsOf(rows, folds, `${salt}|folds|${seed}`);
  const parts = Array.from({ length: folds }, (_, f) => ({ inside: [...fold.keys()].filter((row) => fold[row] === f), outside: [...fold.keys()].filter((row) => fold[row] !== f) }));
  return { parts: parts.filter(({ inside, outside }) => inside.length > 0 && outside.length > 0) };
}

/** Rows as a lesson for two members. */
export function lessonOf(rows: readonly Row[], { weak, strong, seed }: Pick<RouteBench, 'weak' | 'strong' | 'seed'>, members: readonly string[] = [weak, strong], { reads = 'last', cards }: { readonly reads?: 'last' | 'session'; readonly cards?: Readonly<Record<string, string>> | undefined } = {}): Lesson {
  const columns = members.map((member) => qualityOf(rows, member));
  const quality = new Float64Array(rows.length * members.length);
  rows.forEach((_, row) => columns.forEach((values, m) => (quality[row * members.length + m] = values[row] as number)));
  const answers = rows.every((row) => row.answers !== undefined) ? { answers: rows.map((row) => members.map((member) => row.answers?.[member] ?? '')) } : {};
  const all = membersOf(rows);
  const common = all.length < 5 ? {} : { common: Float64Array.from(rows, (row) => mean(all.map((member) => row.correct[member] ?? 0))) };
  const described = cards === undefined ? {} : { cards: members.map((member) => cards[member] ?? fail('bench_data_invalid', `There is no card for "${member}".`)) };
  return { prompts: rows.map(({ prompt, history }) => (reads === 'session' ? sessionTextOf(prompt, history ?? []) : prompt)), members, quality, seed, ...answers, ...common, ...metricsOf(rows, members), ...described };
}

/** Labelled rows of other data, on which promises are to be tested. @throws {TandemError} bench_data_invalid */
export function otherOf(path: string, { weak, strong }: Pick<RouteBench, 'weak' | 'strong'>, reads: 'last' | 'session'): { readonly name: string; readonly prompts: readonly string[]; readonly small: Float64Array; readonly large: Float64Array } {
  const rows = readRows(path);
  if (rows.length < 50) fail('bench_data_invalid', `A promise is tested on at least 50 rows; there are ${rows.length}.`);
  return { name: path.replace(/^.*[\\/]/, ''), prompts: lessonOf(rows, { weak, strong, seed: 0 }, [weak, strong], { reads }).prompts, small: qualityOf(rows, weak), large: qualityOf(rows, strong) };
}

/** Mean dollars and milliseconds of each member, where every row tells. */
export function figuresOf(rows: readonly Row[], members: readonly string[]): Record<string, { readonly costUsd?: number; readonly latencyMs?: number }> {
  const meanOf = (field: 'cost' | 'latencyMs', member: string): number | undefined => (rows.every((row) => row[field]?.[member] !== undefined) ? mean(rows.map((row) => row[field]?.[member] ?? 0)) : undefined);
  return Object.fromEntries(members.map((member) => {
    const [costUsd, latencyMs] = [meanOf('cost', member), meanOf('latencyMs', member)];
    return [member, { ...(costUsd === undefined ? {} : { costUsd }), ...(latencyMs === undefined ? {} : { latencyMs }) }];
  }));
}

/** Every metric as rows x members; nothing when a row lacks one. */
function metricsOf(rows: readonly Row[], members: readonly string[]): Pick<Lesson, 'metrics'> {
  const names = Object.keys(rows[0]?.metrics ?? {}).filter((name) => rows.every((row) => members.every((member) => row.metrics?.[name]?.[member] !== undefined)));
  if (names.length === 0) return {};
  return { metrics: Object.fromEntries(names.map((name) => [name, Float64Array.from({ length: rows.length * members.length }, (_, k) => rows[Math.floor(k / members.length)]?.metrics?.[name]?.[members[k % members.length] ?? ''] ?? 0)])) };
}

function scoresOf(bench: RouteBench, lesson: Lesson, weakQuality: Float64Array, outside: readonly number[], inside: readonly number[]): { readonly scores: Float64Array; readonly fitted?: Predictor } {
  const { rows, weak, strong, signals, helpers } = bench;
  if (signals === 'prompt') {
    const fitted = bench.learner.fit(subset(lesson, outside));
    return { fitted, scores: gapScores(fitted, inside.map((row) => rows[row]?.prompt ?? ''), weak, strong) };
  }
  const answered = (row: number): Answered => ({ prompt: rows[row]?.prompt ?? '', answer: answerOf(rows, row, weak), helpers: signals === 'consensus' ? helpers.map((helper) => answerOf(rows, row, helper)) : [] });
  const others = membersOf(rows).filter((member) => member !== weak);
  const meanOthers = others.length < 5 ? undefined : Float64Array.from(outside, (row) => mean(others.map((member) => rows[row]?.correct[member] ?? 0)));
  const scorer = AnswerScorer.fit(outside.map(answered), Float64Array.from(outside, (row) => weakQuality[row] as number), meanOthers);
  return { scores: Float64Array.from(inside, (row) => scorer.score(answered(row)) + (signals === 'consensus' ? 1 - consensusOf(answered(row)) : 0)) };
}

function answerOf(rows: readonly Row[], row: number, member: string): string {
  return rows[row]?.answers?.[member] ?? fail('bench_data_invalid', `Row ${row + 1} has no answer of "${member}"; these signals need the texts of the answers.`);
}

/** Dollars of the calls that are always made and of the strong member's call, row by row; undefined when rows have no cost. */
export interface Costs {
  readonly always: Float64Array;
  readonly strong: Float64Array;
  /** Whether the weak member is called also for rows that go to the strong one. */
  readonly weakAlways: boolean;
}

function costsOf({ rows, weak, strong, signals, helpers }: RouteBench, tested: readonly number[]): Costs | undefined {
  const needed = [weak, strong, ...(signals === 'consensus' ? helpers : [])];
  if (tested.some((row) => needed.some((member) => rows[row]?.cost?.[member] === undefined))) return undefined;
  const cost = (row: number, member: string): number => rows[row]?.cost?.[member] ?? 0;
  return {
    always: Float64Array.from(tested, (row) => cost(row, weak) + (signals === 'consensus' ? helpers.reduce((sum, helper) => sum + cost(row, helper), 0) : 0)),
    strong: Float64Array.from(tested, (row) => cost(row, strong)),
    weakAlways: signals !== 'prompt',
  };
}

function pricedCurve(order: { readonly score: Float64Array }, score: Float64Array, costs: Costs, points: readonly CurvePoint[]): Priced[] {
  const n = order.score.length;
  const byScore = [...score.keys()].sort((a, b) => (score[b] as number) - (score[a] as number));
  return points.map(({ strongPercent, quality }) => {
    const calls = Math.round((strongPercent / 100) * n);
    let sum = 0;
    byScore.forEach((row, i) => (sum += i < calls ? (costs.strong[row] as number) + (costs.weakAlways ? (costs.always[row] as number) : 0) : (costs.always[row] as number)));
    return { costUsd: sum / n, quality: quality / 100 };
  });
}

const timingRounds = 5;

/** Time of `estimate` on prompts of about 1,024 characters made of the rows' own; of five rounds the one that other processes disturbed least. */
export function decisionTimes(predictor: Predictor, rows: readonly Row[], runs = 1000): { readonly p50: number; readonly p99: number } {
  const texts = Array.from({ length: 64 }, (_, i) => {
    let text = '';
    for (let k = i * 7; text.length < 1024; k++) text += `${rows[k % rows.length]?.prompt ?? ''}\n.`;
    return text.slice(0, 1024);
  });
  const into = new Float64Array(predictor.members.length);
  for (let i = 0; i < 600; i++) predictor.estimate(texts[i % texts.length] ?? '', into);
  const rounds = Array.from({ length: timingRounds }, () => {
    const times = Float64Array.from({ length: runs }, (_, i) => {
      const start = systemClock.monotonicMs();
      predictor.estimate(texts[i % texts.length] ?? '', into);
      return (systemClock.monotonicMs() - start) * 1000;
    }).sort();
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
  });
  return rounds.reduce((best, round) => (round.p99 < best.p99 ? round : best));
}

/** Rows with this share of the hash below a bound: for quick looks. */
export function sampleRows(rows: readonly Row[], share: number): Row[] {
  return rows.filter(({ id }) => hashShare(id, 'sample') < share);
}
