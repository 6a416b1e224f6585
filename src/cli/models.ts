/** `tandem models`: the members of the team, what they offer, and the model files at hand. */
import { listPulled, type Pulled } from '../models/pull/cache.ts';
import { unmetNeeds } from '../recipes/recipe.ts';
import { bundledNote, embedderCard, type EmbedderCard } from './bundled-card.ts';
import { examples, type DefineCommand } from './help.ts';
import { bytesText, countText, memberRows, type MemberRow } from './member-row.ts';
import { looking } from './open-runtime.ts';
import { configOption } from './request-options.ts';
import { note, print, printJson, printTable, wrap, type Terminal } from './terminal.ts';

interface ModelsOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  configOption(command)
    .option('-j, --json', 'print JSON')
    .addHelpText('after', modelsExamples)
    .action((options: ModelsOptions) => models(terminal, options));
};

const modelsExamples = [
  examples(['tandem models', 'the team of the configuration nearby'], ['tandem models --json', 'the same with everything known']),
  '',
  'Levels: L0 text, L1 log-probabilities, L2 scoring of given text, L3 whole next-token laws, Emb vectors (docs/levels.md).',
  'Pairs: members with the same vocabulary in the same engine, which token-level recipes such as speculate can join.',
].join('\n');

async function models(terminal: Terminal, options: ModelsOptions): Promise<void> {
  const files = await listPulled(terminal.env);
  await looking(terminal, options.config, async ({ runtime, loaded }) => {
    const rows = memberRows(runtime.team, runtime.config);
    const recipes = [...runtime.recipes.values()].filter((recipe) => unmetNeeds(recipe, runtime.team).length === 0).map((recipe) => recipe.id);
    const embedder = embedderCard();
    if (options.json === true) return printJson(terminal, { config: loaded.file ?? null, members: rows, recipes, embedder: embedder ?? null, files });
    printTable(terminal, { head: ['member', 'roles', 'engine', 'place', 'levels', 'pairs with', 'context', 'parameters', 'licence', 'source'], rows: rows.map(tableRow) });
    showCards(terminal, rows);
    if (embedder !== undefined) showEmbedder(terminal, embedder);
    if (files.length > 0) showFiles(terminal, files);
  });
}

function tableRow(row: MemberRow): string[] {
  const { id, roles, engine, place, levels, pairedWith, contextTokensMax, parameters, card, source } = row;
  return [id, roles.join(','), engine, place, levels.join(' '), pairedWith.join(',') || '-', contextTokensMax === undefined ? '-' : String(contextTokensMax), parameters ?? '-', card?.licence ?? '-', source ?? '-'];
}

function showCards(terminal: Terminal, rows: readonly MemberRow[]): void {
  const bundled = rows.filter((row) => row.card !== undefined);
  if (bundled.length === 0) return;
  note(terminal, '', terminal.errorColours.dim(bundledNote));
  for (const { id, card } of bundled) {
    if (card === undefined || card.tasks.length === 0) continue;
    const tasks = card.tasks.map(({ name, accuracy }) => `${name} ${Math.round(100 * accuracy)} %`).join(', ');
    for (const line of wrap(`${id}, right on held-out items: ${tasks}`, 110)) note(terminal, terminal.errorColours.dim(`  ${line}`));
  }
}

function showEmbedder(terminal: Terminal, { id, parameters, bytes, dimensions, licence, teacher, spearman, recall }: EmbedderCard): void {
  const [ranks, found] = [Object.values(spearman), recall['xquad-en']];
  const quality = `cosines rank held-out pairs as the teacher's do (Spearman ${Math.min(...ranks).toFixed(2)} to ${Math.max(...ranks).toFixed(2)})${found === undefined ? '' : `, the right one of 240 passages among the first five for ${Math.round(100 * (found['@5'] ?? 0))} % of XQuAD's questions`}`;
  note(terminal, '', terminal.errorColours.dim('Vectors without a model call, for /v1/embeddings (weights/embedder/README.md):'));
  for (const line of wrap(`tandem/embed, the table ${id}: ${countText(parameters)} numbers, ${bytesText(bytes)}, ${dimensions} dimensions, ${licence}, from ${teacher}; ${quality}`, 110)) note(terminal, terminal.errorColours.dim(`  ${line}`));
}

function showFiles(terminal: Terminal, files: readonly Pulled[]): void {
  print(terminal, '');
  printTable(terminal, { head: ['pulled file', 'size', 'from', 'path'], rows: files.map(({ name, bytes, source, path }) => [name, bytesText(bytes), source, path]) });
}
