/**
 * Reads the replies of one HTTP/1.1 connection, one after the other, from bytes in whatever pieces they come
 * (RFC 9112). Strict: what is not clearly framed is refused, since a reply that is cut at the wrong place would put
 * one caller's answer before another's eyes. Knows no socket.
 */
import { MalformedReply, ReplyHead } from './reply-head.ts';

/** What is told of a reply, in this order. */
export interface ReplyListener {
  onHead(head: ReplyHead): void;
  /** Bytes of the body; what one read held comes in one piece, and belongs to the listener. */
  onData(bytes: Buffer): void;
  onEnd(): void;
}

/** Size of the head of a reply, its interim replies included, and of the trailers. Bytes. */
const headBytesMax = 65_536;
/** Size of the line before a chunk: digits and extensions. Bytes. */
const chunkLineBytesMax = 4_096;

/** Digits of the size of a chunk: more would be beyond every body. */
const chunkDigitsMax = 12;

/** Where in a reply the reader is. */
type Place = 'head' | 'length' | 'close' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailers';

const protocol = 'HTTP/1.';
const CR = 13;
const LF = 10;
const empty = Buffer.alloc(0);

/** Reads replies. */
export class ReplyReader {
  readonly #listener: ReplyListener;
  #place: Place = 'head';
  /** Bytes of a head or line whose end has not come. */
  #held: Buffer = empty;
  /** Body bytes to come, of the reply or of the chunk. */
  #left = 0;
  #headBytes = 0;
  #keeps = false;
  #keepMs: number | undefined;

  /** @param listener told of every reply */
  constructor(listener: ReplyListener) {
    this.#listener = listener;
  }

  /** Whether the connection may carry another request after the last reply. */
  get keepsAlive(): boolean {
    return this.#keeps;
  }

  /** How long the server said it keeps the connection, in milliseconds (`keep-alive: timeout`). */
  get keepMs(): number | undefined {
    return this.#keepMs;
  }

  /**
   * Takes bytes; they are not kept beyond the call. Ends after the end of a reply; when something follows that nobody
   * has asked for, it is dropped, and the connection is not kept.
   * @throws {MalformedReply}
   */
  push(bytes: Buffer): void {
    let from = 0;
    if (this.#place === 'head') {
      from = this.#head(bytes);
      if (from < 0) return;
    }
    const body = new Body(bytes.length - from);
    let failure: unknown;
    let ended = false;
    try {
      while (!(ended = this.#isOver()) && from < bytes.length) from = this.#take(bytes, from, body);
    } catch (error) {
      failure = error;
    }
    if (body.length > 0) this.#listener.onData(body.bytes());
    if (failure !== undefined) throw failure;
    if (!ended) return;
    this.#place = 'head';
    this.#headBytes = 0;
    if (from < bytes.length) this.#keeps = false;
    this.#listener.onEnd();
  }

  /** The server has closed the connection. Whether that was the end of a reply, which is then told. */
  close(): boolean {
    if (this.#place !== 'close') return false;
    this.#place = 'head';
    this.#listener.onEnd();
    return true;
  }

  #isOver(): boolean {
    return this.#place === 'length' && this.#left === 0;
  }

  /** Reads heads until that of the reply itself. @returns where the body begins; -1 when more bytes are needed */
  #head(bytes: Buffer): number {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const before = this.#held.length;
    let from = 0;
    for (;;) {
      const end = endOfHead(all, from);
      if (this.#headBytes + (end < 0 ? all.length : end) - from > headBytesMax) throw new MalformedReply('The head of the reply is too large.');
      if (end < 0) break;
      const interim = this.#begin(all.toString('latin1', from, end));
      this.#headBytes += end + 4 - from;
      from = end + 4;
      if (interim) continue;
      this.#held = empty;
      return from - before;
    }
    this.#held = Buffer.from(all.subarray(from));
    // What is no head at all is refused at once: its end would never come.
    const beginning = this.#held.toString('latin1', 0, protocol.length);
    if (!protocol.startsWith(beginning)) throw new MalformedReply('The reply does not begin with a status line of HTTP/1.1.');
    return -1;
  }

  /** Takes one head. @returns whether it is an interim one (1xx), which the reply itself follows */
  #begin(text: string): boolean {
    const head = new ReplyHead(text);
    const { status } = head;
    if (status === 101) throw new MalformedReply('The server changes to another protocol.');
    if (status < 200) return true;
    this.#frame(head);
    this.#listener.onHead(head);
    return false;
  }

  /** Finds out where the body ends (RFC 9112, 6.3) and whether the connection goes on after it. */
  #frame(head: ReplyHead): void {
    const options = head.get('connection')?.toLowerCase();
    this.#keeps = options === undefined || options === 'keep-alive' ? head.isCurrent || options !== undefined : head.isCurrent ? !listed(options, 'close') : listed(options, 'keep-alive');
    const keepAlive = head.get('keep-alive');
    this.#keepMs = keepAlive === undefined ? undefined : timeoutOf(keepAlive);
    this.#left = 0;
    this.#place = 'length';
    if (head.status === 204 || head.status === 304) return;
    const coding = head.get('transfer-encoding');
    const length = head.get('content-length');
    if (coding !== undefined) {
      if (length !== undefined || !head.isCurrent || coding.toLowerCase() !== 'chunked') throw new MalformedReply('The end of the reply cannot be known: expected one of a length and plain chunks.');
      this.#place = 'chunk-line';
    } else if (length !== undefined) this.#left = lengthOf(length);
    else {
      this.#place = 'close';
      this.#keeps = false;
    }
  }

