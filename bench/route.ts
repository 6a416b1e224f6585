/**
 * Routing on recorded answers of real models: fills the table of docs/routing.md. Every figure is named by its row. Splits are
 * fixed by hashes (of the prompt for folds, of the id for labels); nothing is tuned on test rows.
 *
 *   node bench/route.ts [--from ../shared/data] [--only gsm8k] [--resamples 1000] [--json]
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { performance } from 'node:perf_hooks';
import { bestInHindsight, seenAt, thresholdFor, type Outcome } from '../src/assign/promise/promise.ts';
import { Cusum, spreadOf, stabilityIndex } from '../src/assign/promise/drift.ts';
import { learners } from '../src/assign/routers/index.ts';
import { estimates } from '../src/assign/routers/learner.ts';
import { decode, encode } from '../src/assign/trained.ts';
import { outOfFold, trainRouter } from '../src/assign/training.ts';
import { readDataset } from '../src/bench/datasets/index.ts';
import { llmDrift } from '../src/bench/datasets/others.ts';
import { routeLlmPair } from '../src/bench/datasets/routellm.ts';
import { resultOf } from '../src/assign/answers/numbers.ts';
import { bootstrap } from '../src/bench/metrics/bootstrap.ts';
import { costAt, frontier, qualityAt, type Priced } from '../src/bench/metrics/cost.ts';
import { mean } from '../src/bench/metrics/curve.ts';
import { benchRoute, decisionTimes, lessonOf, type RouteBench, type RouteReport } from '../src/bench/route.ts';
import { foldsOf, hashShare, qualityOf, type Row } from '../src/bench/rows.ts';
import { machineLine } from './machine.ts';

const { values } = parseArgs({ options: { from: { type: 'string', default: '../shared/data' }, only: { type: 'string' }, resamples: { type: 'string', default: '1000' }, json: { type: 'boolean', default: false } } });
const root = resolve(values.from);
const resamples = Number(values.resamples);
const json: Record<string, unknown> = {};

/** Prints one row of the table and keeps it for JSON. */
function say(name: string, figure: string, details: unknown): void {
  json[name] = details;
  if (!values.json) console.log(`| ${name} | ${figure} |`);
}

function wanted(name: string): boolean {
  return values.only === undefined || name.includes(values.only);
}

function figure({ apgr, apgrLow, apgrHigh, cpt50, cpt80, baselines, oracleApgr, calibrationError, decisionP50Us, decisionP99Us }: RouteReport): string {
  const beside = Object.entries(baselines).map(([name, { apgr: value }]) => `${name} ${value.toFixed(3)}`).join(', ');
  const time = decisionP50Us === null || decisionP99Us === null ? '' : `; decision p50 ${decisionP50Us.toFixed(0)} us, p99 ${decisionP99Us.toFixed(0)} us`;
  return `APGR **${apgr.toFixed(3)}** (${apgrLow.toFixed(3)} to ${apgrHigh.toFixed(3)}), CPT50 ${cpt50.toFixed(1)}, CPT80 ${cpt80.toFixed(1)}; ${beside}; oracle ${oracleApgr.toFixed(3)}; calibration error ${calibrationError.toFixed(3)}${time}`;
}

function bench(rows: readonly Row[], weak: string, strong: string, more: Partial<RouteBench> = {}): RouteReport {
  const learner = learners.get('ensemble');
  if (learner === undefined) throw new Error('no ensemble');
  return benchRoute({ rows, weak, strong, learner, signals: 'prompt', helpers: [], folds: 5, seed: 1, resamples, ...more });
}

/** What fewer labels give, prompt only. */
function learningCurve(name: string, rows: readonly Row[], weak: string, strong: string, counts: readonly number[]): void {
  for (const labels of counts) {
    const report = bench(rows, weak, strong, { labels, quick: true, resamples: 100 });
    say(`learning curve, ${name}, ${labels} labels`, `APGR ${report.apgr.toFixed(3)} (${report.apgrLow.toFixed(3)} to ${report.apgrHigh.toFixed(3)})`, report);
  }
}

