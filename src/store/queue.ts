/**
 * Traces on their way to the database. Taking one costs the request an array slot; every `flushMs`, or sooner when much
 * has gathered, it is written in one transaction. Only one batch is under way at a time; while the database is slow or
 * fails, the rest waits here, and beyond `tracesMax` the oldest is dropped and counted.
 */
import type { TraceRecord } from '../trace/trace.ts';

/** How the queue behaves. */
export interface QueueSettings {
  /** Milliseconds after which a waiting trace is handed over. */
  readonly flushMs: number;
  /** Traces that wait at most. */
  readonly tracesMax: number;
  /** Pause after a failed write, in milliseconds. */
  readonly retryMs: number;
  /** Writes a batch in one transaction. */
  readonly write: (batch: readonly TraceRecord[]) => Promise<void>;
}

/** Traces that one transaction takes at most: making their text holds up the thread for a few milliseconds. */
const batchMax = 512;
/** So many waiting traces are handed over without waiting for the time to pass. What waits is what V8's collector of young objects has to carry, so it is kept short. */
const enough = 64;

/** A bounded queue in front of a database. */
export class TraceQueue {
  private readonly settings: QueueSettings;
  private waiting: TraceRecord[] = [];
  private head = 0;
  private timer: NodeJS.Timeout | undefined;
  private underWay: Promise<void> | undefined;
  private takenCount = 0;
  private writtenCount = 0;
  private droppedCount = 0;
  private closed = false;

  /** @param settings how it behaves */
  constructor(settings: QueueSettings) {
    this.settings = settings;
  }

  /** Traces lost since the start: the queue was full, or closed. */
  get dropped(): number {
    return this.droppedCount;
  }

  /** Takes a trace. Never throws. */
  push(record: TraceRecord): void {
    this.takenCount++;
    if (this.closed) {
      this.droppedCount++;
      return;
    }
    this.waiting.push(record);
    this.trim();
    if (this.underWay !== undefined) return;
    if (this.timer === undefined) this.wake(this.settings.flushMs);
    else if (this.waiting.length - this.head === enough) this.wake(0);
  }

  /** Resolves when everything that was taken before is written. @throws {TandemError} store_failed; the traces then go on waiting */
  async flush(): Promise<void> {
    const { takenCount } = this;
    while (this.underWay !== undefined) await this.underWay.catch(() => undefined);
    while (this.writtenCount + this.droppedCount < takenCount) await this.start();
  }

  /** Writes what it can and takes nothing more; what cannot be written is dropped and counted. */
  async close(): Promise<void> {
    this.closed = true;
    await this.flush().catch(() => {
      this.droppedCount += this.waiting.length - this.head;
      this.waiting = [];
      this.head = 0;
    });
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private wake(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.underWay === undefined && this.waiting.length > this.head) this.start().catch(() => undefined);
    }, ms);
  }

  /** Hands one batch over. Rejects, and keeps the batch, when it was not written. */
  private start(): Promise<void> {
    if (this.underWay !== undefined) return this.underWay;
    clearTimeout(this.timer);
    this.timer = undefined;
    const batch = this.take();
    this.underWay = this.settings.write(batch).then(
      () => {
        this.writtenCount += batch.length;
        this.done(this.waiting.length - this.head >= enough ? 0 : this.settings.flushMs);
      },
      (error: unknown) => {
        this.waiting = [...batch, ...this.waiting.slice(this.head)];
        this.head = 0;
        this.trim();
        this.done(this.settings.retryMs);
        throw error;
      },
    );
    return this.underWay;
  }

  private done(nextMs: number): void {
    this.underWay = undefined;
    if (this.waiting.length > this.head) this.wake(nextMs);
  }

  private take(): TraceRecord[] {
    const end = Math.min(this.waiting.length, this.head + batchMax);
    const batch = this.waiting.slice(this.head, end);
    if (end === this.waiting.length) {
      this.waiting = [];
      this.head = 0;
    } else {
      this.head = end;
    }
    return batch;
  }

  private trim(): void {
    const { tracesMax } = this.settings;
    if (this.waiting.length - this.head <= tracesMax) return;
    const over = this.waiting.length - this.head - tracesMax;
    this.head += over;
    this.droppedCount += over;
    if (this.head >= tracesMax) {
      this.waiting = this.waiting.slice(this.head);
      this.head = 0;
    }
  }
}
