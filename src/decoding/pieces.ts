/**
 * From tokens to text: pieces can cut a UTF-8 character, so bytes wait until the character is whole.
 *
 * The text is the same however the bytes are cut. Bytes that can never become a character give U+FFFD, as in the
 * Encoding Standard. Most pieces are whole characters; their text is kept per vocabulary.
 */
import type { Vocabulary } from './program.ts';

const texts = new WeakMap<Vocabulary, (string | null | undefined)[]>();
const whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textsOf(vocabulary: Vocabulary): (string | null | undefined)[] {
  let known = texts.get(vocabulary);
  if (known === undefined) texts.set(vocabulary, (known = new Array<string | null | undefined>(vocabulary.size)));
  return known;
}

/** The text of a token on its own; null when its bytes are not whole characters. */
export function pieceText(vocabulary: Vocabulary, token: number): string | null {
  const known = textsOf(vocabulary);
  const text = known[token];
  if (text !== undefined) return text;
  try {
    return (known[token] = whole.decode(vocabulary.bytes(token)));
  } catch {
    return (known[token] = null);
  }
}

/** A token for showing, as `EmittedToken` reports alternatives: its text, where broken characters appear as U+FFFD, and its bytes, where it has such. */
export function shownToken(vocabulary: Vocabulary, token: number): { readonly text: string; readonly bytes?: readonly number[] } {
  const text = pieceText(vocabulary, token);
  if (text !== null) return { text };
  const bytes = vocabulary.bytes(token);
  return { text: new TextDecoder().decode(bytes), bytes: [...bytes] };
}

/** The bytes of a token that are not whole characters, as `EmittedToken` reports them; nothing for other tokens. */
export function cutBytes(vocabulary: Vocabulary, token: number): { readonly bytes?: readonly number[] } {
  return pieceText(vocabulary, token) === null ? { bytes: [...vocabulary.bytes(token)] } : {};
}

/** Joins the pieces of one answer. */
export class PieceJoiner {
  readonly #vocabulary: Vocabulary;
  readonly #texts: (string | null | undefined)[];
  /** Made at the first broken character, since making one takes as long as a step of a small model's bookkeeping. */
  #decoder: InstanceType<typeof TextDecoder> | undefined;
  #broken = false;

  /** @param vocabulary of the tokens */
  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#texts = textsOf(vocabulary);
  }

  /** The text that a further token completes; empty while a character is incomplete. */
  push(token: number): string {
    const text = this.#texts[token] ?? pieceText(this.#vocabulary, token);
    if (text !== null && !this.#broken) return text;
    const bytes = this.#vocabulary.bytes(token);
    if (bytes.length === 0) return '';
    this.#decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
    const out = this.#decoder.decode(bytes, { stream: true });
    this.#broken = text === null ? endsInside(bytes) : false;
    return out;
  }

  /** What is left at the end of the answer: U+FFFD when a character stayed incomplete. */
  end(): string {
    const out = this.#broken ? (this.#decoder?.decode() ?? '') : '';
    this.#broken = false;
    return out;
  }
}

/**
 * Whether the decoder may still hold bytes after these. Erring towards yes is safe: the slow way then goes on until a piece
 * ends on a character's boundary.
 */
function endsInside(bytes: Uint8Array): boolean {
  return (bytes[bytes.length - 1] as number) >= 0x80;
}
