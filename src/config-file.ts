/**
 * Finds and reads the configuration file: `tandem.config.ts`, `.mts`, `.js`, `.mjs` or `.json`, from a folder upwards.
 *
 * A file may `import { defineConfig } from 'tandem/config'` wherever it stands: names under `tandem` resolve to the copy
 * of Tandem that runs, installed beside the file or not. What the settings mean is not known here (`config.ts`).
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkConfig, type Config, type ConfigInput, type ConfigMistake } from './config.ts';
import { TandemError, fail } from './errors.ts';

/** File names that are looked for, in this order, in each folder. */
export const configFileNames = ['tandem.config.ts', 'tandem.config.mts', 'tandem.config.js', 'tandem.config.mjs', 'tandem.config.json'] as const;

/** A configuration and where it came from. */
export interface FoundConfig {
  /** Absolute path of the file; absent when there is none and the bundled pair runs. */
  readonly file: string | undefined;
  /** Folder that relative paths of the configuration start from. */
  readonly baseDir: string;
  /** What the file holds, not yet checked. */
  readonly input: unknown;
}

/** A configuration without mistakes. */
export interface LoadedConfig extends FoundConfig {
  readonly input: ConfigInput;
  readonly config: Config;
}

/**
 * The nearest configuration file.
 * @param folder where to begin; then its parents up to the root of the file system
 */
export function findConfigFile(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    for (const name of configFileNames) {
      if (existsSync(join(at, name))) return join(at, name);
    }
    if (dirname(at) === at) return undefined;
  }
}

/**
 * Reads the file that is named, else the nearest one, else gives an empty configuration, which means the bundled pair.
 * @param folder where relative names and the search begin
 * @param named path given by the user
 * @throws {TandemError} config_missing, config_invalid (the file cannot be read, compiled or run)
 */
export async function readConfig(folder: string, named?: string): Promise<FoundConfig> {
  const file = named === undefined ? findConfigFile(folder) : resolve(folder, named);
  if (file === undefined) return { file, baseDir: resolve(folder), input: {} };
  if (!existsSync(file)) fail('config_missing', `There is no configuration file at ${file}.`);
  if (statSync(file).isDirectory()) fail('config_missing', `${file} is a folder, not a configuration file.`);
  return { file, baseDir: dirname(file), input: file.endsWith('.json') ? readJson(file) : await importDefault(file) };
}

/**
 * Reads a configuration and checks it.
 * @throws {TandemError} config_missing, config_invalid with every mistake on a line of its own
 */
export async function loadConfig(folder: string, named?: string): Promise<LoadedConfig> {
  const found = await readConfig(folder, named);
  const { config, mistakes } = checkConfig(found.input);
  if (config === undefined) {
    const lines = mistakes.map((mistake) => `  ${mistakeText(mistake)}`);
    fail('config_invalid', {
      message: `${found.file ?? 'The configuration'} has ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}:\n${lines.join('\n')}`,
      ...(mistakes[0] === undefined ? {} : { param: mistakes[0].path }),
    });
  }
  return { ...found, input: found.input as ConfigInput, config };
}

/** A mistake in one line: path, what was expected, what came. */
export function mistakeText(mistake: ConfigMistake): string {
  return `${mistake.path || '(top)'}: expected ${mistake.expected}, got ${mistake.got}`;
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new TandemError('config_invalid', { message: `${file} is not JSON: ${firstLine(error)}`, cause: error });
  }
}

async function importDefault(file: string): Promise<unknown> {
  resolveOwnName();
  typed.add(pathToFileURL(file).href);
  let value: unknown;
  try {
    const module = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
    value = await module['default'];
  } catch (error) {
    if (TandemError.is(error)) throw error;
    throw new TandemError('config_invalid', { message: `${placeOf(error) ?? file} could not be run: ${firstLine(error)}`, cause: error });
  }
  if (value === undefined) {
    fail('config_invalid', `${file} has no default export. It must hold: export default defineConfig({ ... }).`);
  }
  return value;
}

/** Where a text could not be compiled, as `<file>:<line>`: Node begins the stack of such an error with it. */
function placeOf(error: unknown): string | undefined {
  const [first = ''] = (error instanceof Error ? error.stack ?? '' : '').split('\n', 1);
  return /^(?:\/|[A-Za-z]:\\|file:).*:\d+$/.test(first) ? first.replace(/^file:.*(?=:\d+$)/, (url) => fileURLToPath(url)) : undefined;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

let resolving = false;
/** Configurations in TypeScript, and what they import beside packages: always modules, whatever `type` the package.json beside them has. */
const typed = new Set<string>();

/** From now on `tandem` and `tandem/…` mean this copy, in its compiled or its source form, whichever is running. */
export function resolveOwnName(): void {
  if (resolving) return;
  resolving = true;
  const own = import.meta.url;
  const root = new URL('../package.json', own);
  const manifest = JSON.parse(readFileSync(fileURLToPath(root), 'utf8')) as { name: string; exports: Record<string, Record<string, string>> };
  const condition = own.endsWith('.ts') ? 'tandem-source' : 'default';
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier !== manifest.name && !specifier.startsWith(`${manifest.name}/`)) {
        const found = next(specifier, context);
        if (context.parentURL !== undefined && typed.has(context.parentURL) && found.url.endsWith('.ts') && !found.url.includes('/node_modules/')) typed.add(found.url);
        return found;
      }
      const target = manifest.exports[`.${specifier.slice(manifest.name.length)}`]?.[condition];
      if (target === undefined) return next(specifier, context);
      return { url: new URL(target, root).href, shortCircuit: true };
    },
    load: (url, context, next) => (url.endsWith('.ts') && typed.has(url) ? next(url, { ...context, format: 'module-typescript' }) : next(url, context)),
  });
}
