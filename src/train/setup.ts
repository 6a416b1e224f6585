/** Makes the virtual environment of the trainer: a Python that is new enough, `venv`, and pip with the pinned packages. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fail } from '../errors.ts';
import { environmentFolder, pythonIn, trainerFolder, type Env } from './place.ts';

/** The oldest Python that the trainer runs on. */
export const pythonMin = '3.11';

/** How to set up. */
export interface SetupOptions {
  readonly env: Env;
  /** A Python to build on. Default: the first of python3, python3.14 ... python3.11, python in the path that is new enough. */
  readonly python?: string;
  /** A package index that pip asks besides its own, such as PyTorch's for builds without CUDA. */
  readonly index?: string;
  readonly signal: AbortSignal;
  /** Told of each step, and of what pip says. */
  readonly onProgress: (step: string) => void;
}

/** What was made. */
export interface SetUp {
  /** Folder of the virtual environment. */
  readonly folder: string;
  /** Its Python. */
  readonly python: string;
  /** Version of PyTorch in it. */
  readonly torch: string;
}

interface Ran {
  readonly status: number | null;
  readonly output: readonly string[];
}

/** Makes the environment, or brings it up to date. Runs again without harm. @throws {TandemError} trainer_missing, cancelled */
export async function setUpTrainer(options: SetupOptions): Promise<SetUp> {
  const { env, signal, onProgress } = options;
  const base = await findPython(options);
  const folder = environmentFolder(env);
  const python = pythonIn(folder);
  mkdirSync(dirname(folder), { recursive: true });
  onProgress(`Making a virtual environment with Python ${base.version}.`);
  const made = await run(base.path, ['-m', 'venv', folder], options);
  if (made.status !== 0) missing('Python cannot make a virtual environment (on Debian and Ubuntu: install the package python3-venv)', made);
  onProgress('Fetching the packages of the trainer; PyTorch is large.');
  const index = options.index === undefined ? [] : ['--extra-index-url', options.index];
  const installed = await run(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--progress-bar', 'off', ...index, '-r', join(trainerFolder, 'requirements.txt')], options);
  if (installed.status !== 0) missing('pip could not install the packages of the trainer (is there a network, and room on the disk?)', installed);
  onProgress('Checking that the trainer starts.');
  const checked = await run(python, ['-c', 'import torch, tokenizers, gguf; print(torch.__version__)'], options);
  if (checked.status !== 0) missing('The packages of the trainer do not load', checked);
  if (signal.aborted) fail('cancelled', 'The set-up was cancelled.');
  return { folder, python, torch: checked.output.at(-1) ?? '' };
}

async function findPython(options: SetupOptions): Promise<{ readonly path: string; readonly version: string }> {
  const tried: string[] = [];
  const names = options.python === undefined ? ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python'] : [options.python];
  for (const path of names) {
    const { status, output } = await run(path, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { ...options, onProgress: () => undefined });
    const version = output.at(-1) ?? '';
    if (status === 0 && newEnough(version)) return { path, version };
    tried.push(status === 0 ? `${path} is ${version}` : `${path} does not start`);
  }
  return fail('trainer_missing', `The trainer needs Python ${pythonMin} or newer: ${tried.join(', ')}. Install Python, or name one with --python <file>.`);
}

function newEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin = 0, minorMin = 0] = pythonMin.split('.').map(Number);
  return major > majorMin || (major === majorMin && minor >= minorMin);
}

/** Runs a program and hands its lines to `onProgress`; status null when it does not start. @throws {TandemError} cancelled */
async function run(file: string, args: readonly string[], { env, signal, onProgress }: SetupOptions): Promise<Ran> {
  if (signal.aborted) fail('cancelled', 'The set-up was cancelled.');
  const child = spawn(file, args, { env: env as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'], signal });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      output.push(line);
      onProgress(line.trim());
    });
  }
  const status = await new Promise<number | null>((resolve) => child.once('error', () => resolve(null)).once('close', resolve));
  if (signal.aborted) fail('cancelled', 'The set-up was cancelled.');
  return { status, output };
}

function missing(what: string, { output }: Ran): never {
  const said = output.findLast((line) => /error/i.test(line)) ?? output.at(-1) ?? 'nothing was said';
  return fail('trainer_missing', { message: `${what}: ${said.trim()}`, cause: output.join('\n') });
}
