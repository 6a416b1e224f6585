/**
 * The engine: what runs in the engine thread. Takes messages, owns models, runs and sessions, and advances the work one batch
 * at a time. Knows nothing of threads or ports; `thread.ts` drives it.
 */
import { fail, TandemError } from '../../errors.ts';
import { programs } from '../../decoding/programs.ts';
import type { TokenProgram } from '../../decoding/program.ts';
import { Admission, type Need } from './admission.ts';
import { nothing, type Native, type Pointer } from './bindings.ts';
import { OpenModel, type Shared } from './open-model.ts';
import { ProgramTask } from './program-task.ts';
import { packError, sharedWords, type Asks, type EngineState, type FromEngine, type RunMessage, type ToEngine } from './protocol.ts';
import { Reports } from './reports.ts';
import { Scheduler } from './scheduler.ts';
import { SessionTask } from './session-task.ts';
import { WeightsCache } from './weights.ts';

/** How long batches of a lone run are computed in one go, before anybody looks for messages again: these looks cost a few percent of a short batch. Milliseconds. */
const turnMs = 10;

type Later = typeof later;
const later = Symbol('the answer comes later');

interface Embedding {
  readonly call: number;
  readonly run: number;
  readonly model: OpenModel;
  readonly adapter: string;
  readonly texts: readonly (readonly number[])[];
  readonly vectors: Float32Array[];
  current: Generator<undefined, Float32Array> | undefined;
}

/** Everything in the engine thread. */
export class Engine {
  readonly #native: Native;
  readonly #send: (message: FromEngine) => void;
  readonly #stop: Int32Array;
  readonly #shared: Shared;
  readonly #models = new Map<number, OpenModel>();
  readonly #tasks = new Map<number, ProgramTask | SessionTask>();
  readonly #admission = new Admission();
  readonly #scheduler: Scheduler;
  readonly #reports: Reports;
  readonly #now: () => number;
  readonly #embeddings: Embedding[] = [];
  /** Sessions that wait in line, by run: the call to answer, and their model. */
  readonly #opening = new Map<number, { readonly call: number; readonly model: OpenModel }>();
  readonly #pools = new Map<number, Pointer>();
  #handles = 0;

  /** @param stop words that both threads share, by which the main one stops a computation (`sharedWords`) */
  constructor(native: Native, stop: Int32Array, send: (message: FromEngine) => void, now: () => number) {
    this.#native = native;
    this.#send = send;
    this.#stop = stop;
    this.#shared = { native, weights: new WeightsCache(native), pool: (threads) => this.#pool(threads), stop: native.address(stop) };
    this.#now = now;
    const reports = new Reports(send, now);
    this.#reports = reports;
    this.#scheduler = new Scheduler({ begin: (runs) => this.#publish(runs), end: () => this.#unpublish(), get urgent() { return reports.urgent; } }, now);
  }

  /** Whether there is work to advance. */
  get busy(): boolean {
    return this.#scheduler.busy || this.#embeddings.length > 0;
  }

  /** Takes a message. */
  take(message: ToEngine): void {
    if (message.type === 'cancel') this.#cancel(message.run);
    else if (message.type === 'run') this.#run(message);
    else this.#answer(message.call, () => this.#ask(message));
  }

