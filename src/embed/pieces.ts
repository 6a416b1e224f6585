/**
 * Cuts a text into pieces of a fixed list: the same rules as `trainer/tandem_trainer/embedder/pieces.py`.
 *
 * Lower case without accents; words end at white space, punctuation marks and Chinese characters stand alone; a word is cut
 * into the longest pieces that the list holds, from left to right (WordPiece, as in BERT, arXiv:1810.04805). A character that
 * no piece covers becomes one of a few shared rows, chosen by its code point, so that nothing is lost without a trace.
 */
import { alone, classOf, letter, space } from './letters.ts';

/** Rows shared by the characters that no piece covers. */
export const characterRows = 256;

const startSeed = 0x2545f491;
const insideSeed = 0x51ed270b;

/** The list of pieces, found by hash. Holds scratch memory, so one instance serves one caller at a time. */
export class PieceList {
  /** Number of pieces; the shared rows follow. */
  readonly size: number;
  readonly #codes: Uint16Array;
  readonly #start: Int32Array;
  readonly #inside: Uint8Array;
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #longest: number;
  readonly #hashes: Int32Array;
  #word: Uint16Array = new Uint16Array(256);
  #rows: Int32Array = new Int32Array(1024);
  #found = 0;

  /** @param names one a line; pieces inside a word begin with `##` */
  constructor(names: string) {
    let size = 1;
    for (let at = names.indexOf('\n'); at >= 0; at = names.indexOf('\n', at + 1)) size++;
    this.size = size;
    this.#codes = new Uint16Array(names.length);
    this.#start = new Int32Array(size + 1);
    this.#inside = new Uint8Array(size);
    this.#mask = 2 ** Math.ceil(Math.log2(size * 2.5)) - 1;
    this.#slots = new Int32Array(this.#mask + 1);
    this.#longest = this.#read(names);
    this.#hashes = new Int32Array(this.#longest + 1);
  }

  /** Fills the tables; gives the length of the longest piece. */
  #read(names: string): number {
    let [at, longest, from] = [0, 0, 0];
    for (let row = 0; row < this.size; row++) {
      const end = names.indexOf('\n', from) < 0 ? names.length : names.indexOf('\n', from);
      const inside = end - from > 2 && names.charCodeAt(from) === 35 && names.charCodeAt(from + 1) === 35;
      let hash = inside ? insideSeed : startSeed;
      this.#inside[row] = inside ? 1 : 0;
      this.#start[row] = at;
      for (let i = inside ? from + 2 : from; i < end; i++) {
        const code = names.charCodeAt(i);
        hash = Math.imul(hash ^ code, 0x01000193);
        this.#codes[at++] = code;
      }
      longest = Math.max(longest, at - (this.#start[row] as number));
      let slot = mixed(hash) & this.#mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = row + 1;
      from = end + 1;
    }
    this.#start[this.size] = at;
    return longest;
  }

  /**
   * The rows of a text's pieces. The result is overwritten by the next call; read `length` entries of `rows`.
   * @param charactersMax characters that are read; default all
   */
  encode(text: string, charactersMax = Infinity): { readonly rows: Int32Array; readonly length: number } {
    const read = text.length > charactersMax ? text.slice(0, charactersMax) : text;
    this.#found = 0;
    if (!this.#plain(read)) this.#any(read.toLowerCase().normalize('NFD').replace(/\p{Mn}+/gu, ''));
    return { rows: this.#rows, length: this.#found };
  }

  /** Cuts an ASCII text; false, and nothing found, when it is not. */
  #plain(text: string): boolean {
    let length = 0;
    let word = this.#word;
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      if (code > 127) {
        this.#found = 0;
        return false;
      }
      if (code >= 65 && code <= 90) code += 32;
      if ((code >= 97 && code <= 122) || (code >= 48 && code <= 57)) {
        if (length === word.length) word = this.#widerWord();
        word[length++] = code;
        continue;
      }
      if (length > 0) this.#cut(length);
      length = 0;
      if (code > 32 && code < 127) {
        word[0] = code;
        this.#cut(1);
      }
    }
    if (length > 0) this.#cut(length);
    return true;
  }

  /** Cuts a text in lower case without accents. */
  #any(text: string): void {
    let length = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.codePointAt(i) as number;
      const kind = classOf(code);
      if (kind !== letter && length > 0) {
        this.#cut(length);
        length = 0;
      }
      if (kind !== space) {
        if (length + 2 > this.#word.length) this.#widerWord();
        this.#word[length++] = text.charCodeAt(i);
        if (code > 0xffff) this.#word[length++] = text.charCodeAt(i + 1);
      }
      if (code > 0xffff) i++;
      if (kind === alone) {
        this.#cut(length);
        length = 0;
      }
    }
    if (length > 0) this.#cut(length);
  }

  #widerWord(): Uint16Array {
    const wider = new Uint16Array(2 * this.#word.length);
    wider.set(this.#word);
    return (this.#word = wider);
  }

  /** The longest pieces of the word in the buffer, from left to right. */
  #cut(length: number): void {
    const [word, hashes] = [this.#word, this.#hashes];
    for (let start = 0; start < length; ) {
      const most = Math.min(this.#longest, length - start);
      const inside = start > 0 ? 1 : 0;
      let hash = inside === 1 ? insideSeed : startSeed;
      for (let n = 0; n < most; n++) hashes[n] = hash = Math.imul(hash ^ (word[start + n] as number), 0x01000193);
      let row = -1;
      let n = most;
      for (; n > 0 && row < 0; n--) row = this.#find(hashes[n - 1] as number, start, n, inside);
      if (row >= 0) start += n + 1;
      else {
        const first = word[start] as number;
        const pair = first >= 0xd800 && first < 0xdc00 && start + 1 < length;
        row = this.size + (Math.imul(pair ? (first - 0xd800) * 0x400 + (word[start + 1] as number) - 0xdc00 + 0x10000 : first, 0x9e3779b1) >>> 24);
        start += pair ? 2 : 1;
      }
      if (this.#found === this.#rows.length) {
        const more = new Int32Array(2 * this.#rows.length);
        more.set(this.#rows);
        this.#rows = more;
      }
      this.#rows[this.#found++] = row;
    }
  }

  #find(hash: number, from: number, length: number, inside: number): number {
    for (let slot = mixed(hash) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const row = (this.#slots[slot] as number) - 1;
      if (row < 0) return -1;
      const start = this.#start[row] as number;
      if ((this.#start[row + 1] as number) - start !== length || this.#inside[row] !== inside) continue;
      let n = 0;
      while (n < length && this.#codes[start + n] === this.#word[from + n]) n++;
      if (n === length) return row;
    }
  }
}

function mixed(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
