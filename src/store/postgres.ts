/** The Postgres driver. Needs the package `pg`, which is loaded only when `DATABASE_URL` is set. */
import type { Pool, PoolClient, QueryConfig } from 'pg';
import { TandemError } from '../errors.ts';
import type { Driver, Query, SqlValue } from './driver.ts';
import { migrations, migrationsTable, schemaVersion } from './schema.ts';

type Pg = typeof import('pg');

/** How to reach the server. */
export interface PostgresSettings {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  readonly nowMs: number;
  /** Connections at most. Default 4. */
  readonly connectionsMax?: number;
  /** How long the server may take to answer a query, in milliseconds; then the query fails and its connection is dropped. Default 10,000. Migrations have 10 minutes. */
  readonly queryTimeoutMs?: number;
}

/** How long a connection may take to be made, in milliseconds. */
const connectTimeoutMs = 10_000;
/** How long a query may take. A line that fell silent tells nobody, so that without an end everything that needs the store would wait for good. Milliseconds. */
const queryTimeoutMsUsual = 10_000;
/** How long a statement of a migration may take, and the wait for another process that migrates. Milliseconds. */
const migrationTimeoutMs = 600_000;
/** Pause before the first probe of a silent connection (TCP keep-alive). Milliseconds. */
const probeAfterMs = 10_000;
/** Any number: keeps two processes from migrating at once. */
const migrationLock = 7_203_548_115;
/** Postgres takes 65,535 values in one statement. */
const valuesMax = 60_000;

/** Connects and brings the schema up to date. @throws {TandemError} store_failed, dependency_missing */
export async function openPostgres(settings: PostgresSettings): Promise<Driver> {
  const { Pool } = await load();
  const { url, connectionsMax = 4, queryTimeoutMs = queryTimeoutMsUsual } = settings;
  const limits = { max: connectionsMax, connectionTimeoutMillis: connectTimeoutMs, query_timeout: queryTimeoutMs, allowExitOnIdle: true };
  const pool = new Pool({ connectionString: url, ...limits, keepAlive: true, keepAliveInitialDelayMillis: probeAfterMs });
  pool.on('error', () => undefined); // an idle connection broke; the next call opens another
  pool.on('connect', (client) => client.on('error', () => undefined)); // one broke in use: its query rejects, and the pool drops it
  let closing: Promise<void> | undefined;
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (closing !== undefined) throw new TandemError('store_failed', { message: 'The store is closed.' });
    try {
      return await work();
    } catch (error) {
      throw failure(error);
    }
  };
  try {
    await inTransaction(pool, (client) => migrate(client, settings.nowMs));
  } catch (error) {
    await pool.end();
    throw failure(error);
  }
  return {
    insert: (sql, rows) => guarded(() => inTransaction(pool, (client) => insertAll(client, sql, rows))),
    read: (query) => guarded(async () => (await pool.query<Record<string, unknown>>(numbered(query.sql), [...query.values])).rows),
    change: (query) => guarded(async () => (await pool.query(numbered(query.sql), [...query.values])).rowCount ?? 0),
    close: () => (closing ??= pool.end()),
  };
}

async function load(): Promise<Pg> {
  try {
    return (await import('pg')).default as unknown as Pg;
  } catch (error) {
    throw new TandemError('dependency_missing', { message: 'DATABASE_URL is set, which needs the package pg: npm install pg.', cause: error });
  }
}

async function migrate(client: PoolClient, nowMs: number): Promise<void> {
  // The driver takes the time-out of one query here, which its types do not know.
  const patiently = (text: string, values: readonly SqlValue[] = []): Promise<unknown> => client.query({ text, values: [...values], query_timeout: migrationTimeoutMs } as QueryConfig);
  await patiently('SELECT pg_advisory_xact_lock($1)', [migrationLock]);
  await patiently(migrationsTable);
  const { rows } = await client.query<{ version: string }>('SELECT COALESCE(MAX(version), 0) AS version FROM tandem_migrations');
  const at = Number(rows[0]?.version ?? 0);
  if (at > schemaVersion) throw new TandemError('store_failed', { message: `The database has schema ${at}, this version of Tandem knows ${schemaVersion}.` });
  for (const { version, about, statements } of migrations.filter((step) => step.version > at)) {
    for (const statement of statements) await patiently(statement);
    await client.query('INSERT INTO tandem_migrations (version, about, applied_at_ms) VALUES ($1, $2, $3)', [version, about, nowMs]);
  }
}

/** `INSERT … VALUES (?, ?) …` with as many rows a statement as Postgres takes: one round trip instead of thousands. */
async function insertAll(client: PoolClient, sql: string, rows: readonly (readonly SqlValue[])[]): Promise<void> {
  const group = /VALUES \([?, ]+\)/;
  const columns = rows[0]?.length ?? 1;
  const step = Math.floor(valuesMax / columns);
  for (let from = 0; from < rows.length; from += step) {
    const some = rows.slice(from, from + step);
    const places = some.map((_, row) => `(${Array.from({ length: columns }, (_, column) => `$${row * columns + column + 1}`).join(', ')})`);
    await client.query(sql.replace(group, `VALUES ${places.join(', ')}`), some.flat());
  }
}

async function inTransaction(pool: Pool, work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await work(client);
    await client.query('COMMIT');
  } catch (error) {
    client.release(true); // closing the connection rolls back, also where the server does not answer
    throw error;
  }
  client.release();
}

function numbered(sql: string): string {
  let place = 0;
  return sql.replace(/\?/g, () => `$${++place}`);
}

/** The server's own code only: its messages can hold values. */
function failure(error: unknown): TandemError {
  if (TandemError.is(error)) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no connection';
  return new TandemError('store_failed', { message: `The Postgres server of DATABASE_URL refused: ${code}.`, cause: error });
}
