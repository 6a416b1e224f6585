/**
 * A gateway with what it stands on, as `tandem serve` runs it: alone, or as one of several threads that listen on one port.
 * Threads share the limits of the keys and of requests in flight through memory; each has its own members, store and
 * counts, and asks the others for theirs where somebody looks.
 */
import { loadConfig, resolveOwnName, type LoadedConfig } from '../../config-file.ts';
import { parseConfig, type Config, type ConfigInput } from '../../config.ts';
import type { Gateway, GatewayCounts, GatewayOptions, Peers } from '../../gateway/index.ts';
import { openStore } from '../../store/index.ts';
import type { Store } from '../../store/store.ts';
import { Circle } from '../../system/circle.ts';
import { systemClock, type Clock } from '../../system/clock.ts';
import { createTandem, type Runtime } from '../../tandem.ts';

/** What the command line changes in the configuration. Plain data, so that it crosses threads. */
export interface Changes {
  readonly port?: number;
  readonly host?: string;
  readonly recipe?: string;
}

/** What all threads of a gateway share. Plain data. */
export interface Shared {
  /** Name of the circle in which they ask each other. */
  readonly name: string;
  readonly threads: number;
  readonly accounts: SharedArrayBuffer;
  /** One 32-bit number. */
  readonly inFlight: SharedArrayBuffer;
  /** Milliseconds since 1970 at which the shared clock began. */
  readonly clockFromMs: number;
}

/** A gateway that can be started and stopped. */
export interface Serving {
  readonly runtime: Runtime;
  readonly gateway: Gateway;
  /** Finishes running answers, then closes everything. */
  close(): Promise<void>;
}

/** Reads the configuration that a folder or a file gives, with what the command line changes. @throws {TandemError} config_missing, config_invalid */
export async function loadServed(folder: string, file: string | undefined, changes: Changes): Promise<LoadedConfig> {
  const loaded = await loadConfig(folder, file);
  resolveOwnName();
  const input = changed(loaded.input, changes);
  return { ...loaded, input, config: parseConfig(input) };
}

function changed(input: ConfigInput, { port, host, recipe }: Changes): ConfigInput {
  return {
    ...input,
    ...(recipe === undefined ? {} : { defaultModel: `tandem/${recipe.replace(/^tandem\//, '')}` }),
    gateway: { ...input.gateway, ...(port === undefined ? {} : { port }), ...(host === undefined ? {} : { host }) },
  };
}

/** Opens a gateway; it does not listen yet. @param shared with other threads @param number of this thread, from 0 @throws {TandemError} what `createTandem` throws */
export async function openServing(loaded: LoadedConfig, env: Readonly<Record<string, string | undefined>>, onFailure: (runtime: Runtime) => GatewayOptions['onFailure'], shared?: Shared, number = 0): Promise<Serving> {
  const { createGateway } = await import('../../gateway/index.ts');
  const { input, baseDir, config } = loaded;
  if (shared === undefined) {
    const runtime = await createTandem(input, { baseDir, env });
    const gateway = createGateway(runtime, runtime.config.gateway, handlers(onFailure(runtime)));
    return { runtime, gateway, close: () => closed(gateway, runtime) };
  }
  const clock = sharedClock(shared.clockFromMs);
  const own = await openStore(config.store, { baseDir, clock, env });
  let gateway: Gateway | undefined;
  const circle = new Circle(shared.name, number, shared.threads, { flush: () => own.flush(), counts: () => gateway?.counts() });
  const store = withOthers(own, () => circle.ask('flush'));
  const runtime = await createTandem(input, { baseDir, env, clock, store, accounts: shared.accounts }).catch(async (error: unknown) => {
    circle.close();
    await own.close();
    throw error;
  });
  const peers: Peers = { inFlight: new Int32Array(shared.inFlight), counts: async () => (await circle.ask('counts')) as readonly GatewayCounts[] };
  const opened = (gateway = createGateway(runtime, runtime.config.gateway, { ...handlers(onFailure(runtime)), peers }));
  return {
    runtime,
    gateway: opened,
    close: async () => {
      await opened.close();
      circle.close();
      await runtime.close();
    },
  };
}

function handlers(onFailure: GatewayOptions['onFailure']): GatewayOptions {
  return onFailure === undefined ? {} : { onFailure };
}

async function closed(gateway: Gateway, runtime: Runtime): Promise<void> {
  await gateway.close();
  await runtime.close();
}

/** A store that, before it says that all is written, lets the other threads write theirs too. */
function withOthers(own: Store, others: () => Promise<unknown>): Store {
  return Object.create(own, { flush: { value: async () => void (await Promise.all([own.flush(), others()])) } }) as Store;
}

/** A clock that shows the same to every thread: `performance.now()` alone begins with the thread. */
function sharedClock(fromMs: number): Clock {
  const aheadMs = performance.timeOrigin - fromMs;
  return { ...systemClock, monotonicMs: () => performance.now() + aheadMs };
}

/** The most threads that are chosen unasked. */
const threadsMax = 4;

/**
 * How many threads serve a configuration.
 * @param cores of the machine @returns a number, or why a number that was asked for cannot be had
 */
export function servingThreads(config: Config, cores: number, env: Readonly<Record<string, string | undefined>>, platform = process.platform): number | { readonly refused: string } {
  const { threads } = config.gateway;
  const against = reasonAgainst(config, env, platform);
  if (threads === 'auto') return against === undefined ? Math.max(1, Math.min(cores, threadsMax)) : 1;
  return threads > 1 && against !== undefined ? { refused: `expected 1, got ${threads}: ${against}` } : threads;
}

function reasonAgainst({ members, store }: Config, env: Readonly<Record<string, string | undefined>>, platform: string): string | undefined {
  const local = Object.keys(members).find((id) => members[id]?.engine === 'llama');
  if (local !== undefined) return `the member "${local}" runs in this process, and every thread would load it again`;
  if (store.path === ':memory:' && (env['DATABASE_URL'] ?? '') === '') return 'threads cannot share a store in memory';
  if (platform !== 'linux') return 'several threads on one port need Linux';
  return undefined;
}
