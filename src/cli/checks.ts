/** The checks of `tandem doctor`, one function each. None of them changes anything. */
import { constants, createReadStream, existsSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { access, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Config, ConfigMistake } from '../config.ts';
import { catalogue, fail, TandemError } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { bundledCard, bundledIds, bundledNote } from './bundled-card.ts';

/** What a check found. */
export interface Finding {
  /** What was checked. */
  readonly check: string;
  /** `note`: works, but the reader may want to know. */
  readonly state: 'ok' | 'note' | 'wrong';
  readonly message: string;
  /** Code of the error catalogue. */
  readonly code?: string;
  readonly remedy?: string;
  readonly mistake?: ConfigMistake;
}

/** Whether Node is new enough. */
export function nodeCheck(version: string = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > 22 || (major === 22 && minor >= 18);
  return enough
    ? { check: 'node', state: 'ok', message: `${version} on ${process.platform}-${process.arch}` }
    : { check: 'node', state: 'wrong', message: `${version}; 22.18 or newer is needed`, remedy: 'Install a newer Node, or run with npx -p node@24.' };
}

/**
 * Whether the native library of the in-process engine can be loaded. It is tried in a process of its own, so that a crash
 * is a finding and the engine can load it afresh.
 */
export async function nativeCheck(): Promise<Finding> {
  const bindings = new URL(`../models/llama/bindings${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href;
  const script = `const { loadNative } = await import(${JSON.stringify(bindings)});
    try { console.log(JSON.stringify({ name: (await loadNative(false)).files.packageName })); } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message, remedy: error.remedy })); }`;
  const { stdout, status } = await new Promise<{ stdout: string; status: string }>((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 }, (error, out) => resolve({ stdout: out, status: error === null ? '' : (error.signal ?? String(error.code)) }));
  });
  const code = 'engine_unavailable';
  const { remedy } = catalogue[code];
  if (status !== '') return { check: 'llama.cpp', state: 'wrong', message: `Loading the native library ended the process (${status}).`, code, remedy: remedy };
  const loaded = JSON.parse(stdout) as { readonly name?: string; readonly code?: string; readonly message?: string; readonly remedy?: string };
  if (loaded.name !== undefined) return { check: 'llama.cpp', state: 'ok', message: loaded.name };
  return { check: 'llama.cpp', state: 'wrong', message: loaded.message ?? 'It cannot be loaded.', code: loaded.code ?? code, remedy: loaded.remedy ?? remedy };
}

/** Whether the bundled models are there and are what their manifest says. */
export async function bundledCheck(): Promise<readonly Finding[]> {
  const ids = bundledIds();
  if (ids.length < 3) return [{ check: 'weights', state: 'wrong', message: 'The bundled models are not there.', code: 'model_file_missing', remedy: 'Install the package again; in the repository, check out weights/.' }];
  const findings = await Promise.all(
    ids.map(async (id): Promise<Finding | undefined> => {
      const card = bundledCard(id);
      if (card?.sha256 === undefined || (await sha256(card.file)) === card.sha256) return undefined;
      return { check: 'weights', state: 'wrong', message: `weights/${id}/model.gguf does not have the SHA-256 of the manifest.`, code: 'model_file_invalid', remedy: 'Install the package again.' };
    }),
  );
  const wrong = findings.filter((finding) => finding !== undefined);
  return wrong.length > 0 ? wrong : [{ check: 'weights', state: 'ok', message: `${ids.join(', ')}. ${bundledNote}` }];
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Whether the environment variables that the configuration names are set. A name is shown only where it is one: people put keys in its place. */
export function environmentCheck(config: Config, env: Readonly<Record<string, string | undefined>>): readonly Finding[] {
  const named = [
    ...Object.entries(config.members).flatMap(([id, settings]) => (settings.engine === 'openai' && settings.apiKeyEnv !== undefined ? [{ path: `members.${id}.apiKeyEnv`, name: settings.apiKeyEnv }] : [])),
    ...config.gateway.keys.flatMap((key, index) => (key.keyEnv === undefined ? [] : [{ path: `gateway.keys[${index}].keyEnv`, name: key.keyEnv }])),
  ];
  return named.map(({ path, name }): Finding =>
    (env[name] ?? '') === ''
      ? { check: 'environment', state: 'wrong', message: `The variable that ${path} names is not set.`, code: 'config_invalid', remedy: 'Put the key into the environment, and the name of its variable here.' }
      : { check: 'environment', state: 'ok', message: `${name} is set (${path})` },
  );
}

/** Whether the store can be opened, or made. */
export async function storeCheck(config: Config, baseDir: string, env: Readonly<Record<string, string | undefined>>): Promise<Finding> {
  const postgres = (env['DATABASE_URL'] ?? '') !== '';
  const path = config.store.path === ':memory:' ? ':memory:' : resolve(baseDir, config.store.path);
  try {
    if (!postgres && path !== ':memory:') {
      const near = nearestExisting(path);
      await access(near, constants.R_OK | constants.W_OK);
      if (near !== path && !(await stat(near)).isDirectory()) fail('store_failed', `${near} is a file, and ${path} would be below it.`);
      if (!existsSync(path)) return { check: 'store', state: 'ok', message: `${path} (made with the first trace)` };
    }
    const { openStore } = await import('../store/index.ts');
    const store = await openStore(config.store, { baseDir, clock: systemClock, env });
    const count = (await store.listTraces({ limit: 1000 })).length;
    await store.close();
    return { check: 'store', state: 'ok', message: `${postgres ? 'Postgres (DATABASE_URL)' : path}, ${count === 1000 ? '1000 or more' : count} traces` };
  } catch (thrown) {
    const message = TandemError.is(thrown) ? thrown.message : `${path} cannot be written.`;
    return { check: 'store', state: 'wrong', message, code: 'store_failed', remedy: 'Check the path and the free disk space of store.path.' };
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

/** Whether the gateway could listen. */
export async function portCheck(config: Config): Promise<Finding> {
  const { host, port } = config.gateway;
  const server = createServer();
  try {
    await new Promise<void>((done, failed) => server.once('error', failed).listen({ host, port, exclusive: true }, done));
    return { check: 'port', state: 'ok', message: `${host}:${port} is free` };
  } catch (error) {
    const code = (error as { readonly code?: string }).code ?? 'unknown';
    return code === 'EADDRINUSE'
      ? { check: 'port', state: 'wrong', message: `Another process listens on ${host}:${port}.`, code: 'address_in_use', remedy: 'Stop it, or choose another port with gateway.port or --port.' }
      : { check: 'port', state: 'wrong', message: `Nothing can listen on ${host}:${port} (${code}).`, code: 'config_invalid', remedy: 'Check gateway.host and gateway.port.' };
  } finally {
    server.close();
  }
}
