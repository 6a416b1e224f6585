/**
 * What a cascade gains on the bundled pair: for every acceptance test and threshold, how often the large model is asked and
 * how often the answer is right, on weights/evaluation/heldout.jsonl (tasks with a known answer).
 *
 * Each question is answered once by each model (greedy) and several times by the small one (samples); every threshold is then
 * read off the same answers. One run through the recipe itself, at the default threshold, checks that it does what
 * was read off.
 *
 *   node bench/cascade.ts [--limit 400] [--samples 5] [--seed 1]
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { essence, groups } from '../src/assign/agreement.ts';
import { calibrated, calibrationError, fitCalibration } from '../src/assign/calibration.ts';
import { confidence, type ConfidenceStatistic } from '../src/assign/confidence.ts';
import { difficultyOf } from '../src/assign/difficulty.ts';
import { featuresOf } from '../src/assign/features.ts';
import { defaultThresholds } from '../src/recipes/acceptance.ts';
import { collect } from '../src/recipes/ask.ts';
import { seededRandom } from '../src/system/random.ts';
import { createTandem, type Runtime } from '../src/tandem.ts';
import type { EmittedToken, Message, Policy, Received, Sampling } from '../src/exchange.ts';
import { machineLine, printFigures } from './machine.ts';

interface Task {
  readonly id: string;
  readonly task: string;
  readonly messages: readonly Message[];
  readonly expect: string;
  readonly check: 'exact' | 'json' | 'answer';
}

/** What both models made of a task. */
interface Outcome {
  readonly task: Task;
  readonly scores: Readonly<Record<string, number>>;
  readonly smallRight: boolean;
  readonly voteRight: boolean;
  readonly largeRight: boolean;
}

const { values } = parseArgs({ options: { limit: { type: 'string', default: '400' }, samples: { type: 'string', default: '5' }, seed: { type: 'string', default: '1' } } });
const limit = Number(values.limit);
const samples = Number(values.samples);
const seed = Number(values.seed);
const heldout = fileURLToPath(new URL('../weights/evaluation/heldout.jsonl', import.meta.url));
const statistics: readonly ConfidenceStatistic[] = ['mean-probability', 'min-probability', 'quantile-probability', 'margin', 'entropy'];
const answerTokensMax = 120;

function tasks(): Task[] {
  const all = readFileSync(heldout, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Omit<Task, 'check'> & { readonly check: string }).filter(({ check }) => check !== 'none');
  const random = seededRandom(seed);
  return all.map((task) => ({ task, at: random.next() })).sort((a, b) => a.at - b.at).slice(0, limit).map(({ task }) => task as Task);
}

/** Whether an answer is right, by the task's own check. */
function right(answer: string, { expect, check }: Task): boolean {
  if (check === 'answer') return essence(answer) === essence(expect);
  if (check === 'exact') return answer.trim() === expect.trim();
  try {
    return sorted(JSON.parse(answer)) === sorted(JSON.parse(expect));
  } catch {
    return false;
  }
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'object' && each !== null && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each));
}

async function answer(runtime: Runtime, model: string, { messages }: Task, sampling: Sampling, knobs: Received['knobs'] = {}): Promise<{ readonly text: string; readonly tokens: readonly EmittedToken[]; readonly wroteLarge: boolean }> {
  const received: Received = { surface: 'library', model, prompt: { messages }, sampling: { tokensMax: answerTokensMax, ...sampling }, answers: 1, policy: {} as Partial<Policy>, knobs, explain: false, key: undefined };
  const { parts, trace } = await runtime.handle(received, new AbortController().signal);
  const member = runtime.team.members[0];
  if (member === undefined) throw new TypeError('no member');
  const { text, tokens } = await collect(member, parts);
  return { text, tokens, wroteLarge: trace.shares['large'] !== undefined };
}

async function outcomeOf(runtime: Runtime, task: Task): Promise<Outcome> {
  const [small, large, ...drawn] = await Promise.all([
    answer(runtime, 'small', task, { temperature: 0, topLogprobs: 20 }),
    answer(runtime, 'large', task, { temperature: 0 }),
    ...Array.from({ length: samples - 1 }, (_, n) => answer(runtime, 'small', task, { temperature: 0.7, seed: seed * 1000 + n })),
  ]);
  const votes = [small, ...drawn].map(({ text }) => text);
  const largest = groups(votes)[0];
  const scores = {
    ...Object.fromEntries(statistics.map((statistic) => [statistic, confidence(statistic, small.tokens) ?? 0])),
    'self-consistency': (largest?.members.length ?? 0) / votes.length,
    route: 1 - difficultyOf(featuresOf({ messages: task.messages })),
  };
  return { task, scores, smallRight: right(small.text, task), largeRight: right(large.text, task), voteRight: right(votes[largest?.members[0] ?? 0] ?? '', task) };
}

/** Accuracy and share of large answers at a threshold. */
function at(outcomes: readonly Outcome[], test: string, threshold: number): { readonly accuracy: number; readonly largeShare: number } {
  let correct = 0;
  let large = 0;
  for (const { scores, smallRight, voteRight, largeRight } of outcomes) {
    const accepts = (scores[test] ?? 0) >= threshold;
    if (!accepts) large++;
    if (accepts ? (test === 'self-consistency' ? voteRight : smallRight) : largeRight) correct++;
  }
  return { accuracy: correct / outcomes.length, largeShare: large / outcomes.length };
}