  /** Takes some of the bytes. @returns where it stopped */
  #take(bytes: Buffer, from: number, body: Body): number {
    switch (this.#place) {
      case 'length':
      case 'chunk': {
        const end = Math.min(bytes.length, from + this.#left);
        body.add(bytes, from, end);
        this.#left -= end - from;
        if (this.#left === 0 && this.#place === 'chunk') this.#place = 'chunk-end';
        return end;
      }
      case 'close':
        body.add(bytes, from, bytes.length);
        return bytes.length;
      case 'chunk-line':
        return this.#size(bytes, from);
      case 'chunk-end':
        if (bytes[from] !== CR || bytes[from + 1] !== LF) return this.#line(bytes, from);
        this.#place = 'chunk-line';
        return from + 2;
      default:
        return this.#line(bytes, from);
    }
  }

  /** Takes the line before a chunk: bare digits that have come whole are read as they stand. @returns where it stopped */
  #size(bytes: Buffer, from: number): number {
    let size = 0;
    let at = from;
    for (let digit; (digit = digitOf(bytes[at] as number)) >= 0; at++) size = size * 16 + digit;
    if (this.#held.length > 0 || at === from || at - from > chunkDigitsMax || bytes[at] !== CR || bytes[at + 1] !== LF) return this.#line(bytes, from);
    this.#chunk(size);
    return at + 2;
  }

  /** Takes a line of the chunked coding (RFC 9112, 7.1), or the beginning of one. @returns where it stopped */
  #line(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(LF, from);
    const most = this.#place === 'chunk-line' ? chunkLineBytesMax : this.#place === 'chunk-end' ? 2 : headBytesMax;
    if (this.#held.length + (end < 0 ? bytes.length : end + 1) - from > most) throw new MalformedReply('A line between two chunks is too long.');
    if (end < 0) {
      this.#held = this.#held.length === 0 ? Buffer.from(bytes.subarray(from)) : Buffer.concat([this.#held, bytes.subarray(from)]);
      return bytes.length;
    }
    const line = this.#held.length === 0 ? bytes.toString('latin1', from, end) : this.#held.toString('latin1') + bytes.toString('latin1', from, end);
    this.#held = empty;
    if (!line.endsWith('\r')) throw new MalformedReply('A line between two chunks does not end as it should.');
    this.#chunkLine(line.slice(0, -1));
    return end + 1;
  }

  #chunk(size: number): void {
    this.#left = size;
    this.#place = size === 0 ? 'trailers' : 'chunk';
    this.#headBytes = 0;
  }

  #chunkLine(line: string): void {
    if (this.#place === 'chunk-line') {
      const digits = /^([0-9a-fA-F]+)[ \t]*(?:;[^\0\r]*)?$/.exec(line)?.[1];
      if (digits === undefined || digits.length > chunkDigitsMax) throw new MalformedReply('The size of a chunk is not a number.');
      this.#chunk(Number.parseInt(digits, 16));
    } else if (this.#place === 'chunk-end') {
      if (line !== '') throw new MalformedReply('A chunk is longer than it said.');
      this.#place = 'chunk-line';
    } else if (line === '') {
      this.#place = 'length';
      this.#left = 0;
    } else if ((this.#headBytes += line.length + 2) > headBytesMax) throw new MalformedReply('The trailers of the reply are too large.');
  }
}

/** The value of a hexadecimal digit; -1 for anything else, the end of the bytes included. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Body bytes out of one read, joined: they are copied anyway, since the buffer of the read is used again. */
class Body {
  readonly #bytesMax: number;
  #into: Buffer | undefined;
  length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(from: Buffer, start: number, end: number): void {
    if (end === start) return;
    this.#into ??= Buffer.allocUnsafe(this.#bytesMax);
    from.copy(this.#into, this.length, start, end);
    this.length += end - start;
  }

  bytes(): Buffer {
    return (this.#into ?? empty).subarray(0, this.length);
  }
}

/** Whether a list of connection options holds one. */
const listed = (options: string, wanted: string): boolean => options.split(',').some((option) => option.trim() === wanted);

/** The length that a header says; a list of the same length many times is one, too. @throws {MalformedReply} */
function lengthOf(list: string): number {
  const lengths = list.includes(',') ? [...new Set(list.split(',').map((value) => value.trim()))] : [list];
  const [digits] = lengths;
  if (lengths.length !== 1 || digits === undefined || digits === '' || digits.length > 15) throw new MalformedReply('The length of the reply is not a number.');
  let length = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = digits.charCodeAt(at) - 48;
    if (!(digit >= 0 && digit <= 9)) throw new MalformedReply('The length of the reply is not a number.');
    length = length * 10 + digit;
  }
  return length;
}

/** Where the empty line that ends a head begins; -1 when it has not come. */
function endOfHead(bytes: Buffer, from: number): number {
  for (let at = from + 3; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === LF && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at - 3;
    // A byte that is neither can be no part of it: the next place where it may end is four further on.
    if (byte !== CR && byte !== LF) at += 3;
  }
  return -1;
}

/** Servers say the same with every reply. */
let lastKeepAlive = { text: '', ms: undefined as number | undefined };

function timeoutOf(keepAlive: string): number | undefined {
  if (lastKeepAlive.text !== keepAlive) lastKeepAlive = { text: keepAlive, ms: readTimeout(keepAlive) };
  return lastKeepAlive.ms;
}

function readTimeout(keepAlive: string): number | undefined {
  const seconds = /(?:^|,)\s*timeout\s*=\s*(\d{1,7})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
