/**
 * The benchmark of cascades on rows of recorded answers: the best single member, mixtures of two members, the best tiers, and
 * cascade routing, each under the same budgets, and each optimised on rows that it is not measured on. Scores of answers are the
 * rows' own (`scores`), else those of a learned scorer (assign/answers/scorer.ts) that has not seen the row.
 */
import { resultOf } from '../assign/answers/numbers.ts';
import { AnswerScorer, type Answered, type SavedScorer } from '../assign/answers/scorer.ts';
import { difficultyOf } from '../assign/difficulty.ts';
import { featuresOf } from '../assign/features.ts';
import { choosePolicy, type ChosenPolicy } from '../assign/cascade/choose.ts';
import { binOf, edgesOf, policyOfTiers, policyWithin, runPolicy, type Policy } from '../assign/cascade/policy.ts';
import { alone, type Recorded } from '../assign/cascade/recorded.ts';
import { sampledPolicy } from '../assign/cascade/samples.ts';
import { bestTiers, type Tier } from '../assign/cascade/tiers.ts';
import { promiseFor, type Outcome as PromiseOutcome, type QualityPromise } from '../assign/promise/promise.ts';
import { calibrate } from '../assign/training.ts';
import { scaled, type Scaled } from '../assign/trained.ts';
import { Detector, type SavedDetector } from '../assign/risk/detector.ts';
import { fail } from '../errors.ts';
import { bootstrap, type Interval } from './metrics/bootstrap.ts';
import { frontier, qualityAt } from './metrics/cost.ts';
import { foldsOf, hashShare, membersOf, qualityOf, type Row } from './rows.ts';

/** What is measured. */
export interface CascadeBench {
  readonly rows: readonly Row[];
  readonly members: readonly string[];
  /** Budgets as shares of the dearest member's mean cost, 0 to 1. */
  readonly shares: readonly number[];
  readonly tiersMax: number;
  readonly folds: number;
  readonly seed: number;
  readonly resamples: number;
}

/** A way of spending a budget, measured. Quality 0 to 1. */
export interface BudgetFigures {
  /** Mean cost a request that was allowed, and what was spent on the test rows. */
  readonly budget: number;
  readonly share: number;
  /** Best mixture of single members, drawn at random: what no knowledge of the request gives. */
  readonly mixture: number;
  readonly twoTiers: Spent;
  readonly tiers: Spent;
  readonly policy: Spent;
  /** Whichever of these the folds of the learning rows chose. */
  readonly chosen: Spent;
  /** 95 % interval of its quality. */
  readonly chosenLow: number;
  readonly chosenHigh: number;
  /** Quality of the chosen one less that of the mixture at what it spent. */
  readonly gain: Interval & { readonly value: number };
}

/** Quality for what was spent. */
export interface Spent {
  readonly quality: number;
  readonly cost: number;
}

/** The outcome. */
export interface CascadeReport {
  readonly rows: number;
  readonly members: readonly { readonly member: string; readonly quality: number; readonly cost: number }[];
  readonly budgets: readonly BudgetFigures[];
  /** Least share of the dearest member's cost at which the chosen cascade is as good as the best member; null when never. */
  readonly atBestQuality: { readonly share: number; readonly quality: number } | null;
}

