/**
 * Server-sent events, read incrementally (WHATWG HTML, section 9.2.6), however the bytes are cut.
 *
 * Lines end in LF, CRLF or CR. A line is decoded only once it is whole, so a UTF-8 character that is cut between two
 * chunks needs no care. Knows nothing about what the events mean.
 */

/** One event. */
export interface SseEvent {
  /** The `event` field; empty when absent. */
  readonly event: string;
  /** The `data` lines, joined with line feeds. */
  readonly data: string;
}

const LF = 10;
const CR = 13;

/** Turns chunks of bytes into events. */
export class SseParser {
  readonly #eventBytesMax: number;
  /** The pieces of the line that has begun but not ended. */
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #afterCr = false;
  #firstLine = true;
  #event = '';
  #data: string | undefined;

  /** @param eventBytesMax bytes that may be held for one event; default 16 MiB */
  constructor(eventBytesMax = 16_777_216) {
    this.#eventBytesMax = eventBytesMax;
  }

  /**
   * Takes the next chunk and appends the events that it completes to `out`.
   * @returns false when one event holds more than `eventBytesMax` bytes: the stream is not worth reading on
   */
  push(chunk: Uint8Array, out: SseEvent[]): boolean {
    let start = this.#afterCr && chunk[0] === LF ? 1 : 0;
    if (chunk.length > 0) this.#afterCr = false;
    let cr = chunk.indexOf(CR, start);
    let lf = chunk.indexOf(LF, start);
    while (cr !== -1 || lf !== -1) {
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
      this.#line(this.#take(chunk, start, end), out);
      start = end + 1;
      if (end === cr) {
        if (start === chunk.length) this.#afterCr = true;
        else if (chunk[start] === LF) start++;
        cr = chunk.indexOf(CR, start);
      }
      if (lf !== -1 && lf < start) lf = chunk.indexOf(LF, start);
    }
    if (start < chunk.length) {
      this.#pieces.push(chunk.subarray(start));
      this.#pieceBytes += chunk.length - start;
    }
    return this.#pieceBytes + (this.#data?.length ?? 0) <= this.#eventBytesMax;
  }

  /** Ends the stream. An event without its closing blank line still counts: many servers leave the last one out. */
  end(out: SseEvent[]): void {
    if (this.#pieces.length > 0) this.#line(this.#take(new Uint8Array(0), 0, 0), out);
    this.#line('', out);
  }

  #take(chunk: Uint8Array, start: number, end: number): string {
    const last = asBuffer(chunk);
    if (this.#pieces.length === 0) return last.toString('utf8', start, end);
    const line = Buffer.concat([...this.#pieces, last.subarray(start, end)]).toString('utf8');
    this.#pieces = [];
    this.#pieceBytes = 0;
    return line;
  }

  #line(raw: string, out: SseEvent[]): void {
    const line = this.#firstLine && raw.charCodeAt(0) === 0xfeff ? raw.slice(1) : raw;
    this.#firstLine = false;
    if (line === '') {
      if (this.#data !== undefined) out.push({ event: this.#event, data: this.#data });
      this.#data = undefined;
      this.#event = '';
      return;
    }
    if (this.#data === undefined && line.startsWith('data: ')) {
      this.#data = line.slice(6);
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
    if (field === 'data') this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    else if (field === 'event') this.#event = value;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
