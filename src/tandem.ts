/**
 * The composition root: builds the team, the stages and the store from a configuration, and takes requests through the
 * pipeline. The gateway, the command line and the library all stand on the `Runtime` that it gives.
 */
import { batteryReader, type BatteryReader } from './system/battery.ts';
import { systemClock, type Clock } from './system/clock.ts';
import { ended, pulled, Pulled, type Pull } from './system/pull.ts';
import { systemRandom, type Random } from './system/random.ts';
import { whileWanted } from './system/waits.ts';
import { parseConfig, type Config, type ConfigInput } from './config.ts';
import { fail, TandemError } from './errors.ts';
import { reached, type Audited, type Part, type Received, type Surface } from './exchange.ts';
import { createInputGuard, createOutputGuard } from './guard/index.ts';
import { openTeam, serversOf } from './models/load.ts';
import { offers, type AnyMember, type Team } from './models/team.ts';
import { pipeline, type Journey, type Stages } from './pipeline.ts';
import { createAdmission, type Admission } from './policy/admission.ts';
import { createMask } from './privacy/index.ts';
import { cascadeWith } from './recipes/cascade.ts';
import { createKitchen, registry } from './recipes/index.ts';
import { cannotRunNamed } from './recipes/named.ts';
import { unmetNeeds, type Recipe } from './recipes/recipe.ts';
import { routeWith, type RouteRouter } from './recipes/route.ts';
import type { RewardFate } from './recipes/pilot/pilot.ts';
import { embedModelId, ModelNames } from './policy/resolve-model.ts';
import { Embedding, type EmbeddingAnswer, type EmbeddingRequest } from './embedding.ts';
import { Steering } from './steering.ts';
import { openStore } from './store/index.ts';
import type { Store } from './store/store.ts';
import { createExporter, createMeter, type Exporter } from './trace/index.ts';
import { newTraceId } from './trace/trace-id.ts';
import { Trace, type TraceRecord } from './trace/trace.ts';

/** Stands in a trace for a model id that does not exist, which may be any text of a caller. */
const unknownModel = '(unknown)';

/** A model id that the gateway serves, and what stands behind it. */
export interface ModelCard {
  /** `tandem/<recipe>`, a member id, or an alias. */
  readonly id: string;
  readonly kind: 'recipe' | 'member' | 'alias' | 'embedder';
  /** One sentence. */
  readonly about: string;
}

/** A request on its way. */
export interface Running {
  readonly trace: Trace;
  /** Called when the time of the request is up, for a reader who waits for something else than the next part, which would tell. Default: nobody is. */
  onTimeUp?: (() => void) | undefined;
  /**
   * The answer. What its calls used is in the trace when the finish of the last answer is read; the trace itself is closed when the
   * reader asks for more or leaves. Leaving the loop earlier cancels the work.
   */
  readonly parts: Audited;
}

/** What replaces parts of the outside world, mostly in tests. */
export interface Overrides {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths start from. Default: the working directory. */
  readonly baseDir?: string;
  /** A team instead of the configured members; the runtime closes it. */
  readonly team?: Team;
  readonly store?: Store;
  /** More recipes, or others in place of ours, by id. */
  readonly recipes?: ReadonlyMap<string, Recipe>;
  /** Memory of the keys' accounts (`accountBytes` of `policy/account-memory.ts`), where several threads serve the same keys. Default: its own. */
  readonly accounts?: SharedArrayBuffer;
  /** Charge of this device's battery. Default: what Linux shows of it. */
  readonly battery?: BatteryReader;
  /** Called with each finished trace, after it was queued for the store. */
  readonly onTrace?: (record: TraceRecord) => void;
}