/** Runs it. @throws {TandemError} bench_data_invalid */
export function benchCascade(bench: CascadeBench): CascadeReport {
  const { rows, members, shares, folds: k, seed, resamples } = bench;
  const fold = foldsOf(rows, k, `cascade|${seed}`);
  const methods = ['two', 'tiers', 'policy', 'chosen'] as const;
  const found = shares.map(() => methods.map(() => ({ quality: new Float64Array(rows.length), cost: new Float64Array(rows.length) })));
  const whole = recordedOf(rows, members, () => undefined);
  const dear = Math.max(...members.map((_, arm) => alone(whole, arm).cost));
  for (let f = 0; f < k; f++) {
    const [inside, outside] = [[...fold.keys()].filter((row) => fold[row] === f), [...fold.keys()].filter((row) => fold[row] !== f)];
    if (inside.length === 0 || outside.length === 0) continue;
    const { taught, tested } = foldData(rows, members, outside, inside, seed);
    const inner = foldsOf(outside.map((row) => rows[row] as Row), 4, `cascade choice|${seed}`);
    shares.forEach((share, s) => {
      const budget = share * dear;
      const plans: readonly (Policy | undefined)[] = [tiersPolicy(bestTiers(taught, { budget, tiersMax: 2 })?.tiers), tiersPolicy(bestTiers(taught, { budget, tiersMax: bench.tiersMax })?.tiers), policyWithin(taught, budget), choosePolicy(taught, budget, inner, bench.tiersMax)];
      plans.forEach((plan, m) => {
        const run = runPolicy(tested, plan ?? { edges: [], first: [{ do: 'answer', arm: cheapest(taught) }] });
        inside.forEach((row, i) => {
          (found[s]?.[m] as { quality: Float64Array }).quality[row] = run.perRow[i] as number;
          (found[s]?.[m] as { cost: Float64Array }).cost[row] = run.costPerRow[i] as number;
        });
      });
    });
  }
  const singles = members.map((member, arm) => ({ member, ...alone(whole, arm) }));
  const budgets = shares.map((share, s): BudgetFigures => {
    const [two, tiers, policy, chosen] = (found[s] ?? []).map(({ quality, cost }) => ({ quality: average(quality), cost: average(cost) })) as [Spent, Spent, Spent, Spent];
    const own = found[s]?.[3] as { quality: Float64Array; cost: Float64Array };
    const gainOn = (drawn: ArrayLike<number>): number => averageAt(own.quality, drawn) - qualityAt(frontier(members.map((_, arm) => ({ costUsd: averageAt(whole.cost[arm] as Float64Array, drawn), quality: averageAt(whole.quality[arm] as Float64Array, drawn) }))), averageAt(own.cost, drawn));
    const around = bootstrap(rows.length, (drawn) => averageAt(own.quality, drawn), seed, resamples);
    const all = Uint32Array.from({ length: rows.length }, (_, row) => row);
    return { share, budget: share * dear, mixture: qualityAt(frontier(singles.map(({ quality, cost }) => ({ costUsd: cost, quality }))), share * dear), twoTiers: two, tiers, policy, chosen, chosenLow: around.low, chosenHigh: around.high, gain: { value: gainOn(all), ...bootstrap(rows.length, gainOn, seed, resamples) } };
  });
  const best = Math.max(...singles.map(({ quality }) => quality));
  const enough = budgets.filter(({ chosen }) => chosen.quality >= best).sort((a, b) => a.chosen.cost - b.chosen.cost)[0];
  return { rows: rows.length, members: singles, budgets, atBestQuality: enough === undefined ? null : { share: enough.chosen.cost / dear, quality: enough.chosen.quality } };
}

function tiersPolicy(tiers: readonly Tier[] | undefined): Policy | undefined {
  return tiers === undefined ? undefined : policyOfTiers(tiers);
}

function cheapest(recorded: Recorded): number {
  const costs = recorded.arms.map((_, arm) => alone(recorded, arm).cost);
  return costs.indexOf(Math.min(...costs));
}

const innerFolds = 3;

