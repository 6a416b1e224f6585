/** Reading a request's body: size limit (declared and chunked), content type, UTF-8, JSON object. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { fail, TandemError } from '../../errors.ts';
import { atTurnEnd, isAlone } from '../../system/turn.ts';
import type { BodyListener, Incoming } from './incoming.ts';
import { kindOf, type JsonObject } from '../parameters/reading.ts';

/**
 * Reads a body and does something with it, in the moment in which it is complete; where several requests are under way, the bodies of all of
 * them are read at the end of that turn, and what is done with them comes after that (`system/turn.ts`).
 * @param read what the bytes mean
 * @param use what is done; what it gives or throws is what the promise settles with
 * @throws {TandemError} body_too_large, cancelled, and what `read` and `use` throw
 */
export function readBody<B, T>(request: Incoming, bytesMax: number, read: (bytes: Buffer) => B, use: (body: B) => T | Promise<T>): Promise<T> {
  const declared = request.headers['content-length'];
  if (declared !== undefined && Number(declared) > bytesMax) return Promise.reject(tooLarge(bytesMax));
  return new Promise((resolve, reject) => {
    const reading = new BodyReading(bytesMax, { read, use, resolve, reject });
    request.listener = reading;
    // Most bodies are complete before this microtask. (`queueMicrotask` would make an AsyncResource for it.)
    void settled.then(() => {
      // Nobody else reads the stream, which has to come to its end.
      request.resume();
      if (reading.over) return;
      const gone = (): void => {
        if (!request.complete) reject(new TandemError('cancelled', { message: 'The client went away before it had sent its request.' }));
      };
      request.once('error', gone);
      request.once('close', gone);
    });
  });
}

const settled = Promise.resolve();

/** What becomes of a body. */
interface Fate<B, T> {
  readonly read: (bytes: Buffer) => B;
  readonly use: (body: B) => T | Promise<T>;
  readonly resolve: (value: T | Promise<T>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A body while it comes. An object of its own and no closure over the request: with one, V8's collector of young objects
 * carried most of each request on into the old ones.
 */
class BodyReading<B, T> implements BodyListener {
  /** Whether it is complete, or refused. */
  over = false;
  readonly #bytesMax: number;
  readonly #fate: Fate<B, T>;
  #first: Buffer | undefined;
  #rest: Buffer[] | undefined;
  #length = 0;

  constructor(bytesMax: number, fate: Fate<B, T>) {
    this.#bytesMax = bytesMax;
    this.#fate = fate;
  }

  onPiece(piece: Buffer | null): void {
    if (this.over) return;
    if (piece === null) {
      this.over = true;
      if (isAlone()) this.#complete(true);
      else atTurnEnd(() => this.#complete(false));
      return;
    }
    this.#length += piece.length;
    if (this.#length > this.#bytesMax) {
      this.over = true;
      this.#fate.reject(tooLarge(this.#bytesMax));
    } else if (this.#first === undefined) this.#first = piece;
    else (this.#rest ??= []).push(piece);
  }

  #complete(alone: boolean): void {
    const { read, use, resolve, reject } = this.#fate;
    try {
      const body = read(this.#rest === undefined ? (this.#first ?? Buffer.alloc(0)) : Buffer.concat([this.#first as Buffer, ...this.#rest]));
      resolve(alone ? use(body) : Promise.resolve(body).then(use));
    } catch (error) {
      reject(error);
    }
  }
}

function tooLarge(bytesMax: number): TandemError {
  return new TandemError('body_too_large', { message: `The body is larger than ${bytesMax} bytes.` });
}

/** Checks that a request declares plain JSON. @throws {TandemError} media_type_unsupported */
export function checkMediaType(request: IncomingMessage): void {
  const type = request.headers['content-type'];
  if (type !== 'application/json' && !/^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?$/i.test(type ?? '')) {
    fail('media_type_unsupported', type === undefined ? 'The header content-type is missing; expected application/json.' : 'Expected the content type application/json, in UTF-8.');
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') fail('media_type_unsupported', 'Expected a body without content-encoding.');
}

/** The JSON object that a body holds. @throws {TandemError} body_malformed */
export function parseJson(body: Buffer): JsonObject {
  const text = body.toString('utf8');
  // Bytes that are not UTF-8 were read as this character, which may also have been sent.
  if (text.includes('\uFFFD') && !isUtf8(body)) fail('body_malformed', 'The body is not UTF-8.');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The cause would quote the body, so it is left out.
    fail('body_malformed', body.length === 0 ? 'The body is empty; expected a JSON object.' : 'The body is not valid JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail('body_malformed', `The body must be a JSON object, got ${kindOf(value)}.`);
  return value as JsonObject;
}
