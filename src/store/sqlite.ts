/** The embedded driver: an SQLite file, opened in a thread of its own. The thread keeps the process alive only while something is asked of it. */
import { mkdirSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { TandemError } from '../errors.ts';
import { youngGeneration } from '../system/memory.ts';
import type { Driver } from './driver.ts';
import { packRows } from './packed-rows.ts';
import type { WorkerReply, WorkerRequest, WorkerStart } from './sqlite-worker.ts';

/** How to open the file. */
export interface SqliteSettings {
  /** Path, relative to `baseDir`, or `:memory:`. Its folder is made if need be. */
  readonly path: string;
  readonly baseDir: string;
  /** How long to wait for another process's lock, in milliseconds. Default 5000. */
  readonly busyTimeoutMs?: number;
  readonly nowMs: number;
}

type Asked = WorkerRequest extends infer R ? (R extends { readonly call: number } ? Omit<R, 'call'> : never) : never;
interface Waiting {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: TandemError) => void;
}

/** Opens the file. @throws {TandemError} store_failed when it cannot be opened, is locked or is not an SQLite file */
export async function openSqlite(settings: SqliteSettings): Promise<Driver> {
  const path = settings.path === ':memory:' || isAbsolute(settings.path) ? settings.path : join(settings.baseDir, settings.path);
  if (path !== ':memory:') makeFolder(path);
  const start: WorkerStart = { path, busyTimeoutMs: settings.busyTimeoutMs ?? 5_000, nowMs: settings.nowMs };
  const connection = new Connection(start);
  await connection.opened;
  return {
    insert: async (sql, rows) => void (await connection.ask({ do: 'insert', sql, rows: packRows(rows) })),
    read: async ({ sql, values }) => (await connection.ask({ do: 'read', sql, values })).rows ?? [],
    change: async ({ sql, values }) => (await connection.ask({ do: 'change', sql, values })).changed ?? 0,
    close: () => connection.close(),
  };
}

function makeFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw new TandemError('store_failed', { message: `The folder of the store file (store.path) cannot be made: ${codeOf(error)}.`, cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown failure';
}

/** The thread, and what was asked of it and not yet answered. */
class Connection {
  readonly opened: Promise<WorkerReply>;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextCall = 1;
  private gone: TandemError | undefined;
  private closing: Promise<void> | undefined;

  constructor(start: WorkerStart) {
    const file = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';
    this.worker = new Worker(new URL(file, import.meta.url), { workerData: start, name: 'tandem-store', execArgv: [], resourceLimits: youngGeneration('store') });
    this.opened = this.expect(0);
    this.worker.on('message', (reply: WorkerReply) => this.answer(reply));
    this.worker.on('error', (error) => this.end(new TandemError('store_failed', { message: 'The thread of the store failed.', cause: error })));
    this.worker.on('exit', () => this.end(new TandemError('store_failed', { message: 'The store is closed.' })));
  }

  ask(asked: Asked): Promise<WorkerReply> {
    if (this.gone !== undefined) return Promise.reject(this.gone);
    const call = this.nextCall++;
    const reply = this.expect(call);
    this.worker.postMessage({ ...asked, call });
    return reply;
  }

  close(): Promise<void> {
    this.closing ??= this.ask({ do: 'close' }).then(
      async () => void (await this.worker.terminate()),
      async () => void (await this.worker.terminate()),
    );
    return this.closing;
  }

  private expect(call: number): Promise<WorkerReply> {
    const reply = new Promise<WorkerReply>((resolve, reject) => this.waiting.set(call, { resolve, reject }));
    if (this.waiting.size === 1) this.worker.ref();
    return reply;
  }

  private answer(reply: WorkerReply): void {
    const waiting = this.waiting.get(reply.call);
    this.waiting.delete(reply.call);
    if (this.waiting.size === 0) this.worker.unref();
    if (reply.failed === undefined) waiting?.resolve(reply);
    else waiting?.reject(new TandemError('store_failed', { message: `The store file (store.path) refused: ${reply.failed}.` }));
  }

  private end(why: TandemError): void {
    this.gone ??= why;
    for (const { reject } of this.waiting.values()) reject(this.gone);
    this.waiting.clear();
  }
}
