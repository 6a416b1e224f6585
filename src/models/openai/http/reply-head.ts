/**
 * The head of a reply: status line and headers (RFC 9112, 4 and 5). All of it is checked once, character by character;
 * a header is looked for only when somebody asks, since nearly all of them concern nobody.
 */

/** What came is not a reply of HTTP/1.1, or not one whose end can be known. */
export class MalformedReply extends Error {
  override readonly name = 'MalformedReply';
}

const CR = 13;
const LF = 10;
const COLON = 58;

/** Which characters a name may have (RFC 9110, 5.6.2). */
const inName = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") inName[character.charCodeAt(0)] = 1;

/** Where a line of the head begins, and where its colon stands. */
interface Line {
  readonly start: number;
  readonly colon: number;
  readonly end: number;
}

/** Status and headers. */
export class ReplyHead {
  readonly status: number;
  /** Whether the version is 1.1, not 1.0. */
  readonly isCurrent: boolean;
  readonly #text: string;
  readonly #lines: Line[] = [];

  /** @param text the head in Latin-1, without the empty line that ends it @throws {MalformedReply} */
  constructor(text: string) {
    this.#text = text;
    this.status = statusOf(text);
    this.isCurrent = text.charCodeAt(7) === 49;
    let at = endOfLine(text, 12);
    while (at < text.length) {
      const start = at + 2;
      let colon = start;
      while (inName[text.charCodeAt(colon)] === 1) colon++;
      if (colon === start || text.charCodeAt(colon) !== COLON) throw new MalformedReply('A header of the reply has no proper name.');
      at = endOfLine(text, colon + 1);
      this.#lines.push({ start, colon, end: at });
    }
  }

  /** A header by its name in lower-case letters and hyphens; several of one name are joined with commas. Undefined when there is none. */
  get(name: string): string | undefined {
    let value: string | undefined;
    for (const { start, colon, end } of this.#lines) {
      if (colon - start !== name.length || !this.#isNamed(name, start)) continue;
      const one = this.#value(colon + 1, end);
      value = value === undefined ? one : `${value}, ${one}`;
    }
    return value;
  }

  /** Whether the name that begins here is this one, in any case. Setting bit 5 makes letters small and changes no other character of a name into one of ours. */
  #isNamed(name: string, start: number): boolean {
    for (let at = 0; at < name.length; at++) if ((this.#text.charCodeAt(start + at) | 32) !== name.charCodeAt(at)) return false;
    return true;
  }

  /** A value without the blanks around it. */
  #value(from: number, to: number): string {
    let start = from;
    let end = to;
    while (start < end && isBlank(this.#text.charCodeAt(start))) start++;
    while (end > start && isBlank(this.#text.charCodeAt(end - 1))) end--;
    return this.#text.slice(start, end);
  }
}

/** The status of `HTTP/1.x ddd` with a reason after it, or nothing. @throws {MalformedReply} */
function statusOf(text: string): number {
  const status = digit(text, 9) * 100 + digit(text, 10) * 10 + digit(text, 11);
  const minor = text.charCodeAt(7);
  const after = text.charCodeAt(12);
  const proper = text.slice(0, 7) === 'HTTP/1.' && (minor === 48 || minor === 49) && text.charCodeAt(8) === 32 && status >= 100 && (after === 32 || after === CR || text.length === 12);
  if (!proper) throw new MalformedReply('The reply does not begin with a status line of HTTP/1.1.');
  return status;
}

/** A space or a tab (RFC 9110, 5.6.3). */
function isBlank(character: number): boolean {
  return character === 32 || character === 9;
}

/** The value of a decimal digit; NaN for anything else. */
function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - 48;
  return value >= 0 && value <= 9 ? value : Number.NaN;
}

/** Where the line ends: at CR LF, or with the text. @throws {MalformedReply} for a CR, LF or NUL that stands alone */
function endOfLine(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character > CR) continue;
    if (character === CR && text.charCodeAt(at + 1) === LF) return at;
    if (character === CR || character === LF || character === 0) throw new MalformedReply('A line of the head of the reply does not end as it should.');
  }
  return text.length;
}
