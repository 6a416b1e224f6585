/** Runs the trainer's Python as a process: its lines as they come, cancelling in order, and how it ended. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { delimiter } from 'node:path';
import { fail } from '../errors.ts';
import { readLine, type TrainerLine } from './events.ts';
import { setupHint, trainerFolder, trainerPython, type Env } from './place.ts';

/** How long a cancelled run may take to write its checkpoint before it is killed. Milliseconds. */
const stopTimeoutMs = 120_000;
/** Lines of standard error that are kept for the message of a failure. */
const keptLines = 30;

/** How to run it. */
export interface TrainerRun {
  /** Arguments after `python -m tandem_trainer`. */
  readonly args: readonly string[];
  /** Folder that relative paths of the job start from. */
  readonly cwd: string;
  readonly env: Env;
  /** Asks the run to end after the step under way, with a checkpoint. */
  readonly signal: AbortSignal;
  /** Takes each line of standard output. */
  readonly onLine: (line: TrainerLine) => void;
  /** Takes each line of standard error. */
  readonly onNote?: (line: string) => void;
}

/** How it ended. */
export interface TrainerEnd {
  /** The exit status; null when it was killed. */
  readonly status: number | null;
  /** Last lines of standard error. */
  readonly notes: readonly string[];
}

/** Runs the trainer to its end. @throws {TandemError} trainer_missing */
export async function runTrainer({ args, cwd, env, signal, onLine, onNote }: TrainerRun): Promise<TrainerEnd> {
  const python = trainerPython(env) ?? fail('trainer_missing', `The trainer has no Python yet; ${setupHint}.`);
  const path = [trainerFolder, env['PYTHONPATH'] ?? ''].filter((part) => part !== '').join(delimiter);
  const child = spawn(python, ['-u', '-m', 'tandem_trainer', ...args], { cwd, env: { TANDEM_COMMAND: JSON.stringify(process.argv.slice(0, 2)), ...env, PYTHONPATH: path } as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  const notes: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => onLine(readLine(line)));
  createInterface({ input: child.stderr }).on('line', (line) => {
    notes.push(line);
    if (notes.length > keptLines) notes.shift();
    onNote?.(line);
  });
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGINT');
    timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    const status = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)).catch((cause: unknown) =>
      fail('trainer_missing', { message: `The Python of the trainer cannot be started (TANDEM_TRAINER_PYTHON, or the virtual environment); ${setupHint}.`, cause }),
    );
    if (status !== 0 && notes.some((line) => /No module named /.test(line))) {
      const module = /No module named '?([\w.]+)/.exec(notes.join('\n'))?.[1] ?? 'a package';
      fail('trainer_missing', `The Python of the trainer lacks ${module}; ${setupHint}.`);
    }
    return { status, notes };
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
  }
}
