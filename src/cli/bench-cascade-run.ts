/** Carries `tandem bench cascade` out: reads the rows, measures, writes the files that were asked for, and shows the table. */
import { resolve } from 'node:path';
import type { CascadePlan } from '../assign/cascade/plan.ts';
import { benchCascade, cascadeMembers, spending, type CascadeReport } from '../bench/cascades.ts';
import { rowsOf, wholeNumber } from '../bench/route-options.ts';
import { fail } from '../errors.ts';
import type { CascadeOptions } from './bench-cascade.ts';
import { planWish, shareOf, writeJudges, writePlan, type Learned } from './bench-cascade-files.ts';
import { writeStage } from './bench-stage.ts';
import { note, print, printJson, printTable, type Terminal } from './terminal.ts';

/** Runs the command. @throws {TandemError} usage, bench_data_invalid, router_file_invalid */
export function runCascade(terminal: Terminal, options: CascadeOptions): void {
  const learned = learnedFrom(terminal, options);
  const { rows, members, name, seed } = learned;
  if (options.json !== true) note(terminal, `${name}: ${rows.length} rows, ${members.join(' -> ')}; measuring ...`);
  if (options.stage !== undefined) return writeStage(terminal, { stage: options.stage, out: options.out, unit: options.spend === 'cost' ? 'usd' : 'ms' }, rows, members, learned.arms);
  const wish = planWish(options);
  const shares = options.budgets.split(',').map((text) => shareOf(text, '--budgets'));
  const report = benchCascade({ rows, members, shares, tiersMax: wholeNumber(options.tiers, '--tiers', 2), folds: wholeNumber(options.folds, '--folds', 2), seed, resamples: wholeNumber(options.resamples, '--resamples', 20) });
  const free = Math.max(...report.members.map(({ cost }) => cost)) === 0;
  if (free && !(wish !== undefined && 'lossMax' in wish)) return fail('bench_data_invalid', 'Nothing costs anything in these rows; --spend latencyMs measures time instead.');
  if (wish !== undefined) writePlan(terminal, wish, learned, report);
  writeJudges(terminal, options, learned);
  if (options.json === true) return printJson(terminal, report);
  printMembers(terminal, report, options.spend);
  if (free) print(terminal, '', 'Nothing costs anything in these rows, so there is no budget to measure; --spend latencyMs measures time instead.');
  else printBudgets(terminal, report, options.spend);
}

/** What is learned from. */
function learnedFrom(terminal: Terminal, options: CascadeOptions): Learned {
  const inFolder = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(terminal.cwd, path));
  const [data, from] = [inFolder(options.data), inFolder(options.from)];
  if (options.spend !== 'cost' && options.spend !== 'latencyMs') return fail('usage', '--spend takes cost or latencyMs.');
  const given = rowsOf({ ...(data === undefined ? {} : { data }), ...(options.set === undefined ? {} : { set: options.set }), ...(from === undefined ? {} : { from }) });
  const rows = options.spend === 'cost' ? given.rows : spending(given.rows, options.spend);
  const members = options.members?.split(',').map((each) => each.trim()) ?? cascadeMembers(rows);
  if (members.length < 2) return fail('bench_data_invalid', 'A cascade needs two members with a cost in every row.');
  return { name: given.name, rows, members, arms: armsOf(members, options.arms), seed: wholeNumber(options.seed, '--seed', 0) };
}

/** `small5=small*5`: the rows' member small5 is small, asked five times. */
function armsOf(members: readonly string[], text: string | undefined): CascadePlan['arms'] {
  const given = new Map((text ?? '').split(',').filter((each) => each !== '').map((each) => {
    const found = /^(.+)=([^=*]+)\*(\d+)$/.exec(each.trim());
    const samples = Number(found?.[3]);
    if (found === null || samples < 1 || samples > 16 || !members.includes(found[1] ?? '')) fail('usage', '--arms takes member=member*samples, such as small5=small*5, with members of the rows and 1 to 16 samples.');
    return [found[1] ?? '', { member: found[2] ?? '', samples }] as const;
  }));
  return members.map((member) => given.get(member) ?? { member, samples: 1 });
}

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
const points = (value: number): string => (100 * value).toFixed(1);

function printMembers(terminal: Terminal, report: CascadeReport, unit: string): void {
  printTable(terminal, { head: ['member alone', 'quality', unit], rows: report.members.map(({ member, quality, cost }) => [member, percent(quality), cost.toPrecision(3)]) });
}

function printBudgets(terminal: Terminal, report: CascadeReport, unit: string): void {
  print(terminal, '');
  printTable(terminal, {
    head: ['budget', 'mixture', 'two tiers', 'tiers', 'routing', 'chosen', 'spent', 'gain over mixture, 95 %'],
    rows: report.budgets.map(({ share, budget, mixture, twoTiers, tiers, policy, chosen, gain }) => {
      const qualities = [mixture, twoTiers.quality, tiers.quality, policy.quality, chosen.quality];
      return [percent(share), ...qualities.map(percent), percent(chosen.cost / (budget / share)), `${points(gain.value)} (${points(gain.low)} to ${points(gain.high)})`];
    }),
  });
  const { atBestQuality } = report;
  print(
    terminal,
    '',
    atBestQuality === null ? 'No budget that was tried reaches the best member\'s quality.' : `At the best member's quality: ${percent(atBestQuality.share)} of the dearest member's ${unit} is spent.`,
    'Budgets and "spent" are shares of the dearest member\'s mean; "mixture" is the best random mixture of single members; "chosen" is the kind that folds of the learning rows picked.',
  );
}
