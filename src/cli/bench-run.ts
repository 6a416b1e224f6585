/** `tandem bench run`: measures recipes on a live team and writes one page about it. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { alternativesWanted, type ConfidenceStatistic } from '../assign/confidence.ts';
import { TandemError } from '../errors.ts';
import type { Cell, RunHeader } from '../bench/live/journal.ts';
import { examples } from './help.ts';
import { interruptSignal, openRuntime, type Opened } from './open-runtime.ts';
import { note, print, printJson, printTable, type Terminal } from './terminal.ts';

interface RunOptions {
  readonly team?: string;
  readonly tasks: string;
  readonly recipes?: string;
  readonly limit?: string;
  readonly seed: string;
  readonly out?: string;
  readonly resume?: boolean;
  readonly concurrency: string;
  readonly answerTokens: string;
  readonly temperature: string;
  readonly warmUp: boolean;
  readonly rows?: boolean;
  readonly score: string;
  readonly json?: boolean;
}

/** Adds the command under `tandem bench`. */
export function defineRun(command: Command, terminal: Terminal): void {
  command
    .command('run')
    .summary('measure recipes on a live team: quality, dollars, time, joules, disclosures')
    .description('Measure recipes on a live team, all on the same tasks: quality, dollars, latency, joules, bytes to the cloud and disclosures, on one page.')
    .option('-c, --team <config>', 'configuration file of the team (default: the nearest, else the bundled pair)')
    .option('--tasks <file>', 'tasks as JSON lines (docs/bench.md), or "bundled" for the held-out tasks of the bundled pair', 'bundled')
    .option('--recipes <names>', 'recipes or members by commas, with knobs as name:knob=value;knob=value (default: small, large, route, cascade, speculate, auto, as far as the team can)')
    .option('--limit <n>', 'at most n tasks; every kind of task keeps its share (default: all)')
    .option('--seed <n>', 'of the draw of tasks, the order, and sampling', '1')
    .option('--out <dir>', 'folder for journal and reports (default: a new one named by the time)')
    .option('--resume', 'go on with the run in --out, after a kill or Ctrl-C')
    .option('--concurrency <n>', 'requests at once; above 1 latencies are those under load', '1')
    .option('--answer-tokens <n>', 'answer tokens at most, where a task does not say', '110')
    .option('--temperature <t>', '0 is greedy', '0')
    .option('--no-warm-up', 'do not ask each recipe once, unmeasured, before the first task')
    .option('--rows', 'also write rows.jsonl, with the answers, for bench route, bench cascade and train router')
    .option('--score <statistic>', 'with --rows: which confidence goes into its "scores": mean-probability, min-probability, quantile-probability, margin, entropy', 'mean-probability')
    .option('-j, --json', 'print the report as JSON')
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', examples(['tandem bench run', 'the bundled pair, in a few minutes'], ['tandem bench run --recipes large,cascade,cascade:threshold=0.9 --limit 50', 'a recipe with two settings'], ['tandem bench run --team tandem.config.ts --tasks mine.jsonl --out run1', 'your team, your tasks'], ['tandem bench run --tasks mine.jsonl --out run1 --resume', 'go on after a kill']))
    .action((options: RunOptions) => run(terminal, options));
}

async function run(terminal: Terminal, options: RunOptions): Promise<void> {
  const interrupt = interruptSignal();
  const opened = await openRuntime(terminal, options.team, (input) => ({ ...input, store: { ...input.store, path: ':memory:' } }));
  try {
    await measure(terminal, options, opened, interrupt.signal);
  } finally {
    interrupt.release();
    await opened.runtime.close();
  }
}

