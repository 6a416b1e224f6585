/**
 * Text that is not joined until somebody reads it.
 *
 * A program that writes a token every millisecond reports far more often than anybody looks. Its text is collected as tokens and
 * becomes text when the event leaves the engine thread; between two steps of a model that has just swept the caches, even little code is dear.
 */
import type { PieceJoiner } from './pieces.ts';

/** An event of text that grows until it is read. Reading `delta` ends its growth; later tokens go into the next one. */
export class GrowingText {
  readonly type = 'text';
  readonly #joiner: PieceJoiner;
  readonly #tokens: number[] = [];
  #delta: string | undefined;

  /** @param joiner of the answer; nothing else may be pushed into it while this grows */
  constructor(joiner: PieceJoiner) {
    this.#joiner = joiner;
  }

  /** Adds a token. False when the text was read; the token is not taken then. */
  push(token: number): boolean {
    if (this.#delta !== undefined) return false;
    this.#tokens.push(token);
    return true;
  }

  /** The text of all its tokens; may be empty while a character is incomplete. */
  get delta(): string {
    return (this.#delta ??= this.#tokens.reduce((text, token) => text + this.#joiner.push(token), ''));
  }
}