function mmlu(): void {
  const rows = readDataset('routellm-mmlu', root);
  const { weak, strong } = routeLlmPair;
  const few = [1, 2, 3, 4, 5].map((seed) => bench(rows, weak, strong, { labels: 1531, seed, quick: seed > 1, resamples: seed > 1 ? 20 : resamples }));
  const apgrs = few.map(({ apgr }) => apgr);
  say('RouteLLM MMLU, prompt only, 1,531 labels', `mean of five draws **${mean(apgrs).toFixed(3)}** (${apgrs.map((each) => each.toFixed(3)).join(', ')}); first draw ${few[0] === undefined ? '' : figure(few[0])}`, few);
  learningCurve('RouteLLM MMLU', rows, weak, strong, [300, 700, 3000, 6000]);
  const folds = bench(rows, weak, strong);
  say('RouteLLM MMLU, prompt only, 5-fold', figure(folds), folds);
}

const pairs = [['Phi-3.5-mini-instruct', 'gpt-4o-2024-08-06'], ['Meta-Llama-3.1-8B-Instruct', 'claude-3-5-sonnet-20241022']] as const;

function gsm8k(): void {
  const rows = readDataset('zeroeval-gsm8k', root);
  for (const [weak, strong] of pairs) {
    const names = `GSM8K ${weak} -> ${strong}`;
    const prompt = bench(rows, weak, strong);
    say(`${names}, prompt only`, figure(prompt), prompt);
    learningCurve(names, rows, weak, strong, [150, 300, 600]);
    const answer = bench(rows, weak, strong, { signals: 'answer' });
    say(`${names}, with the weak model's own answer`, figure(answer), answer);
    const consensus = bench(rows, weak, strong, { signals: 'consensus', helpers: ['gemma-2-9b-it', 'Qwen2-7B-Instruct'] });
    const { saving } = consensus;
    say(`${names}, consensus with gemma-2-9b and Qwen2-7B`, `${figure(consensus)}; at the strong member's accuracy, three small calls costed, ${saving === null ? '' : `${(100 * saving.saved).toFixed(0)} % of the dollars saved (${(100 * saving.low).toFixed(0)} to ${(100 * saving.high).toFixed(0)}) at ${saving.strongPercent.toFixed(1)} % strong calls`}`, consensus);
    majority(rows, weak, strong, ['gemma-2-9b-it', 'Qwen2-7B-Instruct'], names);
  }
}

/** No training at all: where the three small models agree, their answer stands; else the strong one answers. */
function majority(rows: readonly Row[], weak: string, strong: string, helpers: readonly string[], names: string): void {
  const agree = rows.map((row) => new Set([weak, ...helpers].map((member) => resultOf(row.answers?.[member] ?? ''))).size === 1);
  const cost = (row: Row, member: string): number => row.cost?.[member] ?? 0;
  const quality = rows.map((row, i) => (agree[i] === true ? row.correct[weak] : row.correct[strong]) ?? 0);
  const dollars = rows.map((row, i) => [weak, ...helpers].reduce((sum, member) => sum + cost(row, member), agree[i] === true ? 0 : cost(row, strong)));
  const at = (rows_: ArrayLike<number>): { gain: number; saved: number } => {
    let [gain, paid, full] = [0, 0, 0];
    for (let i = 0; i < rows_.length; i++) {
      const row = rows_[i] as number;
      gain += ((quality[row] as number) - (rows[row]?.correct[strong] ?? 0)) / rows_.length;
      paid += dollars[row] as number;
      full += rows[row] === undefined ? 0 : cost(rows[row], strong);
    }
    return { gain, saved: 1 - paid / full };
  };
  const all = at(rows.map((_, i) => i));
  const gain = bootstrap(rows.length, (drawn) => at(drawn).gain, 1, resamples);
  const saved = bootstrap(rows.length, (drawn) => at(drawn).saved, 1, resamples);
  const kept = (100 * agree.filter(Boolean).length) / rows.length;
  say(`${names}, three small models agree, no training`, `${kept.toFixed(1)} % answered small; accuracy ${(100 * mean(quality)).toFixed(2)} % against ${(100 * mean(rows.map((row) => row.correct[strong] ?? 0))).toFixed(2)} % (difference ${(100 * all.gain).toFixed(2)} points, ${(100 * gain.low).toFixed(2)} to ${(100 * gain.high).toFixed(2)}); **${(100 * all.saved).toFixed(0)} %** of the dollars saved (${(100 * saved.low).toFixed(0)} to ${(100 * saved.high).toFixed(0)})`, { kept, ...all, gain, saved });
}

/** Utility routing at one price of a dollar: the member with the greatest quality minus price times cost, row by row. */
interface Choice {
  readonly quality: Float64Array;
  readonly costs: Float64Array;
}

