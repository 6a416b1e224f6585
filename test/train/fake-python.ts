/**
 * A stand-in for the trainer's Python: a script that is called as `python -u -m tandem_trainer <args>` and plays a run from a plan in the
 * environment variable `FAKE_RUN`: lines to print, milliseconds between them, the exit status, whether it ends on SIGINT.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the stand-in does. */
export interface FakeRun {
  readonly events?: readonly unknown[];
  readonly notes?: readonly string[];
  readonly status?: number;
  /** Waits for SIGINT, then prints these and leaves with 0. */
  readonly onInterrupt?: readonly unknown[];
}

const script = `#!${process.execPath}
const run = JSON.parse(process.env.FAKE_RUN ?? '{}');
for (const line of run.notes ?? []) console.error(line);
for (const event of run.events ?? []) console.log(typeof event === 'string' ? event : JSON.stringify(event));
console.log(JSON.stringify({ event: 'called', args: process.argv.slice(2), path: process.env.PYTHONPATH }));
if (run.onInterrupt === undefined) process.exitCode = run.status ?? 0;
else {
  const timer = setInterval(() => undefined, 1000);
  process.on('SIGINT', () => { for (const event of run.onInterrupt) console.log(JSON.stringify(event)); clearInterval(timer); });
}
`;

/** Writes the stand-in into a folder and gives the environment that uses it. */
export function fakePython(folder: string, run: FakeRun = {}): Record<string, string> {
  const path = join(folder, 'python.cjs');
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return { TANDEM_TRAINER_PYTHON: path, FAKE_RUN: JSON.stringify(run) };
}
