/** `tandem bench cascade`: what cascades under a budget gain on recorded answers, and a cascade file for the recipe `cascade`. */
import type { Command } from 'commander';
import { examples } from './help.ts';
import type { Terminal } from './terminal.ts';

/** What the command was told. */
export interface CascadeOptions {
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
    .action(async (options: CascadeOptions) => (await import('./bench-cascade-run.ts')).runCascade(terminal, options));
}
