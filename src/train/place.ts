/**
 * Where the trainer and its Python stand. The trainer's source comes with Tandem; its packages live in a virtual environment:
 * `TANDEM_TRAINER_PYTHON` (a Python that has them), else `.venv` beside the trainer's source, else `trainer-venv` in the cache
 * folder, which `tandem train --setup` makes.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Environment variables. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Folder of the trainer's source. */
export const trainerFolder: string = fileURLToPath(new URL('../../trainer', import.meta.url));

/** Folder of the virtual environment that the set-up makes. */
export function environmentFolder(env: Env): string {
  return join(env['TANDEM_CACHE'] ?? join(env['HOME'] ?? homedir(), '.cache', 'tandem'), 'trainer-venv');
}

/** The Python inside a virtual environment. */
export function pythonIn(folder: string): string {
  return process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
}

/** The Python that runs the trainer; undefined when it has not been set up. */
export function trainerPython(env: Env): string | undefined {
  const named = env['TANDEM_TRAINER_PYTHON'];
  if (named !== undefined && named !== '') return named;
  return [join(trainerFolder, '.venv'), environmentFolder(env)].map(pythonIn).find((path) => existsSync(path));
}

/** Where one can choose a Python of one's own, as the messages say it. */
export const setupHint = 'tandem train --setup makes a virtual environment with what the trainer needs';
