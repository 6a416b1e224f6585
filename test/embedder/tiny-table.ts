/** Writes tables of a static embedder for tests, in the format that `src/embed/table.ts` describes. */
import { createHash } from 'node:crypto';
import { seededRandom } from '../../src/system/random.ts';
import { characterRows } from '../../src/embed/pieces.ts';

/** A table, before it is written. */
export interface Tiny {
  readonly names: readonly string[];
  readonly scales: Float32Array;
  /** Numbers around 128, rows x dimensions; the shared rows come last. */
  readonly rows: Uint8Array;
}

/** A table with random rows. */
export function tinyTable(names: readonly string[], dimensions: number, seed = 1): Tiny {
  const random = seededRandom(seed);
  const rows = Uint8Array.from({ length: (names.length + characterRows) * dimensions }, () => 1 + Math.floor(random.next() * 255));
  return { names, scales: Float32Array.from({ length: dimensions }, () => 0.001 + random.next() / 100), rows };
}

/** The file. @param header fields that replace the right ones */
export function fileOf({ names, scales, rows }: Tiny, header: Readonly<Record<string, unknown>> = {}): Buffer {
  const body = Buffer.concat([Buffer.from(scales.buffer), rows, Buffer.from(names.join('\n'))]);
  const sha256 = createHash('sha256').update(body).digest('hex');
  const text = JSON.stringify({ id: 'tiny', dimensions: scales.length, pieces: names.length, characterRows, sha256, ...header });
  const padded = text.padEnd(Math.ceil((text.length + 12) / 8) * 8 - 12);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(padded.length);
  return Buffer.concat([Buffer.from('TANDEME1'), size, Buffer.from(padded), body]);
}
