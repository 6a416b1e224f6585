/**
 * Reads the header of a GGUF file and checks it against the file's size: a truncated or damaged header, or tensors that end beyond the
 * file, never reach native code. What the header means for the engine is checked in `file-checks.ts`.
 *
 * Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { fail } from '../../errors.ts';

/** What the header says, as far as it is kept while the model is open. */
export interface GgufHeader {
  /** Format version, 2 or 3. */
  readonly version: number;
  /** Scalar metadata by key; arrays give their length. */
  readonly metadata: ReadonlyMap<string, string | number | boolean>;
  readonly tensors: number;
  readonly fileBytes: number;
}

/** A tensor of the file. */
export interface GgufTensor {
  readonly name: string;
  /** Innermost dimension first. */
  readonly shape: readonly number[];
  /** ggml's number of its type. */
  readonly type: number;
}

/** All that the file says of itself. */
export interface GgufFile {
  readonly header: GgufHeader;
  /** GGUF's number of each metadata value's type. */
  readonly types: ReadonlyMap<string, number>;
  /** Values of arrays: numbers, where there are at most `numbersMax` of them or the tokenizer's types of pieces are meant; the tokenizer's pieces, byte by byte as Latin-1. */
  readonly lists: ReadonlyMap<string, readonly (string | number)[]>;
  readonly tensors: readonly GgufTensor[];
}

/** Elements a block and bytes a block, by ggml type. A type that is not here is not checked. */
const blocks: Readonly<Record<number, readonly [number, number]>> = {
  0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34], 9: [32, 36], 10: [256, 84], 11: [256, 110], 12: [256, 144], 13: [256, 176], 14: [256, 210],
  15: [256, 292], 16: [256, 66], 17: [256, 74], 18: [256, 98], 19: [256, 50], 20: [32, 18], 21: [256, 110], 22: [256, 82], 23: [256, 136], 24: [1, 1], 25: [1, 2], 26: [1, 4], 27: [1, 8],
  28: [1, 8], 29: [256, 56], 30: [1, 2], 34: [256, 54], 35: [256, 66], 39: [32, 17], 40: [64, 36], 41: [128, 18], 42: [64, 18],
};

/** Bytes of the scalar metadata types, by type id; strings and arrays have none. */
const scalarBytes: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const stringType = 8;
const arrayType = 9;
/** GGUF's number of texts and of 32-bit floats among the types of metadata. */
export const valueType = { float32: 6, string: stringType } as const;
const entriesMax = 1_000_000;
/** Arrays of more numbers are not kept, except the types of pieces. */
const numbersMax = 2048;
/** Where a file has the tokenizer's pieces. */
export const piecesKey = 'tokenizer.ggml.tokens';
/** Where it has their types. */
export const pieceTypesKey = 'tokenizer.ggml.token_type';
const stringBytesMax = 16 * 1024 * 1024;

/**
 * Reads a file's header and checks that all that it speaks of is in the file.
 * @param path of the file
 * @throws {TandemError} model_file_missing, model_file_invalid
 */
export function readGguf(path: string): GgufFile {
  const file = open(path);
  try {
    return parse(new Reader(file, fstatSync(file).size));
  } finally {
    closeSync(file);
  }
}

function open(path: string): number {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    return fail('model_file_missing', { message: 'The model file does not exist or cannot be read.', cause });
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  return fail('model_file_missing', 'The path of the model is not a file.');
}

function parse(reader: Reader): GgufFile {
  if (reader.bytes(4).toString('latin1') !== 'GGUF') fail('model_file_invalid', 'The file does not begin with the magic "GGUF".');
  const version = reader.uint32();
  if (version !== 2 && version !== 3) fail('model_file_invalid', `Expected GGUF version 2 or 3, got ${version}.`);
  const count = reader.count();
  const entries = reader.count();
  const metadata = new Map<string, string | number | boolean>();
  const types = new Map<string, number>();
  const lists = new Map<string, readonly (string | number)[]>();
  for (let n = 0; n < entries; n++) {
    const key = reader.string();
    const type = reader.uint32();
    types.set(key, type);
    metadata.set(key, type === arrayType ? readArray(reader, key, lists) : readScalar(reader, type));
  }
  const alignment = Number(metadata.get('general.alignment') ?? 32);
  if (!(alignment > 0) || (alignment & (alignment - 1)) !== 0) fail('model_file_invalid', `Expected an alignment that is a power of two, got ${alignment}.`);
  let end = 0;
  const tensors: GgufTensor[] = [];
  for (let n = 0; n < count; n++) {
    const { tensor, end: tensorEnd } = readTensor(reader);
    tensors.push(tensor);
    end = Math.max(end, tensorEnd);
  }
  const start = Math.ceil(reader.at / alignment) * alignment;
  if (count > 0 && start + end > reader.size) fail('model_file_invalid', `The file is truncated: its tensors need ${start + end} bytes, it has ${reader.size}.`);
  return { header: { version, metadata, tensors: count, fileBytes: reader.size }, types, lists, tensors };
}

