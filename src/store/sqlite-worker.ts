/**
 * The thread in which the embedded store's file is opened, written and read, so that no disk ever holds up a request.
 * Speaks the messages of `sqlite.ts`; knows SQL only as text. Write-ahead log: a killed process loses what was not yet
 * handed over and never damages the file.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { fail } from '../errors.ts';
import { tidyThread } from '../system/memory.ts';
import type { Row, SqlValue } from './driver.ts';
import { unpackedRows, type PackedRows } from './packed-rows.ts';
import { migrations, migrationsTable, schemaVersion } from './schema.ts';

/** What the thread is started with. */
export interface WorkerStart {
  /** Absolute path, or `:memory:`. */
  readonly path: string;
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs: number;
  readonly nowMs: number;
}

/** What the thread is asked. `close` is the last one. */
export type WorkerRequest =
  | { readonly call: number; readonly do: 'insert'; readonly sql: string; readonly rows: PackedRows }
  | { readonly call: number; readonly do: 'read' | 'change'; readonly sql: string; readonly values: readonly SqlValue[] }
  | { readonly call: number; readonly do: 'close' };

/** What the thread answers. Call 0 is the opening. */
export type WorkerReply = { readonly call: number; readonly rows?: readonly Row[]; readonly changed?: number; readonly failed?: string };

/** `node:sqlite`, without the one warning that it is experimental; every other warning still shows. */
function sqlite(): typeof import('node:sqlite') {
  const warn = process.emitWarning;
  process.emitWarning = ((...args: Parameters<typeof warn>) => {
    if (!/SQLite is an experimental feature/i.test(String(args[0]))) Reflect.apply(warn, process, args);
  }) as typeof warn;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = warn;
  }
}

/**
 * Bytes of a page of a new file; one that is there keeps its own. A trace has some 1,200, so a page of SQLite's own size holds three, and each page
 * costs two writes to the log: with larger ones a busy gateway answers some five in a hundred requests more (`bench/gateway-versions.ts`), and a trace that comes alone writes 80 KB instead of 20.
 */
const pageBytes = 16_384;
/** Pages of the log after which SQLite copies it into the file and waits for the disk: 16 MiB, four times its own default, which was worth some three requests in a hundred. */
const logPages = 1_000;

function open({ path, busyTimeoutMs, nowMs }: WorkerStart): DatabaseSync {
  const database = new (sqlite().DatabaseSync)(path, { timeout: busyTimeoutMs });
  try {
    database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = ${logPages};`);
    inTransaction(database, () => migrate(database, nowMs));
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function migrate(database: DatabaseSync, nowMs: number): void {
  database.exec(migrationsTable);
  const at = Number(database.prepare('SELECT COALESCE(MAX(version), 0) AS version FROM tandem_migrations').get()?.['version']);
  if (at > schemaVersion) fail('store_failed', `the file has schema ${at}, this version of Tandem knows ${schemaVersion}`);
  for (const { version, about, statements } of migrations.filter((step) => step.version > at)) {
    for (const statement of statements) database.exec(statement);
    database.prepare('INSERT INTO tandem_migrations (version, about, applied_at_ms) VALUES (?, ?, ?)').run(version, about, nowMs);
  }
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    work();
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function serve(database: DatabaseSync, reply: (message: WorkerReply) => void): (request: WorkerRequest) => void {
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  return (request) => {
    const { call } = request;
    try {
      if (request.do === 'insert') {
        inTransaction(database, () => {
          const statement = prepared(request.sql);
          for (const row of unpackedRows(request.rows)) statement.run(...row);
        });
        reply({ call });
      } else if (request.do === 'read') {
        reply({ call, rows: prepared(request.sql).all(...request.values) });
      } else if (request.do === 'change') {
        reply({ call, changed: Number(prepared(request.sql).run(...request.values).changes) });
      } else {
        database.close();
        reply({ call });
        parentPort?.close();
      }
    } catch (error) {
      reply({ call, failed: reason(error) });
    }
  };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure';
}

if (parentPort !== null) {
  const port = parentPort;
  const reply = (message: WorkerReply): void => port.postMessage(message);
  try {
    port.on('message', serve(open(workerData as WorkerStart), reply));
    reply({ call: 0 });
    tidyThread();
  } catch (error) {
    reply({ call: 0, failed: reason(error) });
    port.close();
  }
}
