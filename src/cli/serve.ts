/** `tandem serve`: starts the gateway, says where it listens and what it has, and stops it without cutting answers off. */
import { availableParallelism } from 'node:os';
import { Option } from 'commander';
import type { LoadedConfig } from '../config-file.ts';
import type { Config } from '../config.ts';
import { fail, TandemError } from '../errors.ts';
import type { GatewayOptions } from '../gateway/index.ts';
import { unmetNeeds } from '../recipes/recipe.ts';
import { giveBackWhenQuiet } from '../system/give-back.ts';
import { holdYoungGeneration, tidy, tidyThreads } from '../system/memory.ts';
import type { Runtime } from '../tandem.ts';
import { memberRows, type MemberRow } from './member-row.ts';
import { failureLine } from './serve/failure-line.ts';
import type { Changes, Serving, Shared } from './serve/serving.ts';
import { examples, packageVersion, type DefineCommand } from './help.ts';
import { configOption, whole } from './request-options.ts';
import { note, print, printJson, type Terminal } from './terminal.ts';

interface ServeOptions {
  readonly config?: string;
  readonly port?: number;
  readonly host?: string;
  readonly recipe?: string;
  readonly json?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  configOption(command)
    .option('-p, --port <n>', 'port to listen on; 0 picks a free one (default: gateway.port, 8484)', whole(0, 65_535))
    .option('--host <address>', 'address to listen on (default: gateway.host, 127.0.0.1)')
    .addOption(new Option('-r, --recipe <id>', 'recipe for requests that name no model (default: defaultModel, tandem/auto)'))
    .option('-j, --json', 'print one JSON object when ready: url, members, recipes, threads')
    .addHelpText('after', serveExamples)
    .action((options: ServeOptions) => serve(terminal, options));
};

const serveExamples = examples(
  ['tandem serve', 'the configuration found nearby, else the bundled pair'],
  ['tandem serve --port 0 --json', 'a free port, told in JSON'],
  ['tandem serve -c prod/tandem.config.ts --host 0.0.0.0', 'for other machines; needs gateway.keys'],
);

async function serve(terminal: Terminal, options: ServeOptions): Promise<void> {
  const startedMs = performance.now();
  const serving = await startServing(terminal, options);
  const stop = stopSignal();
  try {
    await announce(terminal, serving.runtime, { url: serving.url, file: serving.file, threads: serving.threads, json: options.json === true, startMs: performance.now() - startedMs });
    holdYoungGeneration();
    if (hasModels(serving.runtime.config)) tidy(serving.busy);
    giveBackWhenQuiet();
    const broken = await Promise.race([stop.first, serving.broken]);
    if (broken !== undefined) throw broken;
    if (options.json !== true) note(terminal, terminal.errorColours.dim('Stopping: running answers are finished first. Ctrl-C again stops at once.'));
  } finally {
    await Promise.race([serving.close(), stop.second]);
    await serving.runtime.close(); // also when running answers were not waited for: what is queued is written
  }
}

interface Started {
  readonly runtime: Runtime;
  readonly url: string;
  readonly file: string | undefined;
  readonly threads: number;
  /** Whether a request is being answered. */
  readonly busy: () => boolean;
  /** Settles only when a thread has ended that was not told to. */
  readonly broken: Promise<TandemError>;
  close(): Promise<void>;
}

/** Opens the gateway, with further threads where the configuration asks for them, and starts listening. */
async function startServing(terminal: Terminal, options: ServeOptions): Promise<Started> {
  const { loadServed, openServing, servingThreads } = await import('./serve/serving.ts');
  const loaded = await loadServed(terminal.cwd, options.config, options);
  if (hasModels(loaded.config)) tidyThreads();
  const threads = servingThreads(loaded.config, availableParallelism(), terminal.env);
  if (typeof threads !== 'number') return fail('config_invalid', { message: `gateway.threads: ${threads.refused}.`, param: 'gateway.threads' });
  const log = (line: string): void => note(terminal, line);
  const onFailure = (runtime: Runtime): GatewayOptions['onFailure'] => (error, about) => log(failureLine(runtime, error, about));
  if (threads === 1) {
    const serving = await openServing(loaded, terminal.env, onFailure);
    const { url } = await listening(serving);
    return { ...serving, url, file: loaded.file, threads, busy: () => serving.gateway.busy, broken: new Promise(() => undefined) };
  }
  return startSharing(terminal, options, loaded, threads, onFailure, log);
}

/** Whether models run in this process. */
function hasModels({ members }: Config): boolean {
  return Object.values(members).some(({ engine }) => engine === 'llama');
}