async function measure(terminal: Terminal, options: RunOptions, { runtime, loaded }: Opened, signal: AbortSignal): Promise<void> {
  const [{ readTasks, drawTasks, tasksDigest }, { rowsOfCells }, { contendersOf }, { Journal }, { runLive }, { summarise }, report, { wholeNumber }, { RunProgress }] = await Promise.all([
    import('../bench/live/tasks.ts'),
    import('../bench/live/rows.ts'),
    import('../bench/live/recipes.ts'),
    import('../bench/live/journal.ts'),
    import('../bench/live/run.ts'),
    import('../bench/live/summary.ts'),
    import('../bench/live/report.ts'),
    import('../bench/route-options.ts'),
    import('./run-progress.ts'),
  ]);
  const seed = wholeNumber(options.seed, '--seed', 0);
  const limit = options.limit === undefined ? undefined : wholeNumber(options.limit, '--limit', 1);
  const tasks = drawTasks(readTasks(options.tasks === 'bundled' ? 'bundled' : resolve(terminal.cwd, options.tasks)), limit, seed);
  const contenders = contendersOf(options.recipes, runtime);
  const header: RunHeader = {
    kind: 'tandem-bench-run',
    version: 1,
    tasks: { source: options.tasks.replace(/^.*[\\/]/, ''), count: tasks.length, sha256: tasksDigest(tasks) },
    recipes: contenders.map(({ name }) => name),
    team: { members: runtime.team.members.map(({ id, roles, model }) => ({ id, roles, place: model.place, engine: model.engine })), sha256: teamDigest(loaded.config) },
    sampling: { tokensMax: wholeNumber(options.answerTokens, '--answer-tokens', 1), temperature: temperatureOf(options.temperature) },
    seed,
    concurrency: wholeNumber(options.concurrency, '--concurrency', 1),
    warmUp: options.warmUp,
    keep: options.rows === true ? statisticOf(options.score) : null,
  };
  if (options.resume === true && options.out === undefined) throw new TandemError('usage', { message: '--resume needs --out <dir>, the folder of the run.' });
  const folder = resolve(terminal.cwd, options.out ?? `tandem-bench-${new Date(runtime.clock.wallMs()).toISOString().slice(0, 19).replace(/[:T]/g, '-')}`);
  const journal = Journal.open(join(folder, 'cells.jsonl'), header, options.resume === true);
  const progress = new RunProgress(terminal, options.json === true, runtime.clock);
  progress.begin(`${tasks.length} tasks, ${contenders.map(({ name }) => name).join(', ')}; journal in ${folder}`, journal.done.length, tasks.length * contenders.length);
  const onCell = (cell: Cell, finished: number, total: number): void => {
    journal.add(cell);
    progress.show(finished, total);
  };
  const cells = await runLive({ runtime, tasks, contenders, sampling: header.sampling, seed, concurrency: header.concurrency, warmUp: header.warmUp, done: journal.done, signal, keep: options.rows === true ? statisticOf(options.score) : undefined, onCell }).finally(() => {
    progress.end();
    if (signal.aborted) note(terminal, `What was measured is kept. Go on with the same options and: --out ${options.out ?? folder} --resume`);
  });
  const result = summarise(header, tasks, cells, { finishedAt: new Date(runtime.clock.wallMs()).toISOString().slice(0, 19) + 'Z', machine: machineText() });
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(folder, 'report.md'), report.markdownOf(result));
  writeFileSync(join(folder, 'report.html'), report.htmlOf(result));
  if (options.rows === true) writeFileSync(join(folder, 'rows.jsonl'), rowsOfCells(tasks, cells, header.recipes).map((row) => `${JSON.stringify(row)}\n`).join(''));
  if (options.json === true) return printJson(terminal, result);
  printTable(terminal, report.tableOf(result));
  print(terminal, '', ...report.notesOf(result), '', `Written: report.html, report.md, report.json and cells.jsonl in ${folder}`);
}

function statisticOf(name: string): ConfidenceStatistic {
  if (!Object.hasOwn(alternativesWanted, name)) throw new TandemError('usage', { message: `--score takes ${Object.keys(alternativesWanted).join(', ')}.` });
  return name as ConfidenceStatistic;
}

function temperatureOf(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 2)) throw new TandemError('usage', { message: '--temperature takes a number from 0 to 2.' });
  return value;
}

/** SHA-256 of what decides how the team answers. */
function teamDigest({ members, recipes, routers, policy, privacy, guard }: Opened['loaded']['config']): string {
  return createHash('sha256').update(JSON.stringify({ members, recipes, routers, policy, privacy, guard })).digest('hex');
}

function machineText(): string {
  return `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
}
