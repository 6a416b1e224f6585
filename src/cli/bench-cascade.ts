/** `tandem bench cascade`: what cascades under a budget gain on recorded answers, and a cascade file for the recipe `cascade`. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CascadePlan } from '../assign/cascade/plan.ts';
import type { promisedTiers as promisedTiersType } from '../bench/cascades.ts';
import type { Row } from '../bench/rows.ts';
import { fail } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { examples } from './help.ts';
import { note, print, printJson, printTable, type Terminal } from './terminal.ts';

interface CascadeOptions {
  readonly data?: string;
  readonly set?: string;
  readonly from?: string;
  readonly members?: string;
  readonly spend: string;
  readonly budgets: string;
  readonly tiers: string;
  readonly folds: string;
  readonly seed: string;
  readonly resamples: string;
  readonly out?: string;
  readonly budget?: string;
  readonly test: string;
  readonly promise?: string;
  readonly target?: string;
  readonly arms?: string;
  readonly stage?: string;
  readonly scorer?: string;
  readonly detector?: string;
  readonly json?: boolean;
}

/** Adds the command under `tandem bench`. */
export function defineCascade(command: Command, terminal: Terminal): void {
  command
    .command('cascade')
    .summary('measure cascades of several members under a budget on recorded answers')
    .description('Measure cascades of several members under a budget on recorded answers: two tiers, more tiers, and cascade routing, beside mixtures of single members. Every row is answered by a cascade that was not learned on it.')
    .option('--data <file>', 'rows as JSON lines, as for tandem bench route, with "cost" and with "scores" or "answers"')
    .option('--set <name>', 'a public set instead, with --from')
    .option('--from <folder>', 'folder that holds the public sets')
    .option('--members <names>', 'members by commas (default: all that every row has a cost for)')
    .option('--spend <what>', 'what the budget is in: cost (dollars) or latencyMs', 'cost')
    .option('--budgets <shares>', 'budgets as shares of the dearest member\'s mean cost, by commas', '0.1,0.2,0.4,0.7,1')
    .option('--tiers <n>', 'tiers at most', '3')
    .option('--folds <n>', 'folds of the cross-validation', '4')
    .option('--seed <n>', 'of the splits and of everything drawn', '1')
    .option('--resamples <n>', 'resamples of the bootstrap', '400')
    .option('--out <file>', 'also learn a cascade on all rows and write it for the recipe "cascade"; needs rows with "scores"')
    .option('--budget <share>', 'with --out: its budget, as a share of the dearest member\'s mean cost')
    .option('--promise <points>', 'with --out, instead of --budget: two tiers, at most so many points of a hundred worse than always the last member, with 95 % confidence')
    .option('--target <quality>', 'with --out, instead of --budget: 0 to 1; in every bin of difficulty the cheapest arm that meets it')
    .option('--arms <list>', 'members of the rows that are several samples of one member, by commas: small5=small*5')
    .option('--stage <text>', '"name: instruction"; with --out, instead of --budget: the rows measure the ways of one stage of a task; adds it to a file of stages for the recipe "cascade", or measures it anew')
    .option('--test <name>', 'with --out: the acceptance test that the "scores" are of', 'mean-probability')
    .option('--scorer <file>', 'also train a scorer of the first member\'s answers, for the test "learned"; needs rows with "answers"')
    .option('--detector <file>', 'also train a detector of requests unlike these')
    .option('-j, --json', 'print JSON')
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', examples(['tandem bench cascade --data rows.jsonl', 'what each budget buys'], ['tandem bench cascade --data rows.jsonl --out cascade.json --budget 0.4', 'and a file for the recipe'], ['tandem bench cascade --data facts.jsonl --out stages.json --stage "facts: List the facts."', 'one stage of a task']))
    .action((options: CascadeOptions) => cascade(terminal, options));
}

