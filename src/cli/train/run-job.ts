/** `tandem train <job>`: runs the job, draws the bar or passes the events on, and says how it ended. */
import { interruptSignal } from '../open-runtime.ts';
import { exitCodes, note, print, type Terminal } from '../terminal.ts';
import { TrainingBar } from './bar.ts';

/** Options of the command. */
export interface JobOptions {
  readonly resume?: boolean;
  readonly json?: boolean;
}

/** Runs a job file. @throws {TandemError} job_invalid, trainer_missing, training_failed */
export async function runJob(terminal: Terminal, file: string, options: JobOptions): Promise<void> {
  const { trainJob } = await import('../../train/train.ts');
  const interrupt = interruptSignal();
  const bar = new TrainingBar(terminal, options.json === true);
  if (options.json !== true) interrupt.signal.addEventListener('abort', () => bar.say('Stopping after this step; the checkpoint is being written.'), { once: true });
  try {
    const trained = await trainJob({
      file,
      cwd: terminal.cwd,
      env: terminal.env,
      resume: options.resume === true,
      signal: interrupt.signal,
      onLine: ({ line, event }) => {
        if (options.json === true) print(terminal, line);
        else if (event !== undefined) bar.show(event);
      },
      onNote: (line) => {
        // what fails is said once, by the error
        if (options.json !== true && !line.startsWith('tandem_trainer: ')) bar.say(line);
      },
    });
    bar.end();
    if (trained.stopped) terminal.exit.code = exitCodes.interrupted;
    if (options.json === true) return;
    const { job, step, loss, checkpoint, seconds } = trained;
    const reached = `${step} of ${job.steps} steps${loss === undefined ? '' : `, loss ${loss.toFixed(4)}`}${seconds === undefined ? '' : `, ${seconds.toFixed(0)} s`}`;
    if (trained.stopped) note(terminal, `Stopped: ${reached}. Go on with: tandem train ${file} --resume`);
    else print(terminal, `${job.name}: ${reached}.${checkpoint === undefined ? '' : ` ${checkpoint}`}`);
  } finally {
    bar.end();
    interrupt.release();
  }
}
