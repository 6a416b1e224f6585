/**
 * The main thread's side of the engine thread: starts it with the first model, asks it, runs programs on it.
 *
 * There is one engine thread in the process. It keeps the process alive only while something is asked of it. If it dies, all
 * that was asked fails with `engine_failed`, and the next model starts another one.
 */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { fail, TandemError } from '../../errors.ts';
import { youngGeneration } from '../../system/memory.ts';
import { sharedWords, unpackError, type Asks, type FromEngine, type RunMessage, type RunReport, type ToEngine } from './protocol.ts';

interface Waiter {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Where the reports of a run go. */
type Listener = (report: RunReport) => void;

let current: Promise<EngineThread> | undefined;

/** The engine thread, started if need be. @param gpu prefer a GPU build; decided by the first model @throws {TandemError} engine_unavailable */
export function engineThread(gpu: boolean): Promise<EngineThread> {
  if (current === undefined) {
    const starting = EngineThread.start(gpu, () => {
      if (current === starting) current = undefined;
    });
    current = starting;
  }
  return current;
}

/** A running engine thread. */
export class EngineThread {
  readonly #port: MessagePort;
  readonly #shared = new Int32Array(new SharedArrayBuffer(4 * (sharedWords.runs + sharedWords.runsMax)));
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners = new Map<number, Listener>();
  #calls = 0;
  #runs = 0;
  #dead: TandemError | undefined;

  private constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: FromEngine) => this.#take(message));
  }

  /** Starts a thread. @param onEnd called once when it is gone */
  static async start(gpu: boolean, onEnd: () => void): Promise<EngineThread> {
    const { port1, port2 } = new MessageChannel();
    const thread = new EngineThread(port1);
    const entry = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);
    const worker = new Worker(entry, { workerData: { port: port2, shared: thread.#shared.buffer, gpu }, transferList: [port2], name: 'tandem-engine', resourceLimits: youngGeneration('engine') });
    const ready = new Promise<void>((resolve, reject) => thread.#waiters.set(0, { resolve: () => resolve(), reject }));
    const end = (cause: unknown): void => {
      onEnd();
      thread.#die(cause);
    };
    worker.on('error', end);
    worker.on('exit', () => end(undefined));
    worker.unref();
    thread.#keepAlive();
    try {
      await ready;
    } catch (error) {
      onEnd();
      void worker.terminate();
      throw error;
    }
    return thread;
  }

  /** A number for a run, unique in the thread. */
  nextRun(): number {
    return ++this.#runs;
  }

  /** Asks something. @throws {TandemError} what the engine answers; engine_failed when it is gone */
  ask<K extends keyof Asks>(type: K, ask: Asks[K]['ask']): Promise<Asks[K]['reply']> {
    return new Promise((resolve, reject) => {
      if (this.#dead !== undefined) {
        reject(this.#dead);
        return;
      }
      const call = ++this.#calls;
      this.#waiters.set(call, { resolve: resolve as Waiter['resolve'], reject });
      this.#keepAlive();
      this.#post({ type, call, ask } as ToEngine);
    });
  }

  /** Runs a program; gives its events as they come, several at once when they are fast. Leaving the loop stops it. @throws {TandemError} what ends the run early; cancelled */
  async *run(message: Omit<RunMessage, 'type' | 'run'>, signal: AbortSignal): AsyncGenerator<readonly unknown[]> {
    if (this.#dead !== undefined) throw this.#dead;
    if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
    const run = this.nextRun();
    let inbox: RunReport[] = [];
    let wake: (() => void) | undefined;
    let ended = false;
    this.#listeners.set(run, (report) => {
      inbox.push(report);
      wake?.();
    });
    const onAbort = (): void => {
      this.cancel(run);
      wake?.();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#keepAlive();
    this.#post({ type: 'run', run, ...message });
    try {
      for (;;) {
        if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
        const reports = inbox;
        inbox = [];
        for (const report of reports) {
          if (report.events.length > 0) yield report.events;
          if (!report.end) continue;
          ended = true;
          if (report.error !== undefined) throw unpackError(report.error);
          return;
        }
        if (inbox.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#listeners.delete(run);
      if (!ended) this.cancel(run);
      this.#keepAlive();
    }
  }

  /** Stops a run, also in the middle of a batch. */
  cancel(run: number): void {
    if (this.#dead !== undefined) return;
    this.#post({ type: 'cancel', run });
    const count = Atomics.load(this.#shared, sharedWords.count);
    for (let n = 0; n < count; n++) {
      if (Atomics.load(this.#shared, sharedWords.runs + n) === run) Atomics.store(this.#shared, sharedWords.flag, 1);
    }
  }

  #post(message: ToEngine): void {
    this.#port.postMessage(message);
    Atomics.add(this.#shared, sharedWords.sent, 1);
  }

  #take(message: FromEngine): void {
    switch (message.type) {
      case 'ready': return this.#settle(0, (waiter) => waiter.resolve(undefined));
      case 'unavailable': return this.#settle(0, (waiter) => waiter.reject(unpackError(message.error)));
      case 'reply': return this.#settle(message.call, (waiter) => waiter.resolve(message.value));
      case 'failed': return this.#settle(message.call, (waiter) => waiter.reject(unpackError(message.error)));
      case 'reports':
        for (const report of message.reports) this.#listeners.get(report.run)?.(report);
    }
  }

  #settle(call: number, how: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(call);
    this.#waiters.delete(call);
    if (waiter !== undefined) how(waiter);
    this.#keepAlive();
  }

  #keepAlive(): void {
    if (this.#waiters.size > 0 || this.#listeners.size > 0) this.#port.ref();
    else this.#port.unref();
  }

  #die(cause: unknown): void {
    if (this.#dead !== undefined) return;
    this.#dead = new TandemError('engine_failed', { message: 'The engine thread has ended.', ...(cause === undefined ? {} : { cause }) });
    for (const waiter of this.#waiters.values()) waiter.reject(this.#dead);
    this.#waiters.clear();
    const error = { code: 'engine_failed' as const, message: this.#dead.message };
    for (const [run, listener] of this.#listeners) listener({ run, events: [], end: true, error });
    this.#keepAlive();
  }
}