async function cascade(terminal: Terminal, options: CascadeOptions): Promise<void> {
  const [{ benchCascade, cascadeMembers, detectorFor, planFor, promisedTiers, sampledPlan, scorerFor, spending }, { rowsOf, wholeNumber }, { encodePlan }] = await Promise.all([import('../bench/cascades.ts'), import('../bench/route-options.ts'), import('../assign/cascade/plan.ts')]);
  const inFolder = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(terminal.cwd, path));
  const [data, from] = [inFolder(options.data), inFolder(options.from)];
  if (options.spend !== 'cost' && options.spend !== 'latencyMs') return fail('usage', '--spend takes cost or latencyMs.');
  const given = rowsOf({ ...(data === undefined ? {} : { data }), ...(options.set === undefined ? {} : { set: options.set }), ...(from === undefined ? {} : { from }) });
  const rows = options.spend === 'cost' ? given.rows : spending(given.rows, options.spend);
  const members = options.members?.split(',').map((each) => each.trim()) ?? cascadeMembers(rows);
  if (members.length < 2) return fail('bench_data_invalid', 'A cascade needs two members with a cost in every row.');
  if (options.json !== true) note(terminal, `${given.name}: ${rows.length} rows, ${members.join(' -> ')}; measuring ...`);
  if (options.stage !== undefined) return (await import('./bench-stage.ts')).writeStage(terminal, { stage: options.stage, out: options.out, unit: options.spend === 'cost' ? 'usd' : 'ms' }, rows, members, armsOf(members, options.arms));
  const seed = wholeNumber(options.seed, '--seed', 0);
  if (options.out !== undefined && options.promise !== undefined) writePromised(terminal, options, planned(rows, members, options, promisedTiers), members, given, encodePlan);
  const shares = options.budgets.split(',').map((text) => shareOf(text, '--budgets'));
  const report = benchCascade({ rows, members, shares, tiersMax: wholeNumber(options.tiers, '--tiers', 2), folds: wholeNumber(options.folds, '--folds', 2), seed, resamples: wholeNumber(options.resamples, '--resamples', 20) });
  if (options.promise === undefined && Math.max(...report.members.map(({ cost }) => cost)) === 0) return fail('bench_data_invalid', 'Nothing costs anything in these rows; --spend latencyMs measures time instead.');
  const arms = armsOf(members, options.arms);
  if (options.out !== undefined && options.target !== undefined) {
    const target = Number(options.target);
    if (!(target >= 0 && target <= 1)) return fail('usage', '--target takes a quality from 0 to 1.');
    const policy = sampledPlan(rows, members, target);
    writeFileSync(resolve(terminal.cwd, options.out), encodePlan({ kind: 'tandem-cascade', version: 1, card: { date: new Date(systemClock.wallMs()).toISOString().slice(0, 10), data: { name: given.name, rows: rows.length }, method: 'samples', test: options.test, budget: 0, heldOut: null }, arms, policy: { edges: policy.edges.slice(), first: policy.first.slice() } }));
    note(terminal, `Written: ${options.out}. From easy to hard: ${policy.first.map(({ arm }) => `${arms[arm]?.member} x ${arms[arm]?.samples}`).join(', ')}.`);
  }
  if (options.out !== undefined && options.promise === undefined && options.target === undefined) {
    const share = shareOf(options.budget ?? fail('usage', '--out needs --budget <share>, --promise <points> or --target <quality>.'), '--budget');
    const budget = share * Math.max(...report.members.map(({ cost }) => cost));
    const plan = planFor(rows, members, budget, seed);
    const near = [...report.budgets].sort((a, b) => Math.abs(a.share - share) - Math.abs(b.share - share))[0];
    const heldOut = near === undefined || Math.abs(near.share - share) > 1e-9 ? null : { quality: near.chosen.quality, cost: near.chosen.cost, qualityLow: near.chosenLow, qualityHigh: near.chosenHigh };
    writeFileSync(resolve(terminal.cwd, options.out), encodePlan({ kind: 'tandem-cascade', version: 1, card: { date: new Date(systemClock.wallMs()).toISOString().slice(0, 10), data: { name: given.name, rows: rows.length }, method: plan.method, test: options.test, budget, heldOut }, arms, policy: { edges: plan.edges.slice(), first: plan.first.slice() } }));
    note(terminal, `Written: ${options.out} (${plan.method}).`);
  }
  if (options.scorer !== undefined) writeFileSync(resolve(terminal.cwd, options.scorer), `${JSON.stringify(scorerFor(rows, members[0] ?? '', seed, systemClock.wallMs()))}\n`);
  if (options.detector !== undefined) writeFileSync(resolve(terminal.cwd, options.detector), `${JSON.stringify(detectorFor(rows, seed, systemClock.wallMs()))}\n`);
  if (options.json === true) return printJson(terminal, report);
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  printTable(terminal, { head: ['member alone', 'quality', options.spend], rows: report.members.map(({ member, quality, cost }) => [member, percent(quality), cost.toPrecision(3)]) });
  print(terminal, '');
  printTable(terminal, {
    head: ['budget', 'mixture', 'two tiers', 'tiers', 'routing', 'chosen', 'spent', 'gain over mixture, 95 %'],
    rows: report.budgets.map(({ share, budget, mixture, twoTiers, tiers, policy, chosen, gain }) => [percent(share), percent(mixture), percent(twoTiers.quality), percent(tiers.quality), percent(policy.quality), percent(chosen.quality), percent(chosen.cost / (budget / share)), `${(100 * gain.value).toFixed(1)} (${(100 * gain.low).toFixed(1)} to ${(100 * gain.high).toFixed(1)})`]),
  });
  const { atBestQuality } = report;
  print(terminal, '', atBestQuality === null ? 'No budget that was tried reaches the best member\'s quality.' : `At the best member's quality: ${percent(atBestQuality.share)} of the dearest member's ${options.spend} is spent.`, 'Budgets and "spent" are shares of the dearest member\'s mean; "mixture" is the best random mixture of single members; "chosen" is the kind that folds of the learning rows picked.');
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

