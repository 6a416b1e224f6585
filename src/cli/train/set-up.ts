/** `tandem train --setup`: makes the virtual environment of the trainer and says what is done. */
import { interruptSignal } from '../open-runtime.ts';
import { note, print, printJson, type Terminal } from '../terminal.ts';

/** Options of the command. */
export interface SetupCommandOptions {
  readonly python?: string;
  readonly index?: string;
  readonly json?: boolean;
}

/** Sets the trainer up. @throws {TandemError} trainer_missing, cancelled */
export async function runSetup(terminal: Terminal, { python, index, json }: SetupCommandOptions): Promise<void> {
  const { setUpTrainer } = await import('../../train/setup.ts');
  const interrupt = interruptSignal();
  const live = terminal.error.isTTY === true && json !== true;
  const onProgress = (step: string): void => {
    if (json === true || step === '') return;
    if (live) terminal.error.write(`\r\u001b[2K${step.slice(0, (terminal.error.columns ?? 80) - 1)}`);
    else if (/^(Making|Fetching|Checking) /.test(step)) note(terminal, step);
  };
  try {
    const made = await setUpTrainer({ env: terminal.env, signal: interrupt.signal, onProgress, ...(python === undefined ? {} : { python }), ...(index === undefined ? {} : { index }) });
    if (live) terminal.error.write('\r\u001b[2K');
    if (json === true) return printJson(terminal, made);
    print(terminal, `The trainer is ready: PyTorch ${made.torch} in ${made.folder}.`, 'Next: tandem train job.json (docs/training.md)');
  } finally {
    interrupt.release();
  }
}
