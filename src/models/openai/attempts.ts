/**
 * When a failed call is made again: where the server did nothing for it, since what it may have worked on it may charge for.
 * Exponential back-off with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015), never shorter than the server's
 * Retry-After, never beyond the total time-out. Where the server asks for more patience than there is, the failure is handed on.
 */
import { TandemError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Random } from '../../system/random.ts';
import type { Call, Traffic } from '../port.ts';
import { UpstreamError, noteFate, timedOut } from './failure.ts';

/** Longest wait before the first retry; doubles with each. Milliseconds. */
const FIRST_WAIT_MS = 250;
/** Longest wait that jitter gives. Milliseconds. */
const WAIT_MS_MAX = 8_000;

/** What surrounds the attempts of one call. */
export interface AttemptSettings {
  readonly member: string;
  readonly retriesMax: number;
  readonly totalTimeoutMs: number;
  /** Milliseconds that are waited at most because the server asks for it, all retries together. */
  readonly retryAfterMsMax: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** The attempts of one call, which share its total time-out. */
export class Attempts {
  /** What all of them put on the line. */
  readonly traffic: Traffic;
  readonly #settings: AttemptSettings;
  readonly #call: Call;
  readonly #endMs: number;
  #failed = 0;
  /** Milliseconds that may still be waited because the server asks for it. */
  #patienceMs: number;

  constructor(settings: AttemptSettings, call: Call) {
    this.#settings = settings;
    this.#call = call;
    this.traffic = call.traffic ?? { bytesUp: 0, bytesDown: 0, work: 'none' };
    this.#patienceMs = call.replaceable === true ? Math.min(FIRST_WAIT_MS, settings.retryAfterMsMax) : settings.retryAfterMsMax;
    this.#endMs = settings.clock.monotonicMs() + settings.totalTimeoutMs;
  }

  /** Milliseconds that are left of the total time-out. @throws {TandemError} upstream_timeout */
  leftMs(): number {
    const { clock, member, totalTimeoutMs } = this.#settings;
    const left = this.#endMs - clock.monotonicMs();
    if (left <= 0) throw timedOut(member, 'totalTimeoutMs', totalTimeoutMs);
    return left;
  }

  /** Resolves when the next attempt may begin. @throws {TandemError} the error itself where no attempt is left; cancelled */
  async again(error: unknown): Promise<void> {
    const { clock, random, retriesMax } = this.#settings;
    noteFate(this.traffic, error);
    if (!(error instanceof UpstreamError) || error.fate !== 'again' || this.#failed >= retriesMax) throw error;
    const jitterMs = random.next() * Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** this.#failed);
    const askedMs = error.retryAfterMs ?? 0;
    const delayMs = Math.ceil(askedMs + jitterMs);
    if (askedMs > this.#patienceMs || delayMs >= this.leftMs()) throw error;
    this.#patienceMs -= askedMs;
    this.#failed++;
    this.#call.note?.('retry', { attempt: this.#failed, code: error.code, delayMs });
    try {
      await clock.sleep(delayMs, this.#call.signal);
    } catch (reason) {
      throw new TandemError('cancelled', { message: 'The request was cancelled.', cause: reason });
    }
  }
}
