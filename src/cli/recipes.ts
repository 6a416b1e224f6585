/** `tandem recipes`: the ways of collaborating, what they need, and whether this team can run them. */
import { fail, TandemError } from '../errors.ts';
import { unmetNeeds, type Need, type Recipe } from '../recipes/recipe.ts';
import type { Team } from '../models/team.ts';
import { examples, type DefineCommand } from './help.ts';
import { knobRows, type KnobRow } from './knob-rows.ts';
import { looking } from './open-runtime.ts';
import { needText } from './need-text.ts';
import { configOption } from './request-options.ts';
import { note, print, printJson, printTable, wrap, type Terminal } from './terminal.ts';

interface RecipesOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly coverage?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  configOption(command.argument('[name]', 'show one recipe with its knobs'))
    .option('--coverage', 'print which rows of the list of published systems a test covers, by the tests that name them (in the repository)')
    .option('-j, --json', 'print JSON')
    .addHelpText('after', examples(['tandem recipes', 'all of them'], ['tandem recipes cascade', 'one, with its knobs and papers'], ['tandem recipes --coverage', 'covered rows of the list of systems']))
    .action((name: string | undefined, options: RecipesOptions) => (options.coverage === true ? showCoverage(terminal, options.json === true) : recipes(terminal, name, options)));
};

/** A recipe as it is shown. */
interface RecipeRow {
  readonly id: string;
  readonly summary: string;
  readonly sources: Recipe['sources'];
  readonly rows: readonly number[];
  readonly primitives: readonly string[];
  readonly needs: readonly Need[];
  readonly carries: Recipe['carries'];
  /** Whether the team can run it; `null` when the team could not be opened. */
  readonly runs: boolean | null;
  /** Why it cannot. */
  readonly unmet: readonly string[];
  readonly knobs: readonly KnobRow[];
}

async function recipes(terminal: Terminal, name: string | undefined, options: RecipesOptions): Promise<void> {
  const { rows, problem } = await gather(terminal, options.config);
  if (name === undefined) {
    if (options.json === true) return printJson(terminal, rows);
    const longest = Math.max(...rows.map((row) => row.id.length));
    for (const row of rows) print(terminal, ...listed(terminal, row, longest));
  } else {
    const row = rows.find((each) => each.id === name.replace(/^tandem\//, '')) ?? fail('model_not_found', `There is no recipe "${name}". There are: ${rows.map((each) => each.id).join(', ')}.`);
    if (options.json === true) return printJson(terminal, row);
    showOne(terminal, row);
  }
  if (problem !== undefined) note(terminal, terminal.errorColours.yellow(`Whether the team can run them is not known, since it could not be opened: ${problem.message} (${problem.code})`));
}

async function gather(terminal: Terminal, config: string | undefined): Promise<{ readonly rows: readonly RecipeRow[]; readonly problem?: TandemError }> {
  try {
    return { rows: await looking(terminal, config, ({ runtime }) => [...runtime.recipes.values()].map((recipe) => rowOf(recipe, runtime.team))) };
  } catch (thrown) {
    const problem = TandemError.from(thrown);
    if (problem.code === 'config_missing') throw problem;
    const { registry } = await import('../recipes/index.ts');
    return { rows: [...registry.values()].map((recipe) => rowOf(recipe, undefined)), problem };
  }
}

function rowOf(recipe: Recipe, team: Team | undefined): RecipeRow {
  const unmet = team === undefined ? [] : unmetNeeds(recipe, team).map(({ reason }) => reason);
  const { id, summary, sources, rows, primitives, needs, carries } = recipe;
  return { id, summary, sources, rows, primitives, needs, carries, runs: team === undefined ? null : unmet.length === 0, unmet, knobs: knobRows(recipe.knobs) };
}

/** A recipe in a few lines: whether it runs, what it does; why not; needs, rows and papers. */
function listed(terminal: Terminal, row: RecipeRow, longest: number): string[] {
  const { bold, green, red, dim } = terminal.colours;
  const runs = row.runs === null ? dim('?  ') : row.runs ? green('yes') : red('no ');
  const indent = ' '.repeat(longest + 7);
  const room = Math.max(40, Math.min(120, terminal.output.columns ?? 110) - indent.length);
  const facts = [
    `needs ${row.needs.map(needText).join(' ') || 'any member'}`,
    ...(row.rows.length === 0 ? [] : [`rows ${row.rows.join(', ')}`]),
    ...row.sources.map(({ title, ref }) => `${title} (${ref})`),
  ].join(' · ');
  const [first = '', ...more] = wrap(row.summary, room);
  return [
    `${bold(row.id.padEnd(longest))}  ${runs}  ${first}`,
    ...more.map((line) => indent + line),
    ...row.unmet.flatMap((reason) => wrap(reason, room)).map((line) => indent + red(line)),
    ...wrap(facts, room).map((line) => indent + dim(line)),
  ];
}

function showOne(terminal: Terminal, row: RecipeRow): void {
  const { bold, dim, green, red } = terminal.colours;
  const carried = Object.entries(row.carries).flatMap(([what, can]) => (can === true ? [what] : []));
  print(
    terminal,
    `${bold(`tandem/${row.id}`)}  ${row.runs === null ? '' : row.runs ? green('this team can run it') : red('this team cannot run it')}`,
    ...wrap(row.summary, 100),
    ...row.unmet.map((reason) => red(`  ${reason}`)),
    '',
    `needs       ${row.needs.map(needText).join(' ') || 'nothing in particular'}`,
    `carries     ${carried.join(', ') || 'text only'}`,
    `primitives  ${row.primitives.join(' ') || '-'}`,
    `rows        ${row.rows.join(', ') || '-'}`,
    ...row.sources.map((source, index) => `${(index === 0 ? 'from' : '').padEnd(12)}${source.title} ${dim(`(${source.ref})`)}`),
    '',
    row.knobs.length === 0 ? 'It has no knobs.' : bold('knobs'),
  );
  if (row.knobs.length > 0) printTable(terminal, { head: ['name', 'type', 'default', 'what'], rows: row.knobs.map((knob) => [knob.name, knob.type, knob.default, knob.about]) });
}

async function showCoverage(terminal: Terminal, json: boolean): Promise<void> {
  const [{ registry }, { coverage }] = await Promise.all([import('../recipes/index.ts'), import('../recipes/coverage.ts')]);
  const systems = coverage(registry);
  const shown = systems.filter(({ recipes: ids, tests }) => ids.length > 0 || tests.length > 0);
  const tested = shown.filter(({ tests }) => tests.length > 0);
  if (json) return printJson(terminal, { total: systems.length, testsKnown: tested.length > 0, rows: shown });
  const { dim, red } = terminal.colours;
  for (const { row, name, mechanism, recipes: ids, tests } of shown) {
    print(terminal, `${String(row).padStart(3)}  ${name} ${dim(`(${mechanism})`)}`, `     ${ids.join(', ') || red('no recipe claims it')}`);
    if (tested.length > 0) print(terminal, ...(tests.length === 0 ? [`     ${red('no test names it')}`] : tests.map((title) => dim(`     ${title}`))));
  }
  if (tested.length > 0) note(terminal, `${tested.length} of ${systems.length} rows are covered by a test that names the row.`);
  else note(terminal, `${shown.length} of ${systems.length} rows are claimed by a recipe. The tests that name them stand in the repository, not in the package.`);
}