  /** Does one batch of work, or as many of a lone run as fit into a turn, and sends what is due. */
  advance(): void {
    if (this.#admission.waiting > 0) this.#admission.admit();
    const untilMs = this.#now() + turnMs;
    let batches = 0;
    do batches += this.#scheduler.advance(untilMs);
    while (this.#scheduler.lone && !this.#reports.urgent && this.#now() < untilMs);
    if (this.#embeddings.length > 0) this.#embed();
    if (this.#admission.waiting > 0) this.#admission.admit();
    this.#reports.flush(!this.busy, batches);
  }

  #answer(call: number, work: () => unknown): void {
    try {
      const value = work();
      if (value !== later) this.#send({ type: 'reply', call, value });
    } catch (error) {
      this.#send({ type: 'failed', call, error: packError(error) });
    }
  }

  #ask(message: Exclude<ToEngine, RunMessage | { readonly type: 'cancel' }>): unknown {
    switch (message.type) {
      case 'open': return this.#open(message.ask);
      case 'close': return this.#close(message.ask.handle);
      case 'adapters': return this.#setAdapters(message.ask);
      case 'tokenize': return this.#model(message.ask.handle).vocabulary.tokenize(message.ask.pieces, message.ask.begin);
      case 'detokenize': return this.#model(message.ask.handle).vocabulary.detokenize(message.ask.tokens);
      case 'embed': return this.#queueEmbedding(message.call, message.ask);
      case 'session-open': return this.#openSession(message.call, message.ask);
      case 'session-append': return this.#append(message.call, message.ask);
      case 'session-rollback': return this.#session(message.ask.run).rollback(message.ask.length) ?? null;
      case 'session-fork': return this.#fork(message.ask);
      case 'state': return this.#state();
    }
  }

  #open(settings: Asks['open']['ask']): Asks['open']['reply'] {
    const model = new OpenModel(this.#shared, ++this.#handles, settings);
    this.#models.set(model.handle, model);
    this.#scheduler.addLane(model);
    return model.opened;
  }

  #close(handle: number): null {
    const model = this.#models.get(handle);
    if (model === undefined) return null;
    for (const [run, task] of this.#tasks) {
      if (task instanceof SessionTask ? task.model === model : [...task.roles.values()].includes(model)) this.#cancel(run);
    }
    for (const [run, opening] of this.#opening) if (opening.model === model) this.#cancel(run);
    for (const { run } of this.#embeddings.filter((embedding) => embedding.model === model)) this.#cancel(run);
    this.#models.delete(handle);
    this.#scheduler.removeLane(model);
    model.free();
    if (this.#models.size === 0) this.#freePools();
    return null;
  }

  #setAdapters({ handle, adapters }: Asks['adapters']['ask']): null {
    const model = this.#model(handle);
    model.setAdapters(adapters);
    this.#freeRetired(model);
    return null;
  }

  /** Frees adapters that were taken away, once nothing runs or waits that may use them. */
  #freeRetired(model: OpenModel): void {
    if (!model.hasRetired || this.#opening.size > 0 || this.#embeddings.some((embedding) => embedding.model === model)) return;
    for (const task of this.#tasks.values()) if (task instanceof SessionTask ? task.model === model : [...task.roles.values()].includes(model)) return;
    model.freeRetired();
  }

  #run(message: RunMessage): void {
    const { run } = message;
    try {
      const program = (programs as unknown as Record<string, TokenProgram<unknown, unknown>>)[message.program] ?? fail('internal', `There is no token program "${message.program}".`);
      const roles = new Map(Object.entries(message.roles).map(([role, handle]) => [role, this.#model(handle)]));
      const needs = new Map<OpenModel, Need>();
      for (const [role, model] of roles) {
        const { cells, sequences } = needs.get(model) ?? { cells: 0, sequences: 0 };
        needs.set(model, { cells: cells + Math.min(message.cells[role] ?? model.contextTokensMax, model.contextTokensMax), sequences: sequences + 1 });
      }
      const { args, seed, adapters } = message;
      for (const [role, model] of roles) if (!model.hasAdapter(adapters[role] ?? '')) fail('ability_missing', `The model has no adapter "${adapters[role]}" any more.`);
      const task = new ProgramTask({ run, program, args, seed, roles, adapters }, {
        event: (from, event) => this.#reports.event(from.run, event),
        end: (from, error) => this.#ended(from, error),
      });
      this.#tasks.set(run, task);
      this.#admission.enter({ run, needs, begin: () => this.#scheduler.submit(task, task.start()) });
    } catch (error) {
      this.#tasks.delete(run);
      this.#reports.end(run, error);
    }
  }

  #ended(task: ProgramTask, error: unknown): void {
    this.#scheduler.withdraw(task);
    this.#tasks.delete(task.run);
    this.#admission.leave(task.run);
    this.#reports.end(task.run, error);
    for (const model of task.roles.values()) this.#freeRetired(model);
  }

  #cancel(run: number): void {
    const task = this.#tasks.get(run);
    const reason = new TandemError('cancelled', { message: 'The request was cancelled.' });
    if (task instanceof ProgramTask) task.stop(reason);
    else if (task !== undefined) {
      this.#scheduler.withdraw(task);
      task.stop();
      this.#tasks.delete(run);
      this.#admission.leave(run);
      this.#freeRetired(task.model);
    }
    const opening = this.#opening.get(run);
    if (opening !== undefined) {
      this.#opening.delete(run);
      this.#admission.leave(run);
      this.#send({ type: 'failed', call: opening.call, error: packError(reason) });
    }
    const at = this.#embeddings.findIndex((embedding) => embedding.run === run);
    if (at < 0) return;
    const [embedding] = this.#embeddings.splice(at, 1) as [Embedding];
    this.#send({ type: 'failed', call: embedding.call, error: packError(reason) });
    this.#freeRetired(embedding.model);
  }

  #openSession(call: number, ask: Asks['session-open']['ask']): Later {
    const model = this.#model(ask.handle);
    if (!model.hasAdapter(ask.adapter ?? '')) fail('ability_missing', `The model has no adapter "${ask.adapter}" any more.`);
    this.#admission.enter({
      run: ask.run,
      needs: new Map([[model, { cells: model.contextTokensMax, sequences: 1 }]]),
      begin: () => this.#answer(call, () => {
        this.#opening.delete(ask.run);
        this.#adopt(ask.run, () => new SessionTask(ask.run, model, model.store.open('session', ask.adapter ?? ''), ask.law));
        return null;
      }),
    });
    this.#opening.set(ask.run, { call, model });
    return later;
  }

  /** A fork takes a place and memory like a session. */
  #fork({ run, fork, law }: Asks['session-fork']['ask']): null {
    const session = this.#session(run);
    this.#admission.take(fork, session.model, { cells: session.model.contextTokensMax, sequences: 1 });
    this.#adopt(fork, () => session.fork(fork, law));
    return null;
  }

  /** Makes a session that was admitted, or gives back what it was promised. */
  #adopt(run: number, make: () => SessionTask): void {
    try {
      this.#tasks.set(run, make());
    } catch (error) {
      this.#admission.leave(run);
      throw error;
    }
  }

  #append(call: number, { run, tokens }: Asks['session-append']['ask']): Later {
    const session = this.#session(run);
    const steps = session.append(tokens, (error, length) => this.#send(error === undefined ? { type: 'reply', call, value: length } : { type: 'failed', call, error: packError(error) }));
    this.#scheduler.submit(session, steps);
    return later;
  }

  #session(run: number): SessionTask {
    const task = this.#tasks.get(run);
    return task instanceof SessionTask ? task : fail('parameter_invalid', 'The session is closed.');
  }

  #queueEmbedding(call: number, { handle, run, adapter, texts }: Asks['embed']['ask']): Later {
    const model = this.#model(handle);
    if (!model.embeds) fail('ability_missing', 'The model was not opened for vectors.');
    if (!model.hasAdapter(adapter)) fail('ability_missing', `The model has no adapter "${adapter}" any more.`);
    this.#embeddings.push({ call, run, model, adapter, texts, vectors: [], current: undefined });
    return later;
  }

  /** One portion of the embedding whose turn it is. */
  #embed(): void {
    const embedding = this.#embeddings.shift() as Embedding;
    const { call, model, adapter, texts, vectors } = embedding;
    try {
      const text = texts[vectors.length];
      if (text !== undefined) {
        embedding.current ??= model.embed(text, adapter);
        const { done, value } = embedding.current.next();
        if (done === true) {
          vectors.push(value);
          embedding.current = undefined;
        }
      }
      if (vectors.length < texts.length) {
        // a text in portions keeps its place, since its context holds it; otherwise others may go first
        if (embedding.current === undefined) this.#embeddings.push(embedding);
        else this.#embeddings.unshift(embedding);
        return;
      }
      this.#send({ type: 'reply', call, value: vectors });
    } catch (error) {
      this.#send({ type: 'failed', call, error: packError(error) });
    }
    this.#freeRetired(model);
  }

  #state(): EngineState {
    return {
      models: this.#shared.weights.size,
      contexts: this.#models.size,
      running: this.#admission.admitted,
      queued: this.#admission.waiting,
      prefixes: [...this.#models.values()].reduce((sum, model) => sum + model.store.keptCount, 0),
    };
  }

  #model(handle: number): OpenModel {
    return this.#models.get(handle) ?? fail('engine_failed', 'The model is closed.');
  }

  #publish(runs: readonly number[]): void {
    Atomics.store(this.#stop, sharedWords.flag, 0);
    const count = Math.min(runs.length, sharedWords.runsMax);
    for (let n = 0; n < count; n++) Atomics.store(this.#stop, sharedWords.runs + n, runs[n] as number);
    Atomics.store(this.#stop, sharedWords.count, count);
  }

  #unpublish(): void {
    Atomics.store(this.#stop, sharedWords.count, 0);
    Atomics.store(this.#stop, sharedWords.flag, 0);
  }

  #pool(threads: number): Pointer {
    const known = this.#pools.get(threads);
    if (known !== undefined) return known;
    const pool = this.#native.newThreadpool(threads); // without one, the library makes and frees one for every batch
    this.#pools.set(threads, pool);
    return pool;
  }

  #freePools(): void {
    for (const pool of this.#pools.values()) if (pool !== nothing) this.#native.freeThreadpool(pool);
    this.#pools.clear();
  }
}