async function startSharing(terminal: Terminal, { port, host, recipe }: ServeOptions, loaded: LoadedConfig, threads: number, onFailure: (runtime: Runtime) => GatewayOptions['onFailure'], log: (line: string) => void): Promise<Started> {
  const [{ openServing }, { checkFree, startThreads }, { accountBytes }] = await Promise.all([import('./serve/serving.ts'), import('./serve/threads.ts'), import('../policy/account-memory.ts')]);
  const { config } = loaded;
  if (config.gateway.port !== 0) await checkFree(config.gateway.host, config.gateway.port);
  const shared: Shared = {
    name: `tandem-gateway-${process.pid}-${performance.timeOrigin}`,
    threads,
    accounts: new SharedArrayBuffer(accountBytes(config.gateway.keys)),
    inFlight: new SharedArrayBuffer(4),
    clockFromMs: performance.timeOrigin,
  };
  const first = await openServing(loaded, terminal.env, onFailure, shared);
  const { url, port: listensOn } = await listening(first);
  const changes: Changes = { port: listensOn, ...(host === undefined ? {} : { host }), ...(recipe === undefined ? {} : { recipe }) };
  try {
    const starts = Array.from({ length: threads - 1 }, (_, at) => ({ folder: terminal.cwd, file: loaded.file, changes, shared, number: at + 1 }));
    const others = await startThreads(starts, log);
    return { runtime: first.runtime, url, file: loaded.file, threads, busy: () => first.gateway.busy, broken: others.broken, close: async () => void (await Promise.all([first.close(), others.close()])) };
  } catch (error) {
    await first.close();
    throw error;
  }
}

async function listening(serving: Serving): Promise<{ readonly url: string; readonly port: number }> {
  try {
    return await serving.gateway.listen();
  } catch (error) {
    await serving.close();
    throw error;
  }
}

interface Ready {
  readonly url: string;
  readonly file: string | undefined;
  readonly threads: number;
  readonly json: boolean;
  readonly startMs: number;
}

async function announce(terminal: Terminal, runtime: Runtime, ready: Ready): Promise<void> {
  const base = `${ready.url.replace(/\/$/, '')}/v1`;
  const members = memberRows(runtime.team, runtime.config);
  const able = [...runtime.recipes.values()].filter((recipe) => unmetNeeds(recipe, runtime.team).length === 0).map((recipe) => recipe.id);
  const unable = [...runtime.recipes.keys()].filter((id) => !able.includes(id));
  if (ready.json) return printJson(terminal, { url: base, members, recipes: able, unavailable: unable, threads: ready.threads, startMs: Math.round(ready.startMs) });
  const { bold, dim, cyan } = terminal.colours;
  const keyed = runtime.config.gateway.keys.length > 0;
  print(
    terminal,
    `${bold('Tandem')} ${packageVersion()} listens on ${cyan(base)} ${dim(`(${(ready.startMs / 1000).toFixed(1)} s${ready.threads === 1 ? '' : `, ${ready.threads} threads`})`)}`,
    '',
    ...members.map((row, index) => `${(index === 0 ? 'models' : '').padEnd(9)}${memberLine(row)}`),
    `recipes  ${able.join(', ')}${unable.length === 0 ? '' : dim(`  (not with this team: ${unable.join(', ')}; see \`tandem recipes\`)`)}`,
    `config   ${ready.file ?? 'none: the bundled pair, small and narrow. `tandem init` brings your own models.'}`,
    '',
    'try',
    `  curl ${base}/chat/completions -H 'content-type: application/json'${keyed ? ' -H "authorization: Bearer $KEY"' : ''} \\`,
    `    -d '{"model": "${runtime.config.defaultModel}", "messages": [{"role": "user", "content": "Compute, left to right: 12 + 30 - 5"}]}'`,
    '',
    dim('Ctrl-C stops.'),
  );
}

function memberLine(row: MemberRow): string {
  return [row.id.padEnd(8), row.place.padEnd(6), row.engine.padEnd(8), (row.parameters ?? '-').padEnd(7), row.levels.join(' ')].join('  ');
}

/**
 * The first and the second request to stop. A signal that comes within 500 ms of the first is the same one: npm passes
 * Ctrl-C on to a child that the terminal has signalled already.
 */
function stopSignal(): { readonly first: Promise<void>; readonly second: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let firstMs: number | undefined;
  const take = (): void => {
    if (firstMs === undefined) {
      firstMs = performance.now();
      first.resolve();
    } else if (performance.now() - firstMs > 500) second.resolve();
  };
  process.on('SIGINT', take).on('SIGTERM', take);
  return { first: first.promise, second: second.promise };
}
