/**
 * Two programs that are timed against each other, in turn: both are started, and only one is let run at a time (SIGSTOP, SIGCONT).
 *
 * On a shared machine the same program is half as fast in one minute as in another, and by up to 3 % for as long as a process lives.
 * Turns of about a second let both see the same minutes; fresh pairs of processes see different memory.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';

/** Repetitions that a turn is to hold: the end of a turn spoils one of them. */
const repetitionsPerTurn = 4;

/**
 * How long each goes on before it is the other's turn, in milliseconds: with half a second, five pairs of equal llama-bench processes lay within
 * 2 % of each other. Longer where repetitions are long: in turns hardly longer than one of them, only those lucky enough to fit were counted.
 * @param repetitionMs about how long a repetition takes
 */
export function turnFor(repetitionMs: number): number {
  return Math.max(500, repetitionsPerTurn * repetitionMs);
}

/** The repetitions that no turn of the other interrupted. @param ms of each repetition @param turnMs how long the turns were */
export function uninterrupted(ms: readonly number[], turnMs: number): number[] {
  const longest = Math.min(...ms) + 0.9 * turnMs;
  return ms.filter((one) => one < longest);
}

/** Lets two processes run in turn until both have ended; gives what each wrote. @param turnMs how long a turn is @throws {Error} when one fails */
export async function inTurn(a: ChildProcess, b: ChildProcess, turnMs: number): Promise<[string, string]> {
  const both = [a, b].map((child) => {
    const state = { output: '', errors: '', ended: false, code: null as number | null };
    child.stdout?.on('data', (chunk: Buffer) => (state.output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (state.errors = (state.errors + chunk.toString()).slice(-2000)));
    const end = new Promise<void>((resolve) => child.once('close', (code) => {
      state.ended = true;
      state.code = code;
      resolve();
    }));
    child.kill('SIGSTOP');
    return { child, state, end };
  });
  const killAll = (): void => {
    for (const { child, state } of both) if (!state.ended) child.kill('SIGKILL');
  };
  const interrupted = (): void => {
    killAll(); // a stopped process would stay
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  try {
    for (let turn = 0; both.some(({ state }) => !state.ended); turn++) {
      const { child, state, end } = both[turn % 2] as (typeof both)[number];
      if (state.ended) continue;
      child.kill('SIGCONT');
      await Promise.race([wait(turnMs), end]);
      if (!state.ended) child.kill('SIGSTOP');
    }
  } finally {
    process.off('SIGINT', interrupted);
    killAll();
  }
  for (const { state } of both) if (state.code !== 0) throw new Error(`A measured process ended with ${state.code}: ${state.errors}`);
  return both.map(({ state }) => state.output) as [string, string];
}
