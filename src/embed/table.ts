/**
 * The static embedder: one row of small integers a piece; a text's vector is the sum of its pieces' rows, scaled by dimension
 * and brought to unit length. The sum is exact, so every machine gives the same vector.
 *
 * File: `TANDEME1`, length of the header (u32), header (JSON, padded with spaces to a multiple of 8 in all), then the scales
 * (f32, one a dimension), the rows (one byte a number, 128 stands for 0), and the names of the pieces (UTF-8, one a line).
 */
import { createHash } from 'node:crypto';
import { fail } from '../errors.ts';
import { characterRows, PieceList } from './pieces.ts';

const magic = 'TANDEME1';
/** Rows whose bytes can be summed in 16 bits. */
const together = 256;

interface Header {
  readonly id: string;
  readonly dimensions: number;
  readonly pieces: number;
  readonly characterRows: number;
  readonly sha256: string;
}

/** Embeds texts. Holds scratch memory, so one instance serves one caller at a time; calls do not wait for anything. */
export class StaticEmbedder {
  /** Name and version of the table, such as `tandem-embed-1`; files of routers hold it. */
  readonly id: string;
  /** Length of the vectors. */
  readonly size: number;
  /** Numbers in the table. */
  readonly parameters: number;
  readonly #pieces: PieceList;
  readonly #scales: Float32Array;
  readonly #rows: Int32Array;
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  readonly #sums: Int32Array;

  /**
   * Reads a table.
   * @throws {TandemError} model_file_invalid: another kind of file, another version, or damaged
   */
  constructor(given: Uint8Array) {
    const bytes = given.byteOffset % 8 === 0 ? given : Uint8Array.from(given);
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.length < 12 || view.toString('latin1', 0, 8) !== magic) fail('model_file_invalid', 'The file is no table of a static embedder.');
    const bodyAt = 12 + view.readUInt32LE(8);
    const header = headerOf(view, bodyAt);
    const { id, dimensions, pieces } = header;
    const tableAt = bodyAt + 4 * dimensions;
    const namesAt = tableAt + (pieces + characterRows) * dimensions;
    if (createHash('sha256').update(view.subarray(bodyAt)).digest('hex') !== header.sha256) fail('model_file_invalid', 'The table of the static embedder is damaged: its checksum does not match.');
    this.id = id;
    this.size = dimensions;
    this.parameters = (pieces + characterRows) * dimensions;
    this.#scales = new Float32Array(bytes.buffer, bytes.byteOffset + bodyAt, dimensions);
    this.#rows = new Int32Array(bytes.buffer, bytes.byteOffset + tableAt, this.parameters / 4);
    this.#pieces = new PieceList(view.toString('utf8', namesAt));
    if (this.#pieces.size !== pieces) fail('model_file_invalid', `The table of the static embedder names ${this.#pieces.size} pieces; ${pieces} were expected.`);
    this.#low = new Int32Array(dimensions / 4);
    this.#high = new Int32Array(dimensions / 4);
    this.#sums = new Int32Array(dimensions);
  }

  /**
   * The vector of a text, of unit length; all zeros for a text without any character.
   * @param into overwritten; at least `size` long
   * @param charactersMax characters that are read; default all
   * @returns the number of pieces
   */
  embed(text: string, into: Float64Array | Float32Array, charactersMax?: number): number {
    const { rows, length } = this.#pieces.encode(text, charactersMax);
    const sums = this.#sums.fill(-128 * length);
    for (let from = 0; from < length; from += together) this.#add(rows, from, Math.min(length, from + together));
    let squares = 0;
    for (let j = 0; j < sums.length; j++) {
      const value = (sums[j] as number) * (this.#scales[j] as number);
      into[j] = value;
      squares += value * value;
    }
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let j = 0; j < sums.length; j++) into[j] = (into[j] as number) * scale;
    return length;
  }

  /** Rows of the pieces of a text, for tests. */
  piecesOf(text: string): Int32Array {
    const { rows, length } = this.#pieces.encode(text);
    return rows.slice(0, length);
  }

  /** Adds at most `together` rows: four bytes at a time, each in 16 bits of its own. */
  #add(rows: Int32Array, from: number, to: number): void {
    const [low, high, table, sums] = [this.#low.fill(0), this.#high.fill(0), this.#rows, this.#sums];
    const width = low.length;
    for (let i = from; i < to; i++) {
      const at = (rows[i] as number) * width;
      for (let w = 0; w < width; w++) {
        const four = table[at + w] as number;
        low[w] = ((low[w] as number) + (four & 0xff00ff)) | 0;
        high[w] = ((high[w] as number) + ((four >>> 8) & 0xff00ff)) | 0;
      }
    }
    for (let w = 0; w < width; w++) {
      const [even, odd, j] = [low[w] as number, high[w] as number, 4 * w];
      sums[j] = (sums[j] as number) + (even & 0xffff);
      sums[j + 1] = (sums[j + 1] as number) + (odd & 0xffff);
      sums[j + 2] = (sums[j + 2] as number) + (even >>> 16);
      sums[j + 3] = (sums[j + 3] as number) + (odd >>> 16);
    }
  }
}

function headerOf(view: Buffer, bodyAt: number): Header {
  if (bodyAt > view.length) return fail('model_file_invalid', 'The table of the static embedder is cut off.');
  let header: Partial<Header>;
  try {
    header = JSON.parse(view.toString('utf8', 12, bodyAt)) as Partial<Header>;
  } catch (cause) {
    return fail('model_file_invalid', { message: 'The header of the static embedder could not be read.', cause });
  }
  const { id, dimensions, pieces, sha256 } = header;
  if (typeof id !== 'string' || typeof sha256 !== 'string' || !isCount(dimensions) || !isCount(pieces) || dimensions % 4 !== 0 || header.characterRows !== characterRows) {
    return fail('model_file_invalid', 'The header of the static embedder lacks a field or is of another version.');
  }
  if (view.length < bodyAt + 4 * dimensions + (pieces + characterRows) * dimensions) return fail('model_file_invalid', 'The table of the static embedder is cut off.');
  return { id, dimensions, pieces, characterRows, sha256 };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 2 ** 24;
}
