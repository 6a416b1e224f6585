/** `tandem train tool`: calls a command of the trainer, with its output as it is. */
import { fail } from '../../errors.ts';
import { interruptSignal } from '../open-runtime.ts';
import { exitCodes, note, print, type Terminal } from '../terminal.ts';

/** Runs `python -m tandem_trainer <name> <rest>`. @throws {TandemError} trainer_missing, cancelled */
export async function runTool(terminal: Terminal, name: string, rest: readonly string[]): Promise<void> {
  const { runTrainer } = await import('../../train/process.ts');
  const interrupt = interruptSignal();
  try {
    const args = name === 'help' ? ['--help'] : [name, ...rest];
    const { status } = await runTrainer({ args, cwd: terminal.cwd, env: terminal.env, signal: interrupt.signal, onLine: ({ line }) => print(terminal, line), onNote: (line) => note(terminal, line) });
    if (interrupt.signal.aborted) fail('cancelled', 'The command was cancelled.');
    if (status !== 0) terminal.exit.code = status === 2 ? exitCodes.usage : exitCodes.failed;
  } finally {
    interrupt.release();
  }
}
