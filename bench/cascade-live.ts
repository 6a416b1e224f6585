/**
 * What trained cascades gain on the bundled pair, live: the bundled tasks are split in two by a hash of their ids; on one half the
 * files are made with the command line, as a user would, on the other the recipes are run with them.
 *
 *   node bench/cascade-live.ts [--keep <folder>]      with --keep, rows, files and the report stay there
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { LiveReport } from '../src/bench/live/summary.ts';
import { bundledTasks } from '../src/bench/live/tasks.ts';
import type { ConfigInput } from '../src/config.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { keep: { type: 'string' } } });
const folder = values.keep === undefined ? mkdtempSync(join(tmpdir(), 'tandem-bench-')) : resolve(values.keep);
mkdirSync(folder, { recursive: true });
const command = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const tandem = (...args: string[]): string => execFileSync(process.execPath, [command, ...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const files = { mine: './promise.json', budget: './budget.json', judge: './scorer.json' };
const team: ConfigInput = { cascades: files };
const recipes = ['small', 'large', 'cascade', 'cascade:plan=mine', 'cascade:plan=budget', 'cascade:test=learned;scorer=judge;threshold=0.6'];

try {
  console.log(machineLine());
  const lines = readFileSync(bundledTasks, 'utf8').trim().split('\n').filter((line) => (JSON.parse(line) as { check: string }).check !== 'none');
  const half = (line: string): number => (createHash('sha256').update((JSON.parse(line) as { id: string }).id).digest()[0] as number) & 1;
  const [made, tested] = [0, 1].map((which) => lines.filter((line) => half(line) === which)) as [string[], string[]];
  console.log(`${made.length} tasks to learn from, ${tested.length} to be measured on`);
  writeFileSync(join(folder, 'learn.jsonl'), made.join('\n'));
  writeFileSync(join(folder, 'test.jsonl'), tested.join('\n'));
  tandem('bench', 'run', '--tasks', 'learn.jsonl', '--recipes', 'small,large', '--rows', '--score', 'min-probability', '--out', 'learned');
  const rows = ['bench', 'cascade', '--data', 'learned/rows.jsonl', '--test', 'min-probability'];
  tandem(...rows, '--out', files.mine, '--promise', '2', '--scorer', files.judge);
  tandem(...rows, '--out', files.budget, '--budget', '0.7', '--spend', 'latencyMs');
  writeFileSync(join(folder, 'tandem.config.ts'), `export default ${JSON.stringify(team)};\n`);
  const report = JSON.parse(tandem('bench', 'run', '--team', 'tandem.config.ts', '--tasks', 'test.jsonl', '--recipes', recipes.join(','), '--out', 'tested', '--json')) as LiveReport;
  const figures: Record<string, number> = { learned: made.length, tested: tested.length };
  const points = (value: number): string => (100 * value).toFixed(1);
  const rounded = (value: number): number => Math.round(1000 * value) / 1000;
  for (const { recipe, quality, qualityDifference: against, largeShare, latencyP50Ms } of report.recipes) {
    const asked = largeShare?.value ?? 0;
    const difference = against === null ? '' : `, against large ${points(against.value)} (${points(against.low)} to ${points(against.high)})`;
    console.log(`${recipe}: ${points(quality.value)} % right${difference}; large asked for ${points(asked)} %, p50 ${latencyP50Ms.value.toFixed(1)} ms`);
    figures[`${recipe} quality`] = rounded(quality.value);
    figures[`${recipe} asks large`] = rounded(asked);
  }
  printFigures('cascade-live', figures);
} finally {
  if (values.keep === undefined) rmSync(folder, { recursive: true, force: true });
}
