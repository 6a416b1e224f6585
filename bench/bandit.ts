/**
 * A bandit against the best fixed router on replayed streams of recorded answers, with a price change and a quality drop midway.
 * Regret is against a clairvoyant router that is told of every change at once (`bandit/play.ts`). Splits and streams are fixed
 * by hashes. The bandit's knobs were chosen on LLMRouter's training rows (`--tune`); the reported set is MMLU-Pro.
 *
 *   node bench/bandit.ts [--from ../shared/data] [--seeds 20] [--requests 6000] [--tune]
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readDataset } from '../src/bench/datasets/index.ts';
import { seededRandom } from '../src/system/random.ts';
import { play, type BanditKnobs, type Played, type PlaySettings } from './bandit/play.ts';
import { scenarios, worldOf, type World } from './bandit/world.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { from: { type: 'string', default: '../shared/data' }, seeds: { type: 'string', default: '20' }, requests: { type: 'string', default: '6000' }, tune: { type: 'boolean', default: false } } });
const root = resolve(values.from);
const seeds = Number(values.seeds);
const requests = Number(values.requests);

/** Chosen among those of `--tune` on LLMRouter's training rows: Thompson, since its propensities serve off-policy estimates. */
const chosen: BanditKnobs = { rule: 'thompson', width: 0.5, explore: 0.01, worth: 50, slopeWorth: 50, discount: 0.9995 };

const team = ['Meta-Llama-3_1-8B-Instruct', 'Mixtral-8x7B-Instruct-v0.1', 'gemini-1.5-flash-002', 'DeepSeek-Coder-V2', 'gemini-1.5-pro-002'];

function reported(drop?: number): World {
  const rows = readDataset('mmlu-pro', root);
  return worldOf(rows, team, ['Meta-Llama-3_1-70B-Instruct', 'Yi-34B', 'Phi-3-mini-4k-instruct', 'jamba-1.5-large', 'Qwen1.5-72B-Chat', 'Mistral-7B-Instruct-v0.2', 'Llama-2-13b-hf'], drop);
}

function tuned(): World {
  const rows = readDataset('llmrouter-train', root);
  const members = Object.keys(rows[0]?.cost ?? {}).filter((member) => rows.every((row) => row.cost?.[member] !== undefined));
  return worldOf(rows, members.slice(0, 6), members);
}

function streams(world: World, from: number, count: number, settings: Omit<PlaySettings, 'seed'>): Record<string, Played[]> {
  return Object.fromEntries(Object.entries(scenarios(world)).map(([name, shifts]) => [name, Array.from({ length: count }, (_, i) => play(world, shifts, { ...settings, seed: from + i }))]));
}

interface Summary {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly noticedP50: number;
  readonly noticedP90: number;
  readonly within300: number;
  readonly falseAlarms: number;
}

/** Ratio of summed regrets, with a bootstrap over streams. */
function summary(played: readonly Played[]): Summary {
  const ratio = (some: readonly Played[]): number => some.reduce((sum, { regretBandit }) => sum + regretBandit, 0) / some.reduce((sum, { regretFixed }) => sum + regretFixed, 0);
  const random = seededRandom(1);
  const drawn = Array.from({ length: 1000 }, () => ratio(played.map(() => played[Math.floor(random.next() * played.length)] as Played))).sort((a, b) => a - b);
  const noticed = played.flatMap((each) => each.noticed.map((after) => after ?? Infinity)).sort((a, b) => a - b);
  const at = (share: number): number => noticed[Math.min(noticed.length - 1, Math.floor(share * noticed.length))] ?? Infinity;
  return { ratio: ratio(played), low: drawn[25] ?? 0, high: drawn[974] ?? 0, noticedP50: at(0.5), noticedP90: at(0.9), within300: noticed.filter((after) => after <= 300).length / noticed.length, falseAlarms: played.reduce((sum, each) => sum + each.falseAlarms, 0) / played.length };
}

function line(name: string, played: readonly Played[]): string {
  const { ratio, low, high, noticedP50, noticedP90, within300, falseAlarms } = summary(played);
  const mean = (of: (each: Played) => number): string => (played.reduce((sum, each) => sum + of(each), 0) / played.length).toFixed(3);
  return `| ${name} | **${ratio.toFixed(3)}** (${low.toFixed(3)} to ${high.toFixed(3)}) | ${mean(({ regretBandit }) => regretBandit)} of ${mean(({ regretFixed }) => regretFixed)} | ${noticedP50}, ${noticedP90} | ${(100 * within300).toFixed(0)} % | ${falseAlarms.toFixed(2)} | ${mean(({ mean: { bandit } }) => bandit)} / ${mean(({ mean: { fixed } }) => fixed)} / ${mean(({ mean: { clairvoyant } }) => clairvoyant)} / ${mean(({ mean: { oracle } }) => oracle)} |`;
}