/** Rows to learn on, each scored by a scorer that has not seen it, and rows to test on, scored by one fitted on all rows to learn on. */
function foldData(rows: readonly Row[], members: readonly string[], outside: readonly number[], inside: readonly number[], seed: number): { readonly taught: Recorded; readonly tested: Recorded } {
  const given = rows.every((row) => members.every((member) => row.scores?.[member] !== undefined));
  const [learn, test] = [outside.map((row) => rows[row] as Row), inside.map((row) => rows[row] as Row)];
  if (given) return { taught: recordedOf(learn, members, () => undefined), tested: recordedOf(test, members, () => undefined) };
  const scored = members.map((member) => {
    const { raw, calibration, scorer } = fittedScorer(learn, member, seed);
    return { learn: raw.map((each) => scaled(each, calibration)), test: Float64Array.from(test, (row) => scaled(-scorer.score(answeredOf(row, member)), calibration)) };
  });
  return { taught: recordedOf(learn, members, (arm) => scored[arm]?.learn), tested: recordedOf(test, members, (arm) => scored[arm]?.test) };
}

function answeredOf(row: Row, member: string): Answered {
  return { prompt: row.prompt, answer: row.answers?.[member] ?? fail('bench_data_invalid', `A row has neither "scores" nor "answers" for "${member}".`), helpers: [] };
}

/** A scorer fitted on all rows, and its calibration by scores of scorers that have not seen the row. */
function fittedScorer(rows: readonly Row[], member: string, seed: number): { readonly scorer: AnswerScorer; readonly raw: Float64Array; readonly calibration: Scaled } {
  const quality = qualityOf(rows, member);
  const fit = (some: readonly number[]): AnswerScorer => AnswerScorer.fit(some.map((row) => answeredOf(rows[row] as Row, member)), Float64Array.from(some, (row) => quality[row] as number));
  const fold = foldsOf(rows, innerFolds, `cascade inner|${seed}`);
  const raw = new Float64Array(rows.length);
  for (let f = 0; f < innerFolds; f++) {
    const scorer = fit([...fold.keys()].filter((row) => fold[row] !== f));
    rows.forEach((row, i) => {
      if (fold[i] === f) raw[i] = -scorer.score(answeredOf(row, member));
    });
  }
  const { calibration } = calibrate(raw, Array.from(quality, (each) => each >= 0.5));
  return { scorer: fit([...rows.keys()]), raw, calibration };
}

/** A scorer of a member's answers as a file. @param now milliseconds since 1970 @throws {TandemError} bench_data_invalid */
export function scorerFor(rows: readonly Row[], member: string, seed: number, now: number): SavedScorer {
  const { scorer, calibration } = fittedScorer(rows, member, seed);
  const { slope, intercept, mean, deviation } = calibration;
  return { kind: 'tandem-scorer', version: 1, date: new Date(now).toISOString().slice(0, 10), member, rows: rows.length, ...scorer.save(), calibration: { slope, intercept, mean, deviation } };
}

/** A detector of requests unlike the rows' prompts, as a file. @throws {TandemError} bench_data_invalid */
export function detectorFor(rows: readonly Row[], seed: number, now: number): SavedDetector {
  const at = new Map(rows.map((row) => [row, hashShare(row.id, `detector|${seed}`)]));
  return Detector.learn([...rows].sort((a, b) => (at.get(a) ?? 0) - (at.get(b) ?? 0)).map(({ prompt }) => prompt), now).save();
}

/** Rows as recorded outcomes of single answers. @param scoreOf scores of an arm; undefined: the rows' own, or none */
export function recordedOf(rows: readonly Row[], members: readonly string[], scoreOf: (arm: number) => Float64Array | undefined): Recorded {
  return {
    arms: members.map((member) => ({ member, samples: 1 })),
    quality: members.map((member) => qualityOf(rows, member)),
    cost: members.map((member) => Float64Array.from(rows, (row) => row.cost?.[member] ?? fail('bench_data_invalid', `A row has no "cost" for "${member}"; cascades under a budget need it.`))),
    score: members.map((member, arm) => scoreOf(arm) ?? Float64Array.from(rows, (row) => row.scores?.[member] ?? 0)),
    prior: Float64Array.from(rows, ({ prompt }) => difficultyOf(featuresOf({ messages: [{ role: 'user', content: prompt }] }))),
    ...(rows.every(({ answers }) => answers !== undefined) ? { result: members.map((member) => rows.map(({ answers }) => resultOf(answers?.[member] ?? ''))) } : {}),
  };
}

