/** The vocabulary of an open model: pieces as bytes, tokenizing, and a hash that tells whether two models share it. */
import { createHash } from 'node:crypto';
import { fail } from '../../errors.ts';
import type { Vocabulary } from '../../decoding/program.ts';
import type { Native, Pointer } from './bindings.ts';
import type { TextPiece } from './protocol.ts';

/** Tokenizers that write text anew before they cut it, leaving out spaces and marks: WordPiece and Unigram. */
const rewriting = new Set([3, 4]);
/** How many times shorter such a tokenizer is taken to make a text at most. */
const rewritingShortens = 16;

const attribute = { control: 1 << 3, userDefined: 1 << 4 } as const;

/** A vocabulary of libllama. Lives in the engine thread. */
export class LlamaVocabulary implements Vocabulary {
  readonly size: number;
  readonly pointer: Pointer;
  /** SHA-256 over all pieces and which of them end an answer. */
  readonly hash: string;
  readonly specialTexts: readonly string[];
  readonly addsBegin: boolean;
  /** Bytes of text that a token stands for at most, by the longest piece: tells that a text is too long before it is cut into tokens, which takes its time. */
  readonly bytesPerTokenMax: number;
  readonly #native: Native;
  readonly #bytes: readonly Uint8Array[];
  readonly #ends: Uint8Array;
  #scratch = Buffer.alloc(256);

  /** Reads every piece once. */
  constructor(native: Native, model: Pointer) {
    this.#native = native;
    this.pointer = native.vocabOf(model);
    this.size = native.vocabSize(this.pointer);
    this.addsBegin = native.addsBegin(this.pointer);
    this.#ends = new Uint8Array(this.size);
    const hash = createHash('sha256');
    const special: string[] = [];
    const bytes: Uint8Array[] = [];
    let longest = 1;
    for (let token = 0; token < this.size; token++) {
      if (native.isEnd(this.pointer, token)) this.#ends[token] = 1;
      const attributes = native.attributes(this.pointer, token);
      const isSpecial = (attributes & (attribute.control | attribute.userDefined)) !== 0;
      const shown = this.#piece(token, true);
      longest = Math.max(longest, shown.length);
      if (isSpecial && shown.length > 0) special.push(Buffer.from(shown).toString('utf8'));
      hash.update(`${token}:${this.#ends[token]}:${attributes}:`).update(shown).update('\n');
      bytes.push((attributes & attribute.control) !== 0 ? this.#piece(token, false) : shown);
    }
    this.hash = hash.digest('hex').slice(0, 32);
    this.specialTexts = special;
    this.#bytes = bytes;
    this.bytesPerTokenMax = longest * (rewriting.has(native.vocabType(this.pointer)) ? rewritingShortens : 1);
  }

  isEnd(token: number): boolean {
    return this.#ends[token] === 1;
  }

  bytes(token: number): Uint8Array {
    return this.#bytes[token] ?? new Uint8Array(0);
  }

  /** Text of the begin-of-sequence token, empty without one. */
  get beginText(): string {
    const begin = this.#native.begin(this.pointer);
    return begin < 0 ? '' : this.#shown(begin);
  }

  /** Text of the token that ends a text, empty without one. */
  get endText(): string {
    const end = this.#native.end(this.pointer);
    return end < 0 ? '' : this.#shown(end);
  }

  /** Tokens of pieces of text. @param begin put the begin token first, where the tokenizer does so */
  tokenize(pieces: readonly TextPiece[], begin: boolean): number[] {
    const tokens: number[] = [];
    let first = begin;
    for (const { text, special } of pieces) {
      if (text !== '' || first) for (const token of this.#tokenizeOne(text, first, special)) tokens.push(token);
      first = false;
    }
    return tokens;
  }

  /** Text of tokens; broken characters appear as U+FFFD. */
  detokenize(tokens: readonly number[]): string {
    for (const token of tokens) if (!(Number.isInteger(token) && token >= 0 && token < this.size)) fail('parameter_invalid', `A token id lies outside the vocabulary of ${this.size} pieces.`);
    return Buffer.concat(tokens.map((token) => this.bytes(token))).toString('utf8');
  }

  #tokenizeOne(text: string, begin: boolean, special: boolean): Int32Array {
    const bytes = Buffer.from(text, 'utf8');
    let out = new Int32Array(bytes.length + 8);
    let count = this.#native.tokenize(this.pointer, bytes, bytes.length, out, out.length, begin, special);
    if (count < 0) {
      out = new Int32Array(-count);
      count = this.#native.tokenize(this.pointer, bytes, bytes.length, out, out.length, begin, special);
    }
    return out.subarray(0, count);
  }

  /** Text of a token, control tokens too. */
  #shown(token: number): string {
    return Buffer.from(this.#piece(token, true)).toString('utf8');
  }

  #piece(token: number, special: boolean): Uint8Array {
    const length = this.#native.pieceOf(this.pointer, token, this.#scratch, this.#scratch.length, 0, special);
    if (length >= 0) return new Uint8Array(this.#scratch.subarray(0, length));
    this.#scratch = Buffer.alloc(2 * -length);
    return this.#piece(token, special);
  }
}
