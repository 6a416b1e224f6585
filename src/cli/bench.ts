/** `tandem bench`: `route` and `cascade` (bench-cascade.ts) work on rows of recorded answers, `run` (bench-run.ts) measures a live team. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fail } from '../errors.ts';
import { defineCascade } from './bench-cascade.ts';
import { defineRun } from './bench-run.ts';
import { examples, type DefineCommand } from './help.ts';
import { note, print, printJson, printTable, type Terminal } from './terminal.ts';

interface RouteOptions {
  readonly data?: string;
  readonly set?: string;
  readonly from?: string;
  readonly weak?: string;
  readonly strong?: string;
  readonly router: string;
  readonly signals: string;
  readonly helpers?: string;
  readonly labels?: string;
  readonly folds: string;
  readonly seed: string;
  readonly resamples: string;
  readonly json?: boolean;
  readonly markdown?: string;
  readonly svg?: string;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  defineRun(command, terminal);
  defineCascade(command, terminal);
  command
    .command('route')
    .summary('measure a router between two members on recorded answers')
    .description('Measure a router between two members on recorded answers: APGR, CPT, cost, beside the trivial routers.')
    .option('--data <file>', 'rows as JSON lines: {"id", "prompt", "correct": {member: 0..1}, "answers"?, "cost"?, "latencyMs"?}')
    .option('--set <name>', 'a public set instead, with --from')
    .option('--from <folder>', 'folder that holds the public sets')
    .option('--weak <member>', 'the cheap member (default: the worst of the rows)')
    .option('--strong <member>', 'the dear member (default: the best of the rows)')
    .option('--router <name>', 'how it learns: ensemble, linear, quality-gap, difficulty, factorisation, reward-distilled, contrastive, sparse-gate, neighbours, semantic', 'ensemble')
    .option('--signals <what>', 'what it may look at: prompt, answer (of the weak member), consensus (of small members)', 'prompt')
    .option('--helpers <members>', 'with consensus: other small members, by commas')
    .option('--labels <n>', 'train on n rows and test on the rest, instead of folds')
    .option('--folds <n>', 'folds of the cross-validation', '5')
    .option('--seed <n>', 'of the split and of everything drawn', '1')
    .option('--resamples <n>', 'resamples of the bootstrap', '1000')
    .option('-j, --json', 'print JSON')
    .option('--markdown <file>', 'also write the table as Markdown')
    .option('--svg <file>', 'also draw the curve')
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', examples(['tandem bench route --data rows.jsonl --weak small --strong large', 'your own rows'], ['tandem bench route --data rows.jsonl --signals consensus --helpers b,c', 'agreement of small members'], ['tandem bench route --set routellm-mmlu --from ../shared/data --labels 1531', 'a public set']))
    .action((options: RouteOptions) => route(terminal, options));
  command.addHelpText('after', examples(['tandem bench run', 'what each recipe gains on this team'], ['tandem bench route --data rows.jsonl', 'which router saves how much on your own rows']));
};

async function route(terminal: Terminal, options: RouteOptions): Promise<void> {
  const [{ benchRoute }, { factsOf, markdownOf, svgOf, tableOf }, { learnerOf, pairOf, rowsOf, wholeNumber }] = await Promise.all([import('../bench/route.ts'), import('../bench/report.ts'), import('../bench/route-options.ts')]);
  const { signals } = options;
  if (signals !== 'prompt' && signals !== 'answer' && signals !== 'consensus') return fail('usage', '--signals takes prompt, answer or consensus.');
  const learner = learnerOf(options.router);
  const inFolder = (path: string | undefined): { path: string } | undefined => (path === undefined ? undefined : { path: resolve(terminal.cwd, path) });
  const [data, from] = [inFolder(options.data), inFolder(options.from)];
  const { rows, name } = rowsOf({ ...(data === undefined ? {} : { data: data.path }), ...(options.set === undefined ? {} : { set: options.set }), ...(from === undefined ? {} : { from: from.path }) });
  const pair = pairOf(rows, options);
  const helpers = options.helpers?.split(',').map((each) => each.trim()) ?? [];
  if (signals === 'consensus' && helpers.length === 0) return fail('usage', '--signals consensus needs --helpers <members>.');
  if (options.json !== true) note(terminal, `${name}: ${rows.length} rows, ${pair.weak} -> ${pair.strong}; measuring ...`);
  const report = benchRoute({
    rows,
    ...pair,
    learner,
    signals,
    helpers,
    ...(options.labels === undefined ? {} : { labels: wholeNumber(options.labels, '--labels', 20) }),
    folds: wholeNumber(options.folds, '--folds', 2),
    seed: wholeNumber(options.seed, '--seed', 0),
    resamples: wholeNumber(options.resamples, '--resamples', 20),
  });
  if (options.markdown !== undefined) writeFileSync(resolve(terminal.cwd, options.markdown), markdownOf(report));
  if (options.svg !== undefined) writeFileSync(resolve(terminal.cwd, options.svg), svgOf(report));
  if (options.json === true) return printJson(terminal, report);
  printTable(terminal, tableOf(report));
  print(terminal, '', ...factsOf(report));
}
