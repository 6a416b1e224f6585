/**
 * The store contract: traces, feedback and spending, on an embedded SQL store or on Postgres.
 *
 * Writing a trace returns at once; it reaches the file within `flushMs`, off the hot path. Killing the process loses at
 * most that much and never damages the store.
 */
import type { TrafficLog } from '../policy/pacing.ts';
import type { SpendLedger } from '../policy/purse.ts';
import type { Journal } from '../recipes/pilot/journal.ts';
import type { TraceRecord } from '../trace/trace.ts';

/** A trace in a list. */
export type TraceSummary = Omit<TraceRecord, 'spans'>;

/** Which traces to list. */
export interface TraceQuery {
  /** 1 to 1000; default 50. */
  readonly limit?: number;
  /** Only traces that began before this time (milliseconds since 1970); for paging. */
  readonly beforeMs?: number;
  /** With `beforeMs`: also those of that very millisecond whose id sorts before this one, as the last one of a page goes on in the next. */
  readonly beforeId?: string;
  readonly caller?: string;
  readonly recipe?: string;
  /** `ok` or an error code. */
  readonly outcome?: string;
}

/** What a user said of an answer. */
export interface Feedback {
  readonly traceId: string;
  readonly atMs: number;
  readonly caller: string;
  /** 0 (bad) to 1 (good). */
  readonly score: number;
  /** What kind of judgement it is, such as `thumb`, `edit`, `judge`. */
  readonly source: string;
}

/** Where records live. */
export interface Store {
  /** Queues a trace for writing. Never throws; a full queue drops the oldest and counts it. */
  writeTrace(record: TraceRecord): void;
  /** @throws {TandemError} store_failed */
  getTrace(id: string): Promise<TraceRecord | undefined>;
  /** Newest first. */
  listTraces(query: TraceQuery): Promise<readonly TraceSummary[]>;
  writeFeedback(feedback: Feedback): Promise<void>;
  listFeedback(traceId: string): Promise<readonly Feedback[]>;
  /** Dollars that a caller has spent since a time. */
  spentUsd(caller: string, sinceMs: number): Promise<number>;
  /** Decisions of the pilot and their rewards, shared by all replicas. A store without one keeps them in the process. */
  readonly journal?: Journal;
  /** Leases of the budget, shared by all replicas. A store without one grants them in the process. */
  readonly ledger?: SpendLedger;
  /** Requests by hour of all replicas, for the pace of the budget. A store without them keeps them in the process. */
  readonly traffic?: TrafficLog;
  /** Traces that were dropped since the start because the queue was full. */
  readonly droppedTraces: number;
  /** Resolves when everything queued is in the file. */
  flush(): Promise<void>;
  /** Writes what is queued and lets go of the database. Ends in time even where the database does not answer: what is not written by then is lost. */
  close(): Promise<void>;
}
