/** A session of an L3 model, seen from the main thread. Laws come through memory that both threads see. */
import { fail } from '../../errors.ts';
import type { Session } from '../port.ts';
import type { EngineThread } from './engine-thread.ts';

/** An open prefix. */
export class LlamaSession implements Session {
  length = 0;
  readonly #thread: EngineThread;
  readonly #run: number;
  readonly #law: Float32Array;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => void this.close();
  #closed = false;

  private constructor(thread: EngineThread, run: number, law: Float32Array, signal: AbortSignal) {
    this.#thread = thread;
    this.#run = run;
    this.#law = law;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Opens a session; waits for a place. @param signal ends it @throws {TandemError} engine_failed, cancelled */
  static async open(thread: EngineThread, handle: number, size: number, adapter: string, signal: AbortSignal): Promise<LlamaSession> {
    if (signal.aborted) fail('cancelled', 'The request was cancelled.');
    const law = lawMemory(size);
    const session = new LlamaSession(thread, thread.nextRun(), law, signal);
    await session.#begun(() => thread.ask('session-open', { handle, run: session.#run, adapter, law: law.buffer as SharedArrayBuffer }));
    return session;
  }

  async append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    if (signal?.aborted === true) fail('cancelled', 'The request was cancelled.');
    const onAbort = (): void => void this.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      this.length = await this.#stoppable(() => this.#thread.ask('session-append', { run: this.#run, tokens }));
      return this.#law.slice();
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async rollback(length: number): Promise<void> {
    await this.#stoppable(() => this.#thread.ask('session-rollback', { run: this.#run, length }));
    this.length = length;
  }

  async fork(): Promise<LlamaSession> {
    const law = lawMemory(this.#law.length);
    const fork = new LlamaSession(this.#thread, this.#thread.nextRun(), law, this.#signal);
    await fork.#begun(() => this.#stoppable(() => this.#thread.ask('session-fork', { run: this.#run, fork: fork.#run, law: law.buffer as SharedArrayBuffer })));
    fork.length = this.length;
    return fork;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#thread.cancel(this.#run);
  }

  /** Waits until the engine has made it; closes it when the engine does not. */
  async #begun(ask: () => Promise<null>): Promise<void> {
    try {
      await this.#stoppable(ask);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Asks the engine and waits, but not longer than the session is wanted. A closed session asks nothing: nobody would hold the answer, and one that fails would end the process. */
  #stoppable<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#closed) fail(this.#signal.aborted ? 'cancelled' : 'parameter_invalid', 'The session is closed.');
    const answer = ask();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        try {
          fail('cancelled', 'The request was cancelled.');
        } catch (error) {
          reject(error);
        }
      };
      this.#signal.addEventListener('abort', onAbort, { once: true });
      answer.then(resolve, reject).finally(() => this.#signal.removeEventListener('abort', onAbort));
    });
  }
}

function lawMemory(size: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * size));
}
