/** The further threads of `tandem serve`, seen from the first one. */
import { createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import { TandemError } from '../../errors.ts';
import { cannotListen } from '../../gateway/http/server.ts';
import { youngGeneration } from '../../system/memory.ts';
import type { FromThread, ThreadStart, ToThread } from './thread.ts';

/** Running threads. */
export interface Threads {
  /** Settles only when a thread has ended that was not told to. */
  readonly broken: Promise<TandemError>;
  /** Lets every thread finish its answers; resolves when all have ended. */
  close(): Promise<void>;
}

/**
 * Starts threads; resolves when all of them listen.
 * @param starts one for each thread @param log told the lines that a thread has for the log
 * @throws {TandemError} what kept a thread from listening
 */
export async function startThreads(starts: readonly ThreadStart[], log: (line: string) => void): Promise<Threads> {
  const broken = Promise.withResolvers<TandemError>();
  const threads = starts.map((start) => new ServingThread(start, log, broken.resolve));
  const close = async (): Promise<void> => void (await Promise.all(threads.map((thread) => thread.close())));
  try {
    await Promise.all(threads.map((thread) => thread.ready));
  } catch (error) {
    await close();
    throw error;
  }
  return { broken: broken.promise, close };
}

class ServingThread {
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #closing = false;

  constructor(start: ThreadStart, log: (line: string) => void, onBroken: (error: TandemError) => void) {
    const file = import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js';
    const worker = new Worker(new URL(file, import.meta.url), { workerData: start, name: `tandem-gateway-${start.number}`, resourceLimits: youngGeneration('gateway') });
    this.#worker = worker;
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    this.ready = new Promise((resolve, reject) => {
      const fail = (error: TandemError): void => {
        reject(error);
        if (!this.#closing) onBroken(error);
      };
      worker.on('message', (said: FromThread) => {
        if (said.type === 'ready') resolve();
        else if (said.type === 'failure') log(said.line);
        else fail(new TandemError(said.code, { message: said.message }));
      });
      worker.on('error', (cause) => fail(new TandemError('internal', { message: 'A thread of the gateway failed.', cause })));
      worker.on('exit', () => {
        fail(new TandemError('internal', { message: 'A thread of the gateway has ended.' }));
        ended.resolve();
      });
    });
    this.ready.catch(() => undefined);
  }

  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#worker.postMessage('stop' satisfies ToThread);
    }
    return this.#ended;
  }
}

/** Makes sure that nobody listens on a port: sharing it with threads would otherwise share it with another process, too. @throws {TandemError} address_in_use, config_invalid */
export function checkFree(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(cannotListen(error, host, port)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