function tune(): void {
  const world = tuned();
  console.log(`LLMRouter, training rows: ${world.train.length} teach, ${world.stream.length} streamed; ${world.members.join(', ')}`);
  console.log(JSON.stringify(scenarios(world)));
  for (const rule of ['thompson', 'ucb', 'greedy'] as const) {
    for (const width of rule === 'greedy' ? [0] : [0.25, 0.5, 1]) {
      for (const explore of [0.01, 0.03]) {
        for (const worth of [50, 100]) {
          for (const discount of [0.9995]) {
            const knobs = { rule, width, explore, worth, slopeWorth: worth, discount };
            const all = Object.values(streams(world, 1001, Math.min(seeds, 4), { knobs, requests, delay: 20, feedback: 1 })).flat();
            const { ratio, noticedP50, noticedP90, within300, falseAlarms } = summary(all);
            console.log(`${ratio.toFixed(3)} ${JSON.stringify(knobs)} noticed ${noticedP50}, ${noticedP90}, ${(100 * within300).toFixed(0)} % within 300, false ${falseAlarms.toFixed(2)}`);
          }
        }
      }
    }
  }
}

function report(): void {
  const world = reported();
  console.log(`MMLU-Pro: ${world.train.length} rows teach the offline router, streams of ${Math.min(requests, world.stream.length)} from the other ${world.stream.length}; ${seeds} streams a scenario.`);
  for (const [name, shifts] of Object.entries(scenarios(world))) console.log(`${name}: ${shifts.map(({ at, member, quantity }) => `at ${100 * at} % ${member} ${quantity === 'cost' ? 'costs five times as much' : `serves ${world.standIn.get(member)} (${(100 * (world.quality.get(member) ?? 0)).toFixed(1)} -> ${(100 * (world.quality.get(world.standIn.get(member) ?? '') ?? 0)).toFixed(1)} %)`}`).join('; ')}`);
  console.log('\n| scenario | regret / fixed router\'s | regret, bandit of fixed | noticed after (p50, p90) | within 300 | false alarms a stream | mean utility: bandit / fixed / clairvoyant / oracle |\n|---|---|---|---|---|---|---|');
  const settings = { knobs: chosen, requests, delay: 20, feedback: 1 };
  const played = streams(world, 1, seeds, settings);
  for (const [name, each] of Object.entries(played)) console.log(line(name, each));
  const all = Object.values(played).flat();
  console.log(line('all', all));
  console.log(line('all, a reward for one request in four', Object.values(streams(world, 1, seeds, { ...settings, feedback: 0.25 })).flat()));
  console.log(line('all, rewards after 300 requests', Object.values(streams(world, 1, seeds, { ...settings, delay: 300 })).flat()));
  console.log(line('all, a drop of 20 points', Object.values(streams(reported(0.2), 1, seeds, settings)).flat()));
  console.log(line('all, no prior (cold start)', Object.values(streams(world, 1, seeds, { ...settings, knobs: { ...chosen, worth: 0.5, slopeWorth: 0.5 } })).flat()));
  const { ratio, low, high, noticedP90, within300, falseAlarms } = summary(all);
  const times = all.flatMap(({ decisionUs }) => decisionUs).sort((a, b) => a - b);
  const us = (share: number): number => Number((times[Math.floor(share * times.length)] ?? 0).toFixed(1));
  console.log(`decision: p50 ${us(0.5)} us, p99 ${us(0.99)} us (five arms, features given)\n${machineLine()}`);
  printFigures('bandit', { regretRatio: ratio, regretRatioLow: low, regretRatioHigh: high, noticedAfterRequests: Number.isFinite(noticedP90) ? noticedP90 : null, noticedWithin300Share: within300, falseAlarmsPerStream: falseAlarms, decisionP50Us: us(0.5), decisionP99Us: us(0.99) });
}

if (!existsSync(root)) {
  console.log(`The public sets are not at ${values.from}: nothing to replay (--from <folder>).`);
  printFigures('bandit', { regretRatio: null, regretRatioLow: null, regretRatioHigh: null, noticedAfterRequests: null, noticedWithin300Share: null, falseAlarmsPerStream: null, decisionP50Us: null, decisionP99Us: null });
} else if (values.tune) tune();
else report();
