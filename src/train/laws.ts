/**
 * Next-token laws of a GGUF as the engine computes them, for comparing an export with PyTorch position by position. Keys and
 * values are held in 32 bits and attention is computed plainly, so that what differs comes from the weights.
 */
import { closeSync, openSync, readFileSync, realpathSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { fail } from '../errors.ts';
import { engineThread } from '../models/llama/engine-thread.ts';
import { LlamaSession } from '../models/llama/session.ts';

const id = z.number().int().min(0);

/** What is asked: laws after the first `ends[n][k]` tokens of `sequences[n]`, and tokens of `texts`. */
const questions = z.strictObject({ sequences: z.array(z.array(id).min(1)).default([]), ends: z.array(z.array(id.min(1))).default([]), texts: z.array(z.string()).default([]) });

/** How to compute them. */
export interface LawOptions {
  /** Path of the GGUF. */
  readonly model: string;
  /** Path of a GGUF adapter to apply. Default: none. */
  readonly adapter?: string;
  /** Path of the questions: JSON with `sequences`, `ends` and `texts`. */
  readonly questions: string;
  /** Path that receives the laws: logits in float32, one row a position, in the order asked. */
  readonly out: string;
  readonly signal: AbortSignal;
}

/** What was computed. */
export interface LawReport {
  readonly vocabulary: number;
  readonly positions: number;
  /** Token ids of each text, special tokens read as such. */
  readonly tokens: readonly (readonly number[])[];
}

/** Answers the questions. @throws {TandemError} parameter_invalid, model_file_missing, model_file_invalid, model_unsupported, cancelled */
export async function engineLaws({ model, adapter, questions: path, out, signal }: LawOptions): Promise<LawReport> {
  const { sequences, ends, texts } = questions.parse(JSON.parse(readFileSync(path, 'utf8')));
  if (ends.length !== sequences.length) fail('parameter_invalid', `Expected as many lists of ends as sequences (${sequences.length}), got ${ends.length}.`);
  const thread = await engineThread(false);
  const longest = Math.max(64, ...sequences.map((sequence) => sequence.length));
  const adapters = adapter === undefined ? {} : { it: { file: realpathSync(adapter), scale: 1 } };
  const { handle, vocabularySize } = await thread.ask('open', { file: realpathSync(model), sequencesMax: 1, gpuLayers: 0, embeddings: false, exact: true, threads: 1, adapters, contextTokensMax: longest });
  const file = openSync(out, 'w');
  let positions = 0;
  try {
    for (const [n, sequence] of sequences.entries()) {
      const session = await LlamaSession.open(thread, handle, vocabularySize, adapter === undefined ? '' : 'it', signal);
      let done = 0;
      for (const end of [...(ends[n] ?? [])].sort((a, b) => a - b)) {
        if (end <= done || end > sequence.length) fail('parameter_invalid', `Expected different ends from 1 to ${sequence.length}, got ${end}.`);
        const law = await session.append(sequence.slice(done, end));
        writeSync(file, new Uint8Array(law.buffer, law.byteOffset, law.byteLength));
        done = end;
        positions++;
      }
      await session.close();
    }
    const tokens = await Promise.all(texts.map((text) => thread.ask('tokenize', { handle, pieces: [{ text, special: true }], begin: false })));
    return { vocabulary: vocabularySize, positions, tokens };
  } finally {
    closeSync(file);
    await thread.ask('close', { handle });
  }
}
