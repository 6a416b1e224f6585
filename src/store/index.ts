/**
 * Opens the store: an SQLite file in a thread of its own, or Postgres when the variable `DATABASE_URL` is set. Both hold
 * the same tables and pass the same suite of tests.
 */
import type { Config } from '../config.ts';
import type { Clock } from '../system/clock.ts';
import { atMost } from '../system/waits.ts';
import type { Driver } from './driver.ts';
import { journalOn, ledgerOn } from './journal.ts';
import { openPostgres } from './postgres.ts';
import { TraceQueue } from './queue.ts';
import { deleteBefore, deletedAtOnceMax, feedbackOf, feedbackRow, insertFeedback, insertTrace, selectFeedback, selectSpent, selectSummaries, selectTrace, summaryOf, traceOf, traceRow } from './rows.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';
import { trafficOn } from './traffic.ts';

export type { Feedback, Store, TraceQuery, TraceSummary } from './store.ts';

/** What the store is given of the outside world. */
export interface StoreContext {
  /** Folder that `store.path` starts from. */
  readonly baseDir: string;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Traces that wait for the database at most. Default 10,000. */
  readonly queuedTracesMax?: number;
  /** How long to wait for another process's lock on the file, in milliseconds. Default 5000. */
  readonly busyTimeoutMs?: number;
  /** How long Postgres may take to answer a query, in milliseconds. Default 10,000. */
  readonly queryTimeoutMs?: number;
  /** How long closing the store may take, in milliseconds; what is not written by then is lost. Default 10,000. */
  readonly closeTimeoutMs?: number;
}

const dayMs = 86_400_000;
const sweepEveryMs = 3_600_000;
const retryMs = 1_000;
const closeMs = 10_000;

/** Opens the store and drops what is older than `traceDaysMax`. @throws {TandemError} store_failed, dependency_missing */
export async function openStore(settings: Config['store'], context: StoreContext): Promise<Store> {
  const { baseDir, clock, env, busyTimeoutMs, queryTimeoutMs, closeTimeoutMs = closeMs } = context;
  const url = env['DATABASE_URL'];
  const nowMs = Math.round(clock.wallMs());
  const driver =
    url === undefined || url === ''
      ? await openSqlite({ path: settings.path, baseDir, nowMs, ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }) })
      : await openPostgres({ url, nowMs, ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }) });
  const sweep = (): Promise<void> => dropOld(driver, clock.wallMs() - settings.traceDaysMax * dayMs);
  try {
    await sweep();
  } catch (error) {
    await driver.close();
    throw error;
  }
  const sweeper = setInterval(() => void sweep().catch(() => undefined), sweepEveryMs);
  sweeper.unref();
  const queue = new TraceQueue({
    flushMs: settings.flushMs,
    tracesMax: context.queuedTracesMax ?? 10_000,
    retryMs,
    write: (batch) => driver.insert(insertTrace, batch.map(traceRow)),
  });
  return storeOn(driver, queue, closeTimeoutMs, () => clearInterval(sweeper));
}

async function dropOld(driver: Driver, beforeMs: number): Promise<void> {
  for (const table of ['traces', 'feedback', 'pilot_journal', 'traffic_hours'] as const) {
    while ((await driver.change(deleteBefore(table, beforeMs))) >= deletedAtOnceMax);
  }
}

/** Reads see what was queued before them. */
function storeOn(driver: Driver, queue: TraceQueue, closeTimeoutMs: number, stop: () => void): Store {
  let closing: Promise<void> | undefined;
  const settled = (): Promise<void> => queue.flush();
  const journal = journalOn(driver);
  const end = async (): Promise<void> => {
    stop();
    await queue.close();
    await journal.flush().catch(() => undefined);
    await driver.close();
  };
  return {
    journal,
    ledger: ledgerOn(driver),
    traffic: trafficOn(driver),
    writeTrace: (record) => queue.push(record),
    getTrace: async (id) => {
      await settled();
      const [row] = await driver.read(selectTrace(id));
      return row === undefined ? undefined : traceOf(row);
    },
    listTraces: async (query) => {
      await settled();
      return (await driver.read(selectSummaries(query))).map(summaryOf);
    },
    writeFeedback: (feedback) => driver.insert(insertFeedback, [feedbackRow(feedback)]),
    listFeedback: async (traceId) => (await driver.read(selectFeedback(traceId))).map(feedbackOf),
    spentUsd: async (caller, sinceMs) => {
      await settled();
      return Number((await driver.read(selectSpent(caller, sinceMs)))[0]?.['spent'] ?? 0);
    },
    get droppedTraces() {
      return queue.dropped;
    },
    flush: settled,
    close: () => (closing ??= atMost(closeTimeoutMs, end())),
  };
}
