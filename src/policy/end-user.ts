/** How a trace tells the end users of a caller apart without holding their ids. */
import { hash } from 'node:crypto';

/** Hex digits that are kept: enough to tell apart the users of one caller. */
const digits = 12;

/** The first 12 hex digits of the SHA-256 of an end-user id. Whoever knows an id can find its traces; the id cannot be read off them. */
export function endUserMark(user: string): string {
  return hash('sha256', user, 'hex').slice(0, digits);
}
