/** Measures several ways to the same upstream, round by round in turns, so that what the machine does meanwhile meets all of them. */
import { load, quantile, type LoadResult } from './load.ts';
import { cpuSeconds } from './processes.ts';
import type { Side } from './sides.ts';

/** One round of one side. */
export interface Round extends LoadResult {
  /** Processor time of all its threads, microseconds a request; NaN where the system does not say. */
  readonly cpuMicroseconds: number;
}

/** What to send in every round. */
export interface Scenario {
  readonly connections: number;
  readonly streamed: boolean;
  readonly rounds: number;
  readonly secondsPerRound: number;
}

/**
 * All rounds of all sides, in the order of the sides.
 * @throws when a request failed
 */
export async function inTurns(sides: readonly Side[], { connections, streamed, rounds, secondsPerRound }: Scenario): Promise<readonly (readonly Round[])[]> {
  const results = sides.map((): Round[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, side] of sides.entries()) {
      const before = cpuSeconds(side.pid) ?? Number.NaN;
      const result = await load(side.target(streamed), connections, 1_000_000, secondsPerRound);
      if (result.failures > 0) throw new Error(`${side.name}: ${result.failures} of ${result.requests} requests failed`);
      results[index]?.push({ ...result, cpuMicroseconds: (((cpuSeconds(side.pid) ?? Number.NaN) - before) / result.requests) * 1e6 });
    }
  }
  return results;
}

/** The median of a field over rounds. */
export function medianOf(rounds: readonly Round[], field: keyof Round): number {
  return quantile(rounds.map((round) => round[field]), 0.5);
}

/** Sends the same number of requests to every side, whole and streamed: compilers need some ten thousand to settle. */
export async function warm(sides: readonly Side[], requests: number): Promise<void> {
  for (const side of sides) {
    for (const streamed of [false, true]) await load(side.target(streamed), 16, requests);
  }
}
