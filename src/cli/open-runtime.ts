/** Opens the runtime that a command works with, from the configuration that the user named or that stands nearby. */
import { loadConfig, resolveOwnName, type LoadedConfig } from '../config-file.ts';
import type { ConfigInput } from '../config.ts';
import type { Overrides, Runtime } from '../tandem.ts';
import type { Store } from '../store/store.ts';
import { systemClock } from '../system/clock.ts';
import type { Terminal } from './terminal.ts';

/** A runtime and where its configuration came from. */
export interface Opened {
  readonly runtime: Runtime;
  readonly loaded: LoadedConfig;
}

/**
 * Reads the configuration and builds the runtime.
 * @param change what the command line changes in the configuration
 * @param overrides what replaces parts of the runtime
 * @throws {TandemError} config_missing, config_invalid, and what `createTandem` throws
 */
export async function openRuntime(terminal: Terminal, file: string | undefined, change: (input: ConfigInput) => ConfigInput = (input) => input, overrides: Overrides = {}): Promise<Opened> {
  const loaded = await loadConfig(terminal.cwd, file);
  resolveOwnName();
  const { createTandem } = await import('../tandem.ts');
  const runtime = await createTandem(change(loaded.input), { baseDir: loaded.baseDir, env: terminal.env, ...overrides });
  return { runtime, loaded };
}

/** Runs work with a runtime, and closes it whatever happens. */
export async function withRuntime<T>(terminal: Terminal, file: string | undefined, work: (opened: Opened) => T | Promise<T>, overrides?: Overrides): Promise<T> {
  const opened = await openRuntime(terminal, file, undefined, overrides);
  try {
    return await work(opened);
  } finally {
    await opened.runtime.close();
  }
}

/** As `withRuntime`, for commands that only look: nothing is written. */
export async function looking<T>(terminal: Terminal, file: string | undefined, work: (opened: Opened) => T | Promise<T>): Promise<T> {
  const store = await memoryStore();
  try {
    return await withRuntime(terminal, file, work, { store });
  } finally {
    await store.close();
  }
}

/** A store that keeps nothing, whatever the configuration and the environment say. */
export async function memoryStore(): Promise<Store> {
  const { openStore } = await import('../store/index.ts');
  return openStore({ path: ':memory:', flushMs: 50, traceDaysMax: 1 }, { baseDir: '/', clock: systemClock, env: {} });
}

/** A signal that Ctrl-C (SIGINT) or SIGTERM aborts, until `release` is called. */
export function interruptSignal(): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once('SIGINT', abort).once('SIGTERM', abort);
  return { signal: controller.signal, release: () => void process.off('SIGINT', abort).off('SIGTERM', abort) };
}