/** Reads an array and keeps its values where they are wanted. @returns its length */
function readArray(reader: Reader, key: string, lists: Map<string, readonly (string | number)[]>): number {
  const element = reader.uint32();
  const length = reader.count(1e9);
  const bytes = scalarBytes[element];
  if (element === arrayType) for (let n = 0; n < length; n++) readArray(reader, '', lists);
  else if (element === stringType && key === piecesKey) {
    const pieces: string[] = [];
    for (let n = 0; n < length; n++) pieces.push(reader.bytes(reader.count(stringBytesMax)).toString('latin1'));
    lists.set(key, pieces);
  } else if (element === stringType) for (let n = 0; n < length; n++) reader.skip(reader.count(stringBytesMax));
  else if (bytes === undefined) fail('model_file_invalid', `Metadata has the unknown type ${element}.`);
  else if (key !== '' && (length <= numbersMax || key === pieceTypesKey)) {
    const numbers: number[] = [];
    for (let n = 0; n < length; n++) numbers.push(Number(scalar(reader.bytes(bytes), element)));
    lists.set(key, numbers);
  } else reader.skip(length * bytes);
  return length;
}

function readScalar(reader: Reader, type: number): string | number | boolean {
  if (type === stringType) return reader.string();
  const bytes = scalarBytes[type];
  if (bytes === undefined) return fail('model_file_invalid', `Metadata has the unknown type ${type}.`);
  return scalar(reader.bytes(bytes), type);
}

function scalar(bytes: Buffer, type: number): number | boolean {
  switch (type) {
    case 0: return bytes.readUInt8();
    case 1: return bytes.readInt8();
    case 2: return bytes.readUInt16LE();
    case 3: return bytes.readInt16LE();
    case 4: return bytes.readUInt32LE();
    case 5: return bytes.readInt32LE();
    case 6: return bytes.readFloatLE();
    case 7: return bytes.readUInt8() !== 0;
    case 10: return Number(bytes.readBigUInt64LE());
    case 11: return Number(bytes.readBigInt64LE());
    default: return bytes.readDoubleLE();
  }
}

/** A tensor, and where its data end, counted from where all data begin. */
function readTensor(reader: Reader): { readonly tensor: GgufTensor; readonly end: number } {
  const name = reader.string();
  const dimensions = reader.uint32();
  if (dimensions > 8) fail('model_file_invalid', `A tensor has ${dimensions} dimensions.`);
  const shape = Array.from({ length: dimensions }, () => reader.count(Number.MAX_SAFE_INTEGER));
  const elements = shape.reduce((product, length) => product * length, 1);
  const type = reader.uint32();
  const offset = reader.count(Number.MAX_SAFE_INTEGER);
  const [perBlock, bytes] = blocks[type] ?? [1, 0];
  if (elements % perBlock !== 0) fail('model_file_invalid', `A tensor has ${elements} elements, not a multiple of its block of ${perBlock}.`);
  return { tensor: { name, shape, type }, end: offset + (elements / perBlock) * bytes };
}

/** Reads forward through a file in portions; reading past the end is an error. */
class Reader {
  readonly size: number;
  /** Position in the file. */
  at = 0;
  readonly #file: number;
  #buffer = Buffer.alloc(0);
  #bufferAt = 0;

  constructor(file: number, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** The next bytes; valid until the next read. */
  bytes(length: number): Buffer {
    this.#need(length);
    const from = this.at - this.#bufferAt;
    if (from < 0 || from + length > this.#buffer.length) {
      const wanted = Math.min(this.size - this.at, Math.max(length, 1 << 18));
      const buffer = Buffer.alloc(wanted);
      const read = readSync(this.#file, buffer, 0, wanted, this.at);
      if (read < length) fail('model_file_invalid', 'The file ended while it was read.');
      this.#buffer = buffer.subarray(0, read);
      this.#bufferAt = this.at;
    }
    const start = this.at - this.#bufferAt;
    this.at += length;
    return this.#buffer.subarray(start, start + length);
  }

  skip(length: number): void {
    this.#need(length);
    this.at += length;
  }

  uint32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /** A 64-bit count or length. */
  count(most: number = entriesMax): number {
    const value = Number(this.bytes(8).readBigUInt64LE());
    if (value > most) fail('model_file_invalid', `A count of the header is ${value}, which is not plausible.`);
    return value;
  }

  string(): string {
    return this.bytes(this.count(stringBytesMax)).toString('utf8');
  }

  #need(length: number): void {
    if (this.at + length > this.size) fail('model_file_invalid', `The file is truncated: its header goes on after its ${this.size} bytes.`);
  }
}