type Promised = ReturnType<typeof promisedTiersType>;

function planned(rows: readonly Row[], members: readonly string[], options: CascadeOptions, make: typeof promisedTiersType): Promised {
  const points = Number(options.promise);
  if (!(points >= 0 && points <= 100)) fail('usage', '--promise takes points of a hundred, such as 1.');
  return make(rows, members[0] ?? '', members.at(-1) ?? '', points / 100, systemClock.wallMs());
}

function writePromised(terminal: Terminal, options: CascadeOptions, { policy, promise }: Promised, members: readonly string[], given: { readonly name: string; readonly rows: readonly Row[] }, encode: (plan: CascadePlan) => string): void {
  const { threshold: _, ...kept } = promise;
  const arms = [members[0] ?? '', members.at(-1) ?? ''].map((member) => ({ member, samples: 1 }));
  writeFileSync(resolve(terminal.cwd, options.out ?? ''), encode({ kind: 'tandem-cascade', version: 1, card: { date: promise.madeAt.slice(0, 10), data: { name: given.name, rows: given.rows.length }, method: 'promise', test: options.test, budget: 0, heldOut: null, promise: kept }, arms, policy: { edges: policy.edges.slice(), first: policy.first.slice() } }));
  note(terminal, `Written: ${options.out}. At most ${(100 * promise.lossMax).toFixed(1)} points worse than always ${arms[1]?.member}, with ${(100 * promise.confidence).toFixed(0)} % confidence: ${(100 * promise.smallShare).toFixed(1)} % of the answers of ${arms[0]?.member} are accepted; stands until ${promise.expiresAt.slice(0, 10)}.`);
}

function shareOf(text: string, option: string): number {
  const value = Number(text);
  return value > 0 && value <= 10 ? value : fail('usage', `${option} takes shares above 0, such as 0.4.`);
}
