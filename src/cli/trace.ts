/** `tandem trace`: shows a past request as a tree, or lists the recent ones. Reads the store only; no model is opened. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadConfig, type LoadedConfig } from '../config-file.ts';
import { fail } from '../errors.ts';
import type { Store, TraceSummary } from '../store/store.ts';
import { systemClock } from '../system/clock.ts';
import type { TraceRecord } from '../trace/trace.ts';
import { dollars } from './answer-printer.ts';
import { examples, type DefineCommand } from './help.ts';
import { configOption, whole } from './request-options.ts';
import { note, printJson, printTable, type Terminal } from './terminal.ts';
import { printTrace } from './trace-view.ts';

interface TraceOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly limit: number;
  readonly recipe?: string;
  readonly outcome?: string;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  configOption(command.argument('[id]', 'trace id, its first or last 6 or more digits, or last; without it, recent traces are listed'))
    .option('-l, --limit <n>', 'how many to list', whole(1, 1000), 20)
    .option('-r, --recipe <id>', 'list only traces of this recipe')
    .option('--outcome <code>', 'list only traces that ended so: ok, or an error code')
    .option('-j, --json', 'print JSON')
    .addHelpText('after', examples(['tandem trace', 'the 20 latest'], ['tandem trace last', 'the tree of the latest'], ['tandem trace 4bf92f35', 'the one whose id begins so'], ['tandem trace --outcome upstream_timeout -l 100', 'what timed out']))
    .action((id: string | undefined, options: TraceOptions) => trace(terminal, id, options));
};

async function trace(terminal: Terminal, id: string | undefined, options: TraceOptions): Promise<void> {
  const loaded = await loadConfig(terminal.cwd, options.config);
  const store = await openStoreToRead(terminal, loaded);
  if (store === undefined) {
    if (id !== undefined) fail('trace_not_found', `There is no store at ${storePath(loaded)} yet.`);
    return options.json === true ? printJson(terminal, []) : note(terminal, `There are no traces yet in ${storePath(loaded)}.`);
  }
  try {
    if (id === undefined) await list(terminal, store, options);
    else {
      const record = await find(store, id);
      if (options.json === true) printJson(terminal, record);
      else await printTrace(terminal, record);
    }
  } finally {
    await store.close();
  }
}

function storePath({ baseDir, config }: LoadedConfig): string {
  return resolve(baseDir, config.store.path);
}

async function openStoreToRead(terminal: Terminal, loaded: LoadedConfig): Promise<Store | undefined> {
  const embedded = (terminal.env['DATABASE_URL'] ?? '') === '';
  if (embedded && !existsSync(storePath(loaded))) return undefined;
  const { openStore } = await import('../store/index.ts');
  return openStore(loaded.config.store, { baseDir: loaded.baseDir, clock: systemClock, env: terminal.env });
}

async function find(store: Store, id: string): Promise<TraceRecord> {
  const wanted = id.toLowerCase();
  if (wanted === 'last') {
    const latest = (await store.listTraces({ limit: 1 }))[0] ?? fail('trace_not_found', 'The store holds no trace.');
    return full(store, latest.id);
  }
  if (!/^[0-9a-f]{6,32}$/.test(wanted)) fail('usage', `A trace id is 6 to 32 hex digits, or last; this is ${id.length} characters.`);
  if (wanted.length === 32) return full(store, wanted);
  const matches = (await store.listTraces({ limit: 1000 })).filter((each) => each.id.startsWith(wanted) || each.id.endsWith(wanted));
  if (matches.length > 1) fail('usage', `${matches.length} of the latest 1000 traces begin or end with ${wanted}; give more digits, or the last ones.`);
  return full(store, matches[0]?.id ?? fail('trace_not_found', `None of the latest 1000 traces begins or ends with ${wanted}.`));
}

async function full(store: Store, id: string): Promise<TraceRecord> {
  return (await store.getTrace(id)) ?? fail('trace_not_found', `The store has no trace ${id}.`);
}

async function list(terminal: Terminal, store: Store, options: TraceOptions): Promise<void> {
  const traces = await store.listTraces({
    limit: options.limit,
    ...(options.recipe === undefined ? {} : { recipe: options.recipe.replace(/^tandem\//, '') }),
    ...(options.outcome === undefined ? {} : { outcome: options.outcome }),
  });
  if (options.json === true) return printJson(terminal, traces);
  if (traces.length === 0) return note(terminal, 'No trace fits.');
  printTable(terminal, { head: ['trace', 'time', 'recipe', 'outcome', 'seconds', 'tokens', 'cost', 'written by'], rows: traces.map((each) => listRow(terminal, each)) });
}

function listRow(terminal: Terminal, each: TraceSummary): string[] {
  const { green, red } = terminal.colours;
  const when = new Date(each.startedAtMs).toISOString().slice(0, 19).replace('T', ' ');
  const shares = Object.entries(each.shares).map(([member, tokens]) => `${member} ${tokens}`).join(', ');
  return [each.id, when, each.recipe || '-', (each.outcome === 'ok' ? green : red)(each.outcome), (each.durationMs / 1000).toFixed(2), `${each.usage.promptTokens}+${each.usage.completionTokens}`, dollars(each.usage.costUsd, each.usage.priceKnown), shares || '-'];
}
