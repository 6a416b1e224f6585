/** The Postgres driver. Needs the package `pg`, which is loaded only when `DATABASE_URL` is set. */
import type { Pool, PoolClient } from 'pg';
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
}

/** Any number: keeps two processes from migrating at once. */
const migrationLock = 7_203_548_115;
/** Postgres takes 65,535 values in one statement. */
const valuesMax = 60_000;

/** Connects and brings the schema up to date. @throws {TandemError} store_failed, dependency_missing */
export async function openPostgres(settings: PostgresSettings): Promise<Driver> {
  const { Pool } = await load();
  const pool = new Pool({ connectionString: settings.url, max: settings.connectionsMax ?? 4, connectionTimeoutMillis: 10_000, allowExitOnIdle: true });
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
  await client.query('SELECT pg_advisory_xact_lock($1)', [migrationLock]);
  await client.query(migrationsTable);
  const { rows } = await client.query<{ version: string }>('SELECT COALESCE(MAX(version), 0) AS version FROM tandem_migrations');
  const at = Number(rows[0]?.version ?? 0);
  if (at > schemaVersion) throw new TandemError('store_failed', { message: `The database has schema ${at}, this version of Tandem knows ${schemaVersion}.` });
  for (const { version, about, statements } of migrations.filter((step) => step.version > at)) {
    for (const statement of statements) await client.query(statement);
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
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    await work(client);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch((failed: Error) => (broken = failed));
    throw error;
  } finally {
    client.release(broken);
  }
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