/** Members that every row has a quality and a cost for, cheapest first. */
export function cascadeMembers(rows: readonly Row[]): string[] {
  const able = membersOf(rows).filter((member) => rows.every((row) => row.cost?.[member] !== undefined));
  const costs = new Map(able.map((member) => [member, average(Float64Array.from(rows, (row) => row.cost?.[member] ?? 0))]));
  return able.sort((a, b) => (costs.get(a) ?? 0) - (costs.get(b) ?? 0));
}

/** A cascade learned on all rows within a budget, for a file. @param budget mean cost a request, in the rows' unit @throws {TandemError} bench_data_invalid */
export function planFor(rows: readonly Row[], members: readonly string[], budget: number, seed: number): ChosenPolicy {
  if (!rows.every((row) => members.every((member) => row.scores?.[member] !== undefined))) fail('bench_data_invalid', 'A cascade file needs rows with "scores", those of the acceptance test that will be used (tandem bench run --rows writes them).');
  return choosePolicy(recordedOf(rows, members, () => undefined), budget, foldsOf(rows, 4, `cascade choice|${seed}`)) ?? fail('bench_data_invalid', 'Even the cheapest member costs more than the budget.');
}

/**
 * Best-of-n: in each of three bins of difficulty the cheapest arm whose mean quality there meets the target.
 * @param members names of the rows, one an arm; an arm of several samples is a recipe of its own in the rows
 */
export function sampledPlan(rows: readonly Row[], members: readonly string[], target: number): Policy {
  const recorded = recordedOf(rows, members, () => undefined);
  const prior = recorded.prior ?? new Float64Array(rows.length);
  const edges = edgesOf(prior, 3);
  const expected = Array.from({ length: edges.length + 1 }, (_, bin) => {
    const inside = [...prior.keys()].filter((row) => binOf(prior[row] as number, edges) === bin);
    return members.map((_, arm) => ({ quality: averageAt(recorded.quality[arm] as Float64Array, inside), cost: averageAt(recorded.cost[arm] as Float64Array, inside) }));
  });
  return sampledPolicy(edges, expected, target);
}

/**
 * Two tiers whose threshold keeps a promise: at most so much worse than always asking the large member (learn-then-test on all rows).
 * @param now milliseconds since 1970 @throws {TandemError} bench_data_invalid
 */
export function promisedTiers(rows: readonly Row[], small: string, large: string, lossMax: number, now: number, confidence = 0.95): { readonly policy: Policy; readonly promise: QualityPromise } {
  const [weak, strong] = [qualityOf(rows, small), qualityOf(rows, large)];
  const outcomes = rows.map((row, i): PromiseOutcome => ({ score: 1 - (row.scores?.[small] ?? fail('bench_data_invalid', `A promise needs rows with "scores" for "${small}".`)), small: weak[i] as number, large: strong[i] as number }));
  const promise = promiseFor(outcomes, { lossMax, confidence }, now);
  // Rows whose score is below the promise's threshold stay small: their acceptance score is above 1 less it.
  return { policy: policyOfTiers([{ arm: 0, threshold: Math.min(1.01, Math.max(0, 1 - promise.threshold)) }, { arm: 1, threshold: 0 }]), promise };
}

/** The rows with another figure in the place of cost. @throws {TandemError} bench_data_invalid when a row lacks it */
export function spending(rows: readonly Row[], what: 'cost' | 'latencyMs'): Row[] {
  return rows.map((row) => ({ ...row, cost: row[what] ?? fail('bench_data_invalid', `A row has no "${what}".`) }));
}

function average(values: Float64Array): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

function averageAt(values: Float64Array, rows: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < rows.length; i++) sum += values[rows[i] as number] as number;
  return sum / rows.length;
}