/** Chance that a right small answer scores higher than a wrong one. */
function auroc(outcomes: readonly Outcome[], test: string): number | null {
  const rights = outcomes.filter(({ smallRight }) => smallRight).map(({ scores }) => scores[test] ?? 0);
  const wrongs = outcomes.filter(({ smallRight }) => !smallRight).map(({ scores }) => scores[test] ?? 0);
  if (rights.length === 0 || wrongs.length === 0) return null;
  let wins = 0;
  for (const a of rights) for (const b of wrongs) wins += a > b ? 1 : a === b ? 0.5 : 0;
  return wins / (rights.length * wrongs.length);
}

/** The smallest share of large answers that reaches an accuracy; null when no threshold does. */
function shareFor(outcomes: readonly Outcome[], test: string, accuracyMin: number): number | null {
  const thresholds = [0, ...new Set(outcomes.map(({ scores }) => scores[test] ?? 0)), 1.01];
  const enough = thresholds.map((threshold) => at(outcomes, test, threshold)).filter(({ accuracy }) => accuracy >= accuracyMin);
  return enough.length === 0 ? null : Math.min(...enough.map(({ largeShare }) => largeShare));
}

const percent = (value: number | null): string => (value === null ? '-' : `${(100 * value).toFixed(1)} %`).padStart(8);

function report(outcomes: readonly Outcome[]): Record<string, number | null> {
  const share = (pick: (outcome: Outcome) => boolean): number => outcomes.filter(pick).length / outcomes.length;
  const figures: Record<string, number | null> = { tasks: outcomes.length, smallAccuracy: share((each) => each.smallRight), largeAccuracy: share((each) => each.largeRight), eitherAccuracy: share((each) => each.smallRight || each.largeRight) };
  const { smallAccuracy = 0, largeAccuracy = 0 } = figures;
  console.log(`small alone ${percent(smallAccuracy)}, large alone ${percent(largeAccuracy)}, either ${percent(figures['eitherAccuracy'] ?? 0)} right\n`);
  console.log(`${'test'.padEnd(22)} ${'AUROC'.padStart(6)}  large asked for 95/100 % of its accuracy   threshold: accuracy at share of large`);
  for (const test of [...statistics, 'self-consistency', 'route']) {
    const usual = test === 'route' ? 0.5 : defaultThresholds[test as ConfidenceStatistic];
    const [near, full] = [shareFor(outcomes, test, 0.95 * (largeAccuracy ?? 0)), shareFor(outcomes, test, largeAccuracy ?? 0)];
    const curve = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99].map((threshold) => ({ threshold, ...at(outcomes, test, threshold) }));
    const ranking = auroc(outcomes, test);
    console.log(`${test.padEnd(22)} ${(ranking ?? NaN).toFixed(3).padStart(6)}  ${percent(near)} ${percent(full)}                    ${curve.map((each) => `${each.threshold}: ${percent(each.accuracy).trim()} @ ${percent(each.largeShare).trim()}`).join('  ')}`);
    const chosen = at(outcomes, test, usual);
    Object.assign(figures, { [`${test}.auroc`]: ranking, [`${test}.accuracy`]: chosen.accuracy, [`${test}.largeShare`]: chosen.largeShare, [`${test}.largeShareFor95`]: near, [`${test}.largeShareFor100`]: full });
  }
  return figures;
}

/** Fits on one half, measures on the other. */
function calibration(outcomes: readonly Outcome[]): Record<string, number> {
  const judged = outcomes.map(({ scores, smallRight }) => ({ score: scores['mean-probability'] ?? 0, correct: smallRight }));
  const [fit, unseen] = [judged.filter((_, n) => n % 2 === 0), judged.filter((_, n) => n % 2 === 1)];
  const fitted = fitCalibration(fit);
  const before = calibrationError(unseen);
  const after = calibrationError(unseen.map(({ score, correct }) => ({ score: calibrated(score, fitted), correct })));
  console.log(`\ncalibration of mean-probability: { slope: ${fitted.slope.toFixed(3)}, intercept: ${fitted.intercept.toFixed(3)} }; expected calibration error ${before.toFixed(3)} -> ${after.toFixed(3)} on the unseen half`);
  return { calibrationSlope: fitted.slope, calibrationIntercept: fitted.intercept, calibrationErrorBefore: before, calibrationErrorAfter: after };
}

async function main(): Promise<void> {
  console.log(machineLine());
  if (!existsSync(heldout)) {
    console.log('weights/evaluation/heldout.jsonl is not here: nothing was measured.');
    return printFigures('cascade', { tasks: 0 });
  }
  const runtime = await createTandem({ store: { path: ':memory:' } });
  try {
    const outcomes: Outcome[] = [];
    for (const task of tasks()) outcomes.push(await outcomeOf(runtime, task));
    const figures = { ...report(outcomes), ...calibration(outcomes) };
    let same = 0;
    const checked = outcomes.slice(0, 100);
    for (const { task, scores, smallRight, largeRight } of checked) {
      const run = await answer(runtime, 'tandem/cascade', task, { temperature: 0 }, { test: 'mean-probability', threshold: defaultThresholds['mean-probability'] });
      const accepts = (scores['mean-probability'] ?? 0) >= defaultThresholds['mean-probability'];
      if (run.wroteLarge === !accepts && right(run.text, task) === (accepts ? smallRight : largeRight)) same++;
    }
    console.log(`the recipe itself decides and answers as read off on ${same} of ${checked.length} tasks`);
    printFigures('cascade', { ...figures, recipeAgreement: checked.length === 0 ? null : same / checked.length });
  } finally {
    await runtime.close();
  }
}

await main();
