/** `tandem train laws`: next-token laws of a file, for the trainer's check of an export. */
import { resolve } from 'node:path';
import { interruptSignal } from '../open-runtime.ts';
import { print, type Terminal } from '../terminal.ts';

/** Options of the command. */
export interface LawsOptions {
  readonly model: string;
  readonly questions: string;
  readonly out: string;
  readonly adapter?: string;
}

/** Computes the laws and prints one JSON object: vocabulary, positions, tokens. @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported, parameter_invalid */
export async function runLaws(terminal: Terminal, { model, questions, out, adapter }: LawsOptions): Promise<void> {
  const { engineLaws } = await import('../../train/laws.ts');
  const interrupt = interruptSignal();
  const at = (path: string): string => resolve(terminal.cwd, path);
  try {
    const report = await engineLaws({ model: at(model), questions: at(questions), out: at(out), signal: interrupt.signal, ...(adapter === undefined ? {} : { adapter: at(adapter) }) });
    print(terminal, JSON.stringify(report));
  } finally {
    interrupt.release();
  }
}