function choicesOf(quality: Float64Array, estimated: Float64Array, costs: Float64Array, expectedCost: Float64Array, members: number): Choice[] {
  const rows = quality.length / members;
  return [0, ...Array.from({ length: 40 }, (_, i) => 10 ** (-1 + i / 8))].map((price) => {
    const choice = { quality: new Float64Array(rows), costs: new Float64Array(rows) };
    for (let row = 0; row < rows; row++) {
      const utility = (m: number): number => (estimated[row * members + m] as number) - price * (expectedCost[m] as number);
      let best = 0;
      for (let m = 1; m < members; m++) if (utility(m) > utility(best)) best = m;
      choice.quality[row] = quality[row * members + best] as number;
      choice.costs[row] = costs[row * members + best] as number;
    }
    return choice;
  });
}

/** The frontier of the choices on some rows. */
function frontierOn(choices: readonly Choice[], rows: ArrayLike<number>): Priced[] {
  return frontier(choices.map(({ quality, costs }) => {
    let [sum, paid] = [0, 0];
    for (let i = 0; i < rows.length; i++) {
      sum += quality[rows[i] as number] as number;
      paid += costs[rows[i] as number] as number;
    }
    return { costUsd: paid / rows.length, quality: sum / rows.length };
  }));
}

function mmluPro(): void {
  const members = ['Meta-Llama-3_1-8B-Instruct', 'Mixtral-8x7B-Instruct-v0.1', 'gemini-1.5-flash-002', 'DeepSeek-Coder-V2', 'gemini-1.5-pro-002'];
  const rows = readDataset('mmlu-pro', root).filter((row) => members.every((member) => row.correct[member] !== undefined));
  const lesson = lessonOf(rows, { weak: members[0] ?? '', strong: members[4] ?? '', seed: 1 }, members);
  const fold = foldsOf(rows, 5, 'mmlu-pro');
  const estimated = new Float64Array(lesson.quality.length);
  const learner = learners.get('linear');
  for (let f = 0; f < 5; f++) {
    const [inside, outside] = [true, false].map((side) => [...fold.keys()].filter((row) => (fold[row] === f) === side)) as [number[], number[]];
    const part = lessonOf(outside.map((row) => rows[row] as Row), { weak: '', strong: '', seed: 1 }, members);
    const fitted = learner?.fit(part);
    if (fitted === undefined) return;
    const found = estimates(fitted, inside.map((row) => rows[row]?.prompt ?? ''));
    inside.forEach((row, i) => estimated.set(found.subarray(i * members.length, (i + 1) * members.length), row * members.length));
  }
  const costs = Float64Array.from({ length: lesson.quality.length }, (_, i) => rows[Math.floor(i / members.length)]?.cost?.[members[i % members.length] ?? ''] ?? 0);
  const means = Float64Array.from(members, (_, m) => mean(rows.map((__, row) => costs[row * members.length + m] as number)));
  const right = qualityOf(rows, members[4] ?? '');
  const choices = choicesOf(lesson.quality, estimated, costs, means, members.length);
  const on = (drawn: ArrayLike<number>): { cheaper: number; points: number; best: number } => {
    const hull = frontierOn(choices, drawn);
    let [best, paid] = [0, 0];
    for (let i = 0; i < drawn.length; i++) {
      best += (right[drawn[i] as number] as number) / drawn.length;
      paid += (costs[(drawn[i] as number) * members.length + 4] as number) / drawn.length;
    }
    return { best, cheaper: 1 - (costAt(hull, best) ?? Infinity) / paid, points: qualityAt(hull, paid) - best };
  };
  const all = on(rows.map((_, i) => i));
  const cheaper = bootstrap(rows.length, (drawn) => on(drawn).cheaper, 1, Math.min(resamples, 200));
  const points = bootstrap(rows.length, (drawn) => on(drawn).points, 2, Math.min(resamples, 200));
  const percent = (value: number): string => (100 * value).toFixed(1);
  say('MMLU-Pro, 5 members, prompt only', `${rows.length} rows; best member ${(100 * all.best).toFixed(2)} % at $${(1000 * (means[4] ?? 0)).toFixed(3)} per 1,000; router at that accuracy **${percent(all.cheaper)} %** cheaper (${percent(cheaper.low)} to ${percent(cheaper.high)}); at that cost ${percent(all.points)} points (${percent(points.low)} to ${percent(points.high)})`, { ...all, cheaperInterval: cheaper, pointsInterval: points });
}

