/**
 * Circuit breakers: which members have failed lately. One set a process, shared by all requests and recipes; `ask`
 * reports every outcome, `failover` reads them. The thresholds are the reader's, so that one set serves all knobs.
 *
 * Source: the circuit-breaker pattern (M. Nygard, Release It!, 2007).
 */
import type { ErrorCode } from '../errors.ts';
import type { Clock } from '../system/clock.ts';

/** When a breaker counts as open. */
export interface BreakerLimits {
  /** Failures in a row that open it; at least 1. */
  readonly failuresMax: number;
  /** Time from the last failure until one call may try again, in milliseconds. */
  readonly cooldownMs: number;
}

interface Outcomes {
  failures: number;
  lastFailureMs: number;
  /** When a trial call was let through; undefined while none is under way. */
  trialMs: number | undefined;
}

/** Failures that say something about the member's health, rather than about the request. */
const unhealthy: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_unreachable', 'upstream_timeout', 'upstream_auth', 'upstream_rate_limited', 'upstream_failed',
  'upstream_malformed', 'upstream_truncated', 'engine_failed', 'engine_out_of_memory', 'engine_unavailable',
  'model_file_missing', 'model_file_invalid', 'overloaded', 'internal',
]);

/** Whether a failure speaks against the member rather than the request. */
export function saysUnhealthy(code: ErrorCode): boolean {
  return unhealthy.has(code);
}

/** What is known of the members' health. */
export class Breakers {
  readonly #clock: Clock;
  readonly #outcomes = new Map<string, Outcomes>();

  /** @param clock where time comes from */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A call ended well: the breaker closes. */
  succeeded(member: string): void {
    if (this.#outcomes.size > 0) this.#outcomes.delete(member);
  }

  /** A call failed with this code. Codes that are the request's fault are not counted. */
  failed(member: string, code: ErrorCode): void {
    if (!unhealthy.has(code)) return;
    const failures = (this.#outcomes.get(member)?.failures ?? 0) + 1;
    this.#outcomes.set(member, { failures, lastFailureMs: this.#clock.monotonicMs(), trialMs: undefined });
  }

  /** Failures in a row. */
  failures(member: string): number {
    return this.#outcomes.get(member)?.failures ?? 0;
  }

  /**
   * Whether a member may be called now: its breaker is closed, or it has cooled down and no other trial is under way.
   * Letting a trial through holds others back for another cool-down, or until its outcome is known.
   */
  admits(member: string, limits: BreakerLimits): boolean {
    const outcomes = this.#outcomes.get(member);
    if (outcomes === undefined || outcomes.failures < limits.failuresMax) return true;
    const now = this.#clock.monotonicMs();
    if (now - Math.max(outcomes.lastFailureMs, outcomes.trialMs ?? -Infinity) < limits.cooldownMs) return false;
    outcomes.trialMs = now;
    return true;
  }
}
