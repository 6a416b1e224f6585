/** One training run from a job file: checks the job, runs the trainer, turns its end into a result or a catalogued error. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fail } from '../errors.ts';
import type { TrainerEvent, TrainerLine } from './events.ts';
import { readJob, type TrainingJob } from './job.ts';
import type { Env } from './place.ts';
import { runTrainer } from './process.ts';

/** What a run is started with. */
export interface TrainOptions {
  /** Path of the job file. Paths inside it are relative to `cwd`. */
  readonly file: string;
  readonly cwd: string;
  readonly env: Env;
  /** Go on from the checkpoint in the job's output folder. Without it such a checkpoint is an error. */
  readonly resume: boolean;
  readonly signal: AbortSignal;
  readonly onLine: (line: TrainerLine) => void;
  readonly onNote?: (line: string) => void;
  /** Further arguments for the trainer's `train`. */
  readonly args?: readonly string[];
}

/** How a run ended. */
export interface Trained {
  readonly job: TrainingJob;
  /** Steps done, those of earlier runs included. */
  readonly step: number;
  /** Mean loss of the last steps, nats a token; undefined when no step was reported. */
  readonly loss?: number;
  /** Whether it was asked to end before the last step. */
  readonly stopped: boolean;
  /** The checkpoint, where one was written. */
  readonly checkpoint?: string;
  /** Seconds of training, those of earlier runs included; undefined when it was stopped. */
  readonly seconds?: number;
}

/**
 * Runs a job to its end, or until the signal asks it to stop with a checkpoint.
 * @throws {TandemError} job_invalid, trainer_missing, training_failed
 */
export async function trainJob(options: TrainOptions): Promise<Trained> {
  const { cwd, env, signal, onNote } = options;
  const job = readJob(resolve(cwd, options.file));
  const earlier = join(resolve(cwd, job.output), 'checkpoint.pt');
  if (!options.resume && existsSync(earlier)) fail('job_invalid', { message: 'output: expected a folder without a checkpoint, got one of an earlier run. --resume goes on from it; another output starts anew.', param: 'output' });
  const last: { -readonly [K in keyof Trained]?: Trained[K] } = {};
  let failure: Extract<TrainerEvent, { event: 'error' }> | undefined;
  const onLine = (line: TrainerLine): void => {
    const { event } = line;
    if (event?.event === 'start') last.step = event.fromStep;
    if (event?.event === 'step') [last.step, last.loss] = [event.step, event.loss];
    if (event?.event === 'checkpoint') [last.step, last.checkpoint] = [event.step, event.path];
    if (event?.event === 'stopped') last.stopped = true;
    if (event?.event === 'end') [last.step, last.seconds] = [event.step, event.seconds];
    if (event?.event === 'error') failure = event;
    options.onLine(line);
  };
  const { status, notes } = await runTrainer({ args: ['train', resolve(cwd, options.file), ...(options.args ?? [])], cwd, env, signal, onLine, ...(onNote === undefined ? {} : { onNote }) });
  if (status !== 0 && !(signal.aborted && last.stopped === true)) failed(failure, status, notes, earlier);
  return { job, step: last.step ?? 0, stopped: last.stopped ?? false, ...(last.loss === undefined ? {} : { loss: last.loss }), ...(last.checkpoint === undefined ? {} : { checkpoint: last.checkpoint }), ...(last.seconds === undefined ? {} : { seconds: last.seconds }) };
}

/** Codes of the trainer that are mistakes of the job rather than failures of the run. */
const mistakes = new Set(['job_invalid', 'file_missing', 'file_invalid', 'data_mismatch', 'tokenizer_mismatch', 'tokenizer_unstated']);

function failed(event: Extract<TrainerEvent, { event: 'error' }> | undefined, status: number | null, notes: readonly string[], checkpoint: string): never {
  const kept = existsSync(checkpoint) ? ' The last checkpoint is kept; --resume goes on from it.' : '';
  if (event === undefined) fail('training_failed', { message: `The trainer ended with ${status === null ? 'a signal' : `status ${status}`}: ${notes.at(-1) ?? 'it said nothing'}.${kept}`, cause: notes.join('\n') });
  const remedy = event.remedy === undefined ? '' : ` ${event.remedy}`;
  fail(mistakes.has(event.code) ? 'job_invalid' : 'training_failed', `${event.message} (${event.code}).${remedy}${kept}`);
}
