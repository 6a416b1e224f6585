/**
 * Whether the bundled embedding helps to route, on the sets where routers from the prompt alone fall short: the default router
 * beside `semantic`, beside both stacked, and the embedded kinds with either embedder.
 *
 *   node bench/embedder/routing.ts [--from ../shared/data] [--only GSM8K]
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fitEmbedded } from '../../src/assign/routers/embedded.ts';
import { ensemble, ensembleOf } from '../../src/assign/routers/ensemble.ts';
import type { Learner } from '../../src/assign/routers/learner.ts';
import { difficultyRouter, linear } from '../../src/assign/routers/linear.ts';
import { semantic } from '../../src/assign/routers/semantic.ts';
import { readDataset } from '../../src/bench/datasets/index.ts';
import { routeLlmPair } from '../../src/bench/datasets/routellm.ts';
import { mean } from '../../src/bench/metrics/curve.ts';
import { benchRoute, lessonOf, type RouteReport } from '../../src/bench/route.ts';
import type { Row } from '../../src/bench/rows.ts';
import { machineLine } from '../machine.ts';

const { values } = parseArgs({ options: { from: { type: 'string', default: '../shared/data' }, only: { type: 'string', default: '' } } });
const root = resolve(values.from);
const contenders: readonly (readonly [string, Learner])[] = [['ensemble (default)', ensemble], ['semantic', semantic], ['both stacked', ensembleOf([linear, difficultyRouter, semantic])]];

function bench(rows: readonly Row[], weak: string, strong: string, learner: Learner, seed: number, labels?: number): RouteReport {
  return benchRoute({ rows, weak, strong, learner, signals: 'prompt', helpers: [], folds: 5, seed, resamples: 200, quick: true, ...(labels === undefined ? {} : { labels }) });
}

function say(set: string, name: string, figure: string): void {
  console.log(`| ${set} | ${name} | ${figure} |`);
}

function folds(set: string, rows: readonly Row[], weak: string, strong: string): void {
  for (const [name, learner] of contenders) {
    const { apgr, apgrLow, apgrHigh } = bench(rows, weak, strong, learner, 1);
    say(set, name, `APGR ${apgr.toFixed(3)} (${apgrLow.toFixed(3)} to ${apgrHigh.toFixed(3)})`);
  }
}

function gsm8k(): void {
  const rows = readDataset('zeroeval-gsm8k', root);
  for (const [weak, strong] of [['Phi-3.5-mini-instruct', 'gpt-4o-2024-08-06'], ['Meta-Llama-3.1-8B-Instruct', 'claude-3-5-sonnet-20241022']] as const) folds(`GSM8K ${weak} -> ${strong}`, rows, weak, strong);
}

function llmRouter(): void {
  const [train, test] = [readDataset('llmrouter-train', root), readDataset('llmrouter-test', root)];
  const members = Object.keys(train[0]?.correct ?? {});
  const lesson = lessonOf(train, { weak: '', strong: '', seed: 1 }, members);
  const embedded = (['reward-distilled', 'contrastive', 'sparse-gate'] as const).flatMap((kind) => (['bundled', 'projection'] as const).map((embedder) => [`${kind}, ${embedder}`, () => fitEmbedded(kind, lesson, 12, embedder)] as const));
  for (const [name, fit] of [...contenders.map(([name, learner]) => [name, () => learner.fit(lesson)] as const), ...embedded]) {
    const fitted = fit();
    const chosen = test.map(({ prompt, correct }) => {
      const estimate = fitted.estimate(prompt);
      return correct[members[estimate.indexOf(Math.max(...estimate))] ?? ''] ?? 0;
    });
    say('LLMRouter, 9 members, its own split', name, `quality ${mean(chosen).toFixed(3)}`);
  }
}

function mmlu(labels: number): void {
  const rows = readDataset('routellm-mmlu', root);
  const { weak, strong } = routeLlmPair;
  for (const [name, learner] of contenders) {
    const draws = [1, 2, 3, 4, 5].map((seed) => bench(rows, weak, strong, learner, seed, labels).apgr);
    say(`RouteLLM MMLU, ${labels} labels`, name, `mean of five draws ${mean(draws).toFixed(3)} (${draws.map((each) => each.toFixed(3)).join(', ')})`);
  }
}

console.log(`routing on the bundled embedding; ${machineLine()}\n\n| set | router | measured |\n|---|---|---|`);
const parts: readonly (readonly [string, () => void])[] = [
  ['GSM8K', gsm8k],
  ['LLMRouter', llmRouter],
  ['MMLU 100', () => mmlu(100)],
  ['MMLU 1531', () => mmlu(1531)],
  ['MMLU 5-fold', () => folds('RouteLLM MMLU, 5-fold', readDataset('routellm-mmlu', root), routeLlmPair.weak, routeLlmPair.strong)],
];
for (const [name, part] of parts) if (name.includes(values.only)) part();
