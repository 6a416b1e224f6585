/**
 * Where token programs run: the engine thread, with models by their ids in the team.
 *
 * Models that are opened with the same engine context (the members of one team) share a host, so that programs can pair them.
 */
import { fail } from '../../errors.ts';
import type { ProgramRun, TokenHost } from '../../decoding/program.ts';
import type { EngineContext } from '../context.ts';
import type { EngineThread } from './engine-thread.ts';

const hosts = new WeakMap<EngineContext, LlamaHost>();

/** The host of a team. */
export function hostOf(context: EngineContext, thread: EngineThread): LlamaHost {
  const known = hosts.get(context);
  if (known !== undefined && known.thread === thread) return known;
  const host = new LlamaHost(thread, () => Math.floor(context.random.next() * 2 ** 32));
  hosts.set(context, host);
  return host;
}

/** What a host knows of a model. */
export interface HostedModel {
  readonly handle: number;
  /** Its adapters, which may change while it is open. */
  readonly adapters: AdapterTable;
}

/** The adapters of an open model. */
export interface AdapterTable {
  /** Adapter when a run names none; empty for none. */
  readonly adapter: string;
  /** The engine's key of each name. */
  readonly keys: ReadonlyMap<string, string>;
}

/** The key of an adapter by its name, or of the default; empty for none. @throws {TandemError} ability_missing */
export function adapterKey({ adapter, keys }: AdapterTable, id: string, name: string = adapter): string {
  return name === '' ? '' : (keys.get(name) ?? fail('ability_missing', { message: `The model "${id}" has no adapter "${name}".`, member: id }));
}

/** Runs token programs in the engine thread. */
export class LlamaHost implements TokenHost {
  readonly thread: EngineThread;
  readonly #seed: () => number;
  readonly #models = new Map<string, HostedModel>();

  /** @param seed gives a 32-bit seed for runs that name none */
  constructor(thread: EngineThread, seed: () => number) {
    this.thread = thread;
    this.#seed = seed;
  }

  /** Makes a model known by its id. @throws {TandemError} config_invalid when the id is taken */
  add(id: string, model: HostedModel): void {
    if (this.#models.has(id)) fail('config_invalid', `Two open models of this team have the id "${id}".`);
    this.#models.set(id, model);
  }

  /** Forgets a model. */
  remove(id: string): void {
    this.#models.delete(id);
  }

  async *run<Args, Event>(run: ProgramRun<Args>): AsyncGenerator<Event> {
    for await (const events of this.runInBatches<Args, Event>(run)) yield* events;
  }

  /** As `run`, with the events that came together in one list. */
  runInBatches<Args, Event>(run: ProgramRun<Args>): AsyncGenerator<readonly Event[]> {
    const roles: Record<string, number> = {};
    const adapters: Record<string, string> = {};
    for (const [role, id] of Object.entries(run.roles)) {
      const model = this.#models.get(id) ?? fail('engine_failed', `The model "${id}" is not open on this host.`);
      roles[role] = model.handle;
      adapters[role] = adapterKey(model.adapters, id, run.adapters?.[role]);
    }
    const { program, args, signal } = run;
    return this.thread.run({ program, roles, args, seed: run.seed ?? this.#seed(), adapters, cells: run.cells ?? {} }, signal) as AsyncGenerator<readonly Event[]>;
  }
}
