/** `tandem train router`: a router file from rows of recorded answers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Row } from '../../bench/rows.ts';
import { fail } from '../../errors.ts';
import { systemClock } from '../../system/clock.ts';
import { examples, type DefineCommand } from '../help.ts';
import { note, print, printJson, type Terminal } from '../terminal.ts';

interface RouterOptions {
  readonly data?: string;
  readonly set?: string;
  readonly from?: string;
  readonly out?: string;
  readonly weak?: string;
  readonly strong?: string;
  readonly router: string;
  readonly members?: string;
  readonly cards?: string;
  readonly reads: string;
  readonly calibration: string;
  readonly transfer?: string;
  readonly onto?: string;
  readonly member?: string;
  readonly folds: string;
  readonly seed: string;
  readonly json?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  command
    .command('router')
    .summary('train a router on recorded answers')
    .description('Train a router on recorded answers and write it to a file that the recipe "route" can use.')
    .option('--data <file>', 'rows as JSON lines, as for tandem bench route')
    .option('--set <name>', 'a public set instead, with --from')
    .option('--from <folder>', 'folder that holds the public sets')
    .option('--out <file>', 'where to write the router')
    .option('--weak <member>', 'the cheap member (default: the worst of the rows)')
    .option('--strong <member>', 'the dear member (default: the best of the rows)')
    .option('--router <name>', 'how it learns (see tandem bench route --help)', 'ensemble')
    .option('--members <names>', 'members to choose among, by commas, or "all"; then the recipe route can choose by utility (default: the pair alone)')
    .option('--cards <file>', 'for --router model-card: JSON, {member: what it is good at}')
    .option('--reads <what>', 'last (the user\'s last message), or session (also marks of the messages before it; rows have "history")', 'last')
    .option('--calibration <how>', 'platt, or isotonic', 'platt')
    .option('--transfer <file>', 'labelled rows of other data: tests whether the promises hold there too')
    .option('--onto <router>', 'do not train anew: add --member to this router file, from the rows as probes (a few dozen do)')
    .option('--member <name>', 'with --onto: the new member')
    .option('--folds <n>', 'folds for metric, calibration and promises', '5')
    .option('--seed <n>', 'of everything drawn', '1')
    .option('-j, --json', 'print the card as JSON')
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', examples(['tandem train router --data rows.jsonl --out router.bin', 'train, and print the card']))
    .action((options: RouterOptions) => train(terminal, options));
};

async function train(terminal: Terminal, options: RouterOptions): Promise<void> {
  const [{ rowsOf, pairOf, learnerOf, wholeNumber }, { lessonOf, otherOf, figuresOf }, { foldsOf, membersOf }, { trainRouter }, { encode }, { measureOrdered, ordered }, { apgrInterval }] = await Promise.all([
    import('../../bench/route-options.ts'),
    import('../../bench/route.ts'),
    import('../../bench/rows.ts'),
    import('../../assign/training.ts'),
    import('../../assign/trained.ts'),
    import('../../bench/metrics/curve.ts'),
    import('../../bench/metrics/bootstrap.ts'),
  ]);
  const out = resolve(terminal.cwd, options.out ?? fail('usage', '--out <file> says where to write the router.'));
  const { rows, name } = rowsOf({ ...(options.data === undefined ? {} : { data: resolve(terminal.cwd, options.data) }), ...(options.set === undefined ? {} : { set: options.set }), ...(options.from === undefined ? {} : { from: resolve(terminal.cwd, options.from) }) });
  if (options.onto !== undefined) return added(terminal, options, rows, out);
  const pair = pairOf(rows, options);
  const seed = wholeNumber(options.seed, '--seed', 0);
  const members = membersWanted(options.members, membersOf(rows), pair);
  const { reads, calibration } = options;
  if (reads !== 'last' && reads !== 'session') return fail('usage', '--reads takes last or session.');
  if (calibration !== 'platt' && calibration !== 'isotonic') return fail('usage', '--calibration takes platt or isotonic.');
  const folds = foldsOf(rows, wholeNumber(options.folds, '--folds', 2), `${pair.weak}|${pair.strong}|folds|${seed}`);
  if (options.json !== true) note(terminal, `${name}: ${rows.length} rows, ${pair.weak} -> ${pair.strong}; training ...`);
  const trained = trainRouter({
    lesson: lessonOf(rows, { ...pair, seed }, members, { reads, cards: cardsOf(terminal, options.cards) }),
    learner: learnerOf(options.router),
    ...pair,
    folds,
    dataName: name,
    reads,
    calibration,
    figures: figuresOf(rows, members),
    ...(options.transfer === undefined ? {} : { others: [otherOf(resolve(terminal.cwd, options.transfer), pair, reads)] }),
    now: systemClock.wallMs(),
    metric(score, weak, strong) {
      const order = ordered({ score, weak, strong });
      return { value: measureOrdered(order).figures.apgr, ...apgrInterval(order, seed, 400) };
    },
  });
  const bytes = encode(trained);
  writeFileSync(out, bytes);
  if (options.json === true) return printJson(terminal, trained.card);
  const { metric, calibrationError, promises, date, transfers = [] } = trained.card;
  print(
    terminal,
    `${trained.card.kind} router of ${date}, ${(bytes.length / 1e6).toFixed(2)} MB: APGR ${metric.value.toFixed(3)} (${metric.low.toFixed(3)} to ${metric.high.toFixed(3)}, ${metric.folds} folds), calibration error ${calibrationError.toFixed(3)}.`,
    ...promises.map(({ lossMax, confidence, threshold, smallShare, expiresAt }) => `At most ${(100 * lossMax).toFixed(1)} points worse than always ${pair.strong}, with ${(100 * confidence).toFixed(0)} % confidence: threshold ${threshold.toFixed(3)}, ${(100 * smallShare).toFixed(1)} % of the calls stay with ${pair.weak}; stands until ${expiresAt.slice(0, 10)}.`),
    ...transfers.map(({ set, lossMax, may, lossSeen, rows: n }) => `On ${set} (${n} rows) the promise of ${(100 * lossMax).toFixed(1)} points ${may ? 'may be used' : 'may not be used'}: loss there ${(100 * lossSeen).toFixed(2)} points.`),
  );
}

/** Adds a member to a router file. */
async function added(terminal: Terminal, options: RouterOptions, rows: readonly Row[], out: string): Promise<void> {
  const [{ addMember }, { decode, encode, readText }, { figuresOf }, { qualityOf }] = await Promise.all([import('../../assign/training.ts'), import('../../assign/trained.ts'), import('../../bench/route.ts'), import('../../bench/rows.ts')]);
  const member = options.member ?? fail('usage', '--onto needs --member <name>, the new member.');
  const trained = decode(readFileSync(resolve(terminal.cwd, options.onto ?? '')));
  const prompts = rows.map(({ prompt, history = [] }) => readText(trained.card, { messages: [...history, { role: 'user', content: prompt }] }));
  const grown = addMember(trained, { member, prompts, quality: qualityOf(rows, member) }, figuresOf(rows, [member])[member]);
  writeFileSync(out, encode(grown));
  if (options.json === true) return printJson(terminal, grown.card);
  print(terminal, `The router knows ${grown.predictor.members.join(', ')} now; "${member}" from ${rows.length} probes.`);
}

function membersWanted(names: string | undefined, known: readonly string[], { weak, strong }: { readonly weak: string; readonly strong: string }): string[] {
  if (names === undefined) return [weak, strong];
  const wanted = names === 'all' ? [...known] : names.split(',').map((each) => each.trim());
  for (const member of wanted) if (!known.includes(member)) fail('usage', `--members: "${member}" has no quality in every row; there are: ${known.join(', ')}.`);
  return [...new Set([...wanted, weak, strong])];
}

function cardsOf(terminal: Terminal, file: string | undefined): Record<string, string> | undefined {
  if (file === undefined) return undefined;
  try {
    return JSON.parse(readFileSync(resolve(terminal.cwd, file), 'utf8')) as Record<string, string>;
  } catch (cause) {
    return fail('bench_data_invalid', { message: 'The file of --cards could not be read as JSON.', cause });
  }
}