/** The member of the greatest estimate. */
function bestOf(estimate: Float64Array, members: readonly string[]): string {
  return members[estimate.indexOf(Math.max(...estimate))] ?? '';
}

function llmRouter(): void {
  const [train, test] = [readDataset('llmrouter-train', root), readDataset('llmrouter-test', root)];
  const members = Object.keys(train[0]?.correct ?? {});
  for (const share of [0.1, 0.25, 0.5]) {
    const part = train.filter(({ id }) => hashShare(id, 'learning curve') < share);
    const fitted = learners.get('linear')?.fit(lessonOf(part, { weak: '', strong: '', seed: 1 }, members));
    if (fitted === undefined) continue;
    const value = mean(test.map((row) => row.correct[bestOf(fitted.estimate(row.prompt), members)] ?? 0));
    say(`learning curve, LLMRouter, linear, ${part.length} of ${train.length} rows`, value.toFixed(3), { rows: part.length, value });
  }
  const lesson = lessonOf(train, { weak: '', strong: '', seed: 1 }, members);
  for (const name of ['linear', 'neighbours', 'reward-distilled', 'contrastive', 'ensemble']) {
    const fitted = learners.get(name)?.fit(lesson);
    if (fitted === undefined) continue;
    const chosen = test.map((row) => row.correct[bestOf(fitted.estimate(row.prompt), members)] ?? 0);
    const { low, high } = bootstrap(test.length, (rows) => mean(Array.from(rows, (row) => chosen[row] ?? 0)), 1, resamples);
    const single = Math.max(...members.map((member) => mean(qualityOf(test, member))));
    const oracle = mean(test.map((row) => Math.max(...members.map((member) => row.correct[member] ?? 0))));
    say(`LLMRouter, 9 members, its own split, ${name}`, `**${mean(chosen).toFixed(3)}** (${low.toFixed(3)} to ${high.toFixed(3)}); best single ${single.toFixed(3)}, oracle ${oracle.toFixed(3)}`, { value: mean(chosen), low, high, single, oracle });
  }
}

/** A hundred resampled splits: half calibrates, half tests. */
function promiseOn(name: string, outcomes: readonly (Outcome & { readonly id: string })[]): void {
  let [keptHalf, keptAll, saved, hindsight] = [0, 0, 0, 0];
  const lossMax = 0.01;
  for (let split = 0; split < 100; split++) {
    const keyed = outcomes.map((outcome) => ({ outcome, at: hashShare(outcome.id, `promise-${split}`) })).sort((a, b) => a.at - b.at).map(({ outcome }) => outcome);
    const half = Math.floor(keyed.length / 2);
    const [calibration, test] = [keyed.slice(0, half), keyed.slice(half)];
    const { threshold } = thresholdFor(calibration, { lossMax, confidence: 0.95 });
    const seen = seenAt(test, threshold);
    if (seen.lossSeen <= lossMax) keptHalf++;
    if (seenAt(outcomes, threshold).lossSeen <= lossMax) keptAll++;
    saved += seen.smallShare / 100;
    hindsight += bestInHindsight(test, lossMax).smallShare / 100;
  }
  say(`promise "at most 1 point worse", ${name}`, `kept on the whole set in ${keptAll} of 100 splits, on the test half alone in ${keptHalf}; ${(100 * saved).toFixed(1)} % of calls stay small, ${((100 * saved) / hindsight).toFixed(0)} % of the best in hindsight (${(100 * hindsight).toFixed(1)} %)`, { keptHalf, keptAll, saved, hindsight });
}

function promises(): void {
  const gsm = readDataset('zeroeval-gsm8k', root);
  for (const [weak, strong] of pairs) {
    const agreement = gsm.map((row) => ({ id: row.id, score: ['gemma-2-9b-it', 'Qwen2-7B-Instruct'].filter((helper) => resultOf(row.answers?.[helper] ?? '') !== resultOf(row.answers?.[weak] ?? '')).length + 1e-4 * hashShare(row.id, 'tie'), small: row.correct[weak] ?? 0, large: row.correct[strong] ?? 0 }));
    promiseOn(`GSM8K ${weak} -> ${strong}, agreement of three`, agreement);
  }
  const rows = readDataset('routellm-mmlu', root);
  const { weak, strong } = routeLlmPair;
  const learner = learners.get('linear');
  if (learner === undefined) return;
  const scores = outOfFold(lessonOf(rows, { weak, strong, seed: 1 }), learner, foldsOf(rows, 5, `${weak}|${strong}|folds|1`), weak, strong);
  promiseOn('RouteLLM MMLU, prompt only', rows.map((row, i) => ({ id: row.id, score: scores[i] as number, small: row.correct[weak] ?? 0, large: row.correct[strong] ?? 0 })));
}

