/** The embedder that comes with Tandem: `weights/embedder/table.bin`, read when it is first asked for. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fail } from '../errors.ts';
import { StaticEmbedder } from './table.ts';

/** Path of the bundled table. */
export const bundledTable: string = fileURLToPath(new URL('../../weights/embedder/table.bin', import.meta.url));

let opened: StaticEmbedder | undefined;

/**
 * The bundled embedder, one a process: 2 to 20 ms the first time, nothing after that.
 * @throws {TandemError} model_file_missing, model_file_invalid
 */
export function bundledEmbedder(): StaticEmbedder {
  return (opened ??= openEmbedder(bundledTable));
}

/** Reads a table from a file. @throws {TandemError} model_file_missing, model_file_invalid */
export function openEmbedder(file: string): StaticEmbedder {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    return fail('model_file_missing', { message: 'The table of the static embedder could not be read.', cause });
  }
  return new StaticEmbedder(bytes);
}