/** A running Tandem. */
export interface Runtime {
  readonly config: Config;
  readonly team: Team;
  readonly recipes: ReadonlyMap<string, Recipe>;
  readonly store: Store;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly random: Random;
  /** Every model id that can be asked for. */
  models(): readonly ModelCard[];
  /** Calls back with each finished trace; returns the function that stops it. */
  onTrace(listener: (record: TraceRecord) => void): () => void;
  /**
   * Takes a request through the pipeline. Resolves when the answer may begin. The trace is finished and stored when the
   * stream ends, fails or is left. `traceId`: continue a caller's trace (32 hex digits).
   * @throws {TandemError} any code; also while the parts are read
   */
  handle(received: Received, signal: AbortSignal, traceId?: string): Promise<Running>;
  /** As `handle`, at once where no stage has to wait. @throws {TandemError} any code; or rejects with it */
  begin(received: Received, signal: AbortSignal, traceId?: string): Running | Promise<Running>;
  /**
   * Leaves the trace of a request that was refused while it was read.
   * @param key the caller's, which is one of the gateway's @returns its id; undefined while closing
   */
  refused(surface: Surface, key: string | undefined, error: TandemError): string | undefined;
  /**
   * A judgement of an answer, 0 (bad) to 1 (good), by a verifier, a judge, a user: what the pilot learns from. Counts once a request.
   * @param source kind of judgement, such as `thumb`, `edit`, `judge`, `verifier`
   * @returns what became of it; undefined where nothing is learned
   * @throws {TandemError} store_failed
   */
  reward(traceId: string, score: number, source: string): Promise<RewardFate | undefined>;
  /** Vectors for texts. `traceId`: the trace's id, where it must be known before (32 hex digits). @throws {TandemError} */
  embed(request: EmbeddingRequest, signal: AbortSignal, traceId?: string): Promise<EmbeddingAnswer>;
  /** Stops taking work, closes models and store. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Builds a Tandem.
 * @param input the configuration; default: the bundled pair
 * @throws {TandemError} config_invalid, store_failed, and what opening a member can throw
 */
export async function createTandem(input: ConfigInput = {}, overrides: Overrides = {}): Promise<Runtime> {
  const config = parseConfig(input);
  const { clock = systemClock, random = systemRandom, env = process.env, baseDir = process.cwd() } = overrides;
  const routers = await trainedRouters(config.routers, baseDir);
  const trained = [...(routers.size === 0 ? [] : ([['route', routeWith(routers)]] as [string, Recipe][])), ...(await trainedCascade(config.cascades, baseDir))];
  /** What is open and must be closed again if the rest fails. */
  const open: { close(): Promise<void> }[] = [];
  const kept = <T extends { close(): Promise<void> }>(opened: T): T => {
    open.push(opened);
    return opened;
  };
  try {
    const store = kept(overrides.store ?? (await openStore(config.store, { baseDir, clock, env })));
    const team = kept(overrides.team ?? (await openTeam(config.members, { baseDir, env, clock, random })));
    const steering = kept(await Steering.open({ config, team, store, clock, routers }));
    const recipes = new Map([...registry, ['auto', steering.auto], ...trained, ...(overrides.recipes ?? [])]);
    const meter = createMeter({ clock });
    const exporter = createExporter(config.telemetry, { env, servers: serversOf(config.members) });
    if (exporter !== undefined) kept(exporter);
    const admission = createAdmission({ config, team, recipes: new Set(recipes.keys()), store, clock, env, ...(overrides.accounts === undefined ? {} : { accounts: overrides.accounts }) });
    const purse = steering.purse === undefined ? {} : { purse: steering.purse };
    const stages: Stages = {
      admit: steering.purse === undefined ? admission.admit : leasing(admission.admit, steering),
      guardInput: createInputGuard(config.guard),
      mask: createMask(config.privacy),
      cook: createKitchen({ team, registry: recipes, config, meter, clock, random, battery: overrides.battery ?? batteryReader(clock), ...purse }),
      guardOutput: createOutputGuard(config.guard),
    };
    requireRunnable(config, team, recipes);
    const embedding = new Embedding({ stages, team, meter, clock, ...purse });
    return new TandemRuntime({ config, team, recipes, store, admission, clock, random, stages, embedding, exporter, steering, onTrace: overrides.onTrace });
  } catch (error) {
    for (const opened of open.reverse()) await opened.close().catch(() => undefined); // why the start failed is what counts
    throw error;
  }
}

/** A default or an alias whose recipe the team cannot run would refuse every request. @throws {TandemError} config_invalid */
function requireRunnable(config: Config, team: Team, recipes: ReadonlyMap<string, Recipe>): void {
  const leads = new ModelNames(config, team.members.map(({ id }) => id), recipes.keys()).leads();
  const mistakes = cannotRunNamed(leads, recipes, team, config.recipes);
  if (mistakes[0] === undefined) return;
  fail('config_invalid', { message: mistakes.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}.`).join('\n'), param: mistakes[0].path });
}

/** Admission that leases money for a request once it was let in: a caller who is refused can tie none up. */
function leasing(admit: Stages['admit'], steering: Steering): Stages['admit'] {
  return async (received, journey, span) => {
    const admitted = await admit(received, journey, span);
    const lease = steering.prepare(journey.trace.id, admitted);
    if (lease !== undefined) await whileWanted(lease, admitted.policy.limits, journey);
    return admitted;
  };
}

/** The routers that the configuration names, for the recipe `route` and the pilot. */
async function trainedRouters(routers: Config['routers'], baseDir: string): Promise<ReadonlyMap<string, RouteRouter>> {
  if (Object.keys(routers).length === 0) return new Map();
  const { openRouters } = await import('./recipes/trained-routers.ts');
  return openRouters(routers, baseDir);
}

/** The recipe `cascade` with the files that the configuration names; nothing when it names none. */
async function trainedCascade(files: Config['cascades'], baseDir: string): Promise<[string, Recipe][]> {
  if (Object.keys(files).length === 0) return [];
  const { openCascades } = await import('./recipes/trained-cascades.ts');
  return [['cascade', cascadeWith(await openCascades(files, baseDir)) as Recipe]];
}

interface Built {
  readonly config: Config;
  readonly team: Team;
  readonly recipes: ReadonlyMap<string, Recipe>;
  readonly store: Store;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly random: Random;
  readonly stages: Stages;
  readonly embedding: Embedding;
  readonly exporter: Exporter | undefined;
  readonly steering: Steering;
  readonly onTrace: ((record: TraceRecord) => void) | undefined;
}

class TandemRuntime implements Runtime {
  readonly #built: Built;
  readonly #listeners = new Set<(record: TraceRecord) => void>();
  #closing: Promise<void> | undefined;

  constructor(built: Built) {
    this.#built = built;
    if (built.onTrace !== undefined) this.#listeners.add(built.onTrace);
  }

  get config(): Config {
    return this.#built.config;
  }
  get team(): Team {
    return this.#built.team;
  }
  get recipes(): ReadonlyMap<string, Recipe> {
    return this.#built.recipes;
  }
  get store(): Store {
    return this.#built.store;
  }
  get admission(): Admission {
    return this.#built.admission;
  }
  get clock(): Clock {
    return this.#built.clock;
  }
  get random(): Random {
    return this.#built.random;
  }

  models(): readonly ModelCard[] {
    const { team, recipes, config } = this.#built;
    return [
      ...[...recipes.values()].filter((recipe) => unmetNeeds(recipe, team).length === 0).map((recipe) => ({ id: `tandem/${recipe.id}`, kind: 'recipe' as const, about: recipe.summary })),
      { id: embedModelId, kind: 'embedder' as const, about: aboutEmbed(team) },
      ...team.members.map((member) => ({ id: member.id, kind: 'member' as const, about: aboutMember(member) })),
      ...Object.entries(config.aliases).map(([id, target]) => ({ id, kind: 'alias' as const, about: `Answers as ${target}.` })),
    ];
  }

  onTrace(listener: (record: TraceRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async handle(received: Received, signal: AbortSignal, traceId?: string): Promise<Running> {
    return this.begin(received, signal, traceId);
  }

  begin(received: Received, signal: AbortSignal, traceId?: string): Running | Promise<Running> {
    const trace = this.#begin(received.surface, received.model, traceId);
    const way = new Way(trace, signal);
    const running = (parts: Audited): Running => {
      way.parts = reached<'audited', AsyncIterable<Part>>(new Watched(parts, received.answers, (error) => this.#finish(trace, error)));
      return way;
    };
    const failed = (error: unknown): never => {
      this.#finish(trace, error);
      throw error;
    };
    try {
      const parts = pipeline(this.#built.stages, received, way);
      return parts instanceof Promise ? parts.then(running, failed) : running(parts);
    } catch (error) {
      return failed(error);
    }
  }

  refused(surface: Surface, key: string | undefined, error: TandemError): string | undefined {
    if (this.#closing !== undefined) return undefined;
    const trace = this.#begin(surface, unknownModel);
    trace.calledBy(this.#built.admission.identify(key).name);
    this.#finish(trace, error);
    return trace.id;
  }

  reward(traceId: string, score: number, source: string): Promise<RewardFate | undefined> {
    return this.#built.steering.reward(traceId, score, source);
  }

  async embed(request: EmbeddingRequest, signal: AbortSignal, traceId?: string): Promise<EmbeddingAnswer> {
    const trace = this.#begin('embeddings', request.model, traceId);
    try {
      const answer = await this.#built.embedding.embed(request, { trace, signal });
      this.#finish(trace, undefined);
      return answer;
    } catch (error) {
      this.#finish(trace, error);
      throw error;
    }
  }

  async close(): Promise<void> {
    const { team, store, exporter, steering } = this.#built;
    this.#closing ??= (async () => {
      await team.close();
      await exporter?.close();
      await steering.close();
      await store.close();
    })();
    return this.#closing;
  }

  #begin(surface: string, model: string, traceId?: string): Trace {
    if (this.#closing !== undefined) throw new TandemError('shutting_down', { message: 'This Tandem is closing.' });
    const { clock, random, admission } = this.#built;
    return new Trace(traceId ?? newTraceId(clock.wallMs(), random), clock, { surface, requestedModel: admission.knows(model) ? model : unknownModel });
  }

  #finish(trace: Trace, error: unknown): void {
    const { admission, store, exporter, steering } = this.#built;
    const record = trace.finish(error === undefined ? 'ok' : TandemError.from(error).code);
    admission.settle(record);
    steering.finished(record);
    store.writeTrace(record);
    exporter?.send(record);
    for (const listener of this.#listeners) listener(record);
  }
}

/** A request on its way, for its stages and for its reader. */
class Way implements Journey, Running {
  readonly trace: Trace;
  readonly signal: AbortSignal;
  onTimeUp: (() => void) | undefined;
  /** Set when the answer may begin; nobody has it before. */
  parts!: Audited;

  constructor(trace: Trace, signal: AbortSignal) {
    this.trace = trace;
    this.signal = signal;
    this.onTimeUp = undefined;
  }
}

/** The same parts; tells exactly once that they ended, failed or were left. Whoever has the finish of every answer has read to the end. */
class Watched extends Pulled<Part> {
  readonly #inner: Pulled<Part>;
  readonly #finish: (error: unknown) => void;
  /** Answers whose finish has not come. */
  #unfinished: number;
  #open = true;

  /** @param finish called with the error, if any */
  constructor(parts: Audited, answers: number, finish: (error: unknown) => void) {
    super();
    this.#inner = pulled(parts);
    this.#unfinished = answers;
    this.#finish = finish;
  }

  pull(): Pull<Part> {
    let next: Pull<Part>;
    try {
      next = this.#inner.pull();
    } catch (error) {
      this.#settle(error);
      throw error;
    }
    if (next instanceof Promise) return next;
    if (next.done === true) this.#settle(undefined);
    else if (next.value.type === 'finish') this.#unfinished--;
    return next;
  }

  /** Stops the work: every stage hands this on at once, down to the run. What was used until then is in the trace. */
  leave(): Promise<void> | undefined {
    try {
      return this.#inner.leave();
    } finally {
      this.#settle(this.#unfinished === 0 ? undefined : new TandemError('cancelled', { message: 'The reader left before the answer was finished.' }));
    }
  }

  #settle(error: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#finish(error);
  }
}

function aboutEmbed(team: Team): string {
  const member = team.inRole('embed').find((each) => offers(each, 'Emb'));
  return `Vectors for texts (/v1/embeddings): ${member === undefined ? 'the bundled static embedder' : `member ${member.id}`}.`;
}

function aboutMember(member: AnyMember): string {
  const { engine, place, abilities } = member.model;
  const levels = abilities.levels.filter((level) => offers(member, level)).join(' ');
  return `Member in the role ${member.roles.join(', ')}: ${engine} on ${place}, ${levels}.`;
}