function drift(): void {
  const calls = llmDrift(resolve(root, 'route-llmdrift', 'PRIME_FULL_EVAL.csv.gz'));
  const right = (answer: string, reference: string): number => (new RegExp(`\\[?${reference}\\]?`, 'i').test(answer.replace(/answer[^[]{0,80}"\[yes\]" or "\[no\]"/i, '').match(/\[(?:yes|no)\]/i)?.[0] ?? '') ? 1 : 0);
  for (const model of ['gpt-4', 'gpt-3.5-turbo']) {
    const of = (date: string): typeof calls => calls.filter((call) => call.model === `${model}-${date}`).sort((a, b) => hashShare(a.id, 'order') - hashShare(b.id, 'order'));
    const [march, june] = [of('0314').length > 0 ? of('0314') : of('0301'), of('0613')];
    const half = Math.floor(march.length / 2);
    const reward = (call: (typeof calls)[number]): number => right(call.answer, call.reference);
    const watch = new Cusum(march.slice(0, half).map(reward));
    const before = march.slice(half).findIndex((call) => watch.observe(reward(call)) !== undefined);
    const after = before >= 0 ? -1 : june.findIndex((call) => watch.observe(reward(call)) !== undefined);
    const lengths = spreadOf(march.slice(0, half).map(({ answerTokens }) => answerTokens));
    const shift = stabilityIndex(lengths, june.slice(0, 200).map(({ answerTokens }) => answerTokens));
    const quiet = stabilityIndex(lengths, march.slice(half, half + 200).map(({ answerTokens }) => answerTokens));
    say(`drift, LLMDrift primes, ${model} March to June 2023`, `reward ${(100 * mean(march.map(reward))).toFixed(1)} % -> ${(100 * mean(june.map(reward))).toFixed(1)} %; false alarm in ${march.length - half} March calls: ${before >= 0 ? `after ${before + 1}` : 'none'}; noticed after ${after >= 0 ? `${after + 1} June calls` : 'never'}; answer lengths, stability index ${shift.toFixed(2)} (March against March ${quiet.toFixed(2)})`, { before, after, shift, quiet });
  }
}

function file(): void {
  const rows = readDataset('routellm-mmlu', root).filter(({ id }) => hashShare(id, 'file') < 0.15);
  const { weak, strong } = routeLlmPair;
  const learner = learners.get('ensemble');
  if (learner === undefined) return;
  const started = performance.now();
  const trained = trainRouter({ lesson: lessonOf(rows, { weak, strong, seed: 1 }), learner, weak, strong, folds: foldsOf(rows, 5, 'file'), dataName: 'routellm-mmlu', now: Date.now(), metric: () => ({ value: 0, low: 0, high: 0 }) });
  const trainedMs = performance.now() - started;
  const bytes = encode(trained);
  decode(bytes);
  const times = Float64Array.from({ length: 20 }, () => {
    const start = performance.now();
    decode(bytes);
    return performance.now() - start;
  }).sort();
  const decision = decisionTimes(decode(bytes).predictor, rows);
  say('router file', `${(bytes.length / 1e6).toFixed(2)} MB, loads in ${times[10]?.toFixed(1)} ms (median of 20), trained on ${rows.length} rows with 5 folds in ${(trainedMs / 1000).toFixed(1)} s; decision on 1 kB p50 ${decision.p50.toFixed(0)} us, p99 ${decision.p99.toFixed(0)} us`, { bytes: bytes.length, loadMs: times[10], trainedMs, decision });
}

if (!existsSync(root)) {
  console.error(`There is no folder of public sets at ${values.from}; give one with --from.`);
  process.exitCode = 1;
} else {
  if (!values.json) console.log(`${machineLine()}, ${new Date().toISOString().slice(0, 10)}\n\n| Setting | Measured |\n|---|---|`);
  for (const [name, run] of Object.entries({ file, gsm8k, mmluPro, llmRouter, drift, promises, mmlu })) if (wanted(name)) run();
  if (values.json) console.log(JSON.stringify(json));
}
