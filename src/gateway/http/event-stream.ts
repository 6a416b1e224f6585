/**
 * Server-sent events with back-pressure; a client that takes nothing for too long is disconnected. Events that arise in the same turn of the
 * event loop leave in one write.
 * Format: the HTML standard, section 9.2, as OpenAI's clients read it.
 */
import type { ServerResponse } from 'node:http';
import { atTurnEnd } from '../../system/turn.ts';
import type { Untaken } from './untaken.ts';

/** Characters that wait at most before they are written, whatever the turn. */
const pendingMax = 16_384;

/** An event stream to a client. Headers leave with the first event. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #headers: () => readonly string[];
  readonly #untaken: Untaken;
  #pending = '';
  #scheduled = false;
  #drain: Promise<void> | undefined;
  #resume: (() => void) | undefined;
  #ended = false;
  /** Whether anything was sent since the last look of the heartbeat. */
  active = true;

  /** @param headers more headers, asked for when the stream begins @param untaken disconnects a client that takes nothing for too long */
  constructor(response: ServerResponse, headers: () => readonly string[], untaken: Untaken) {
    this.#response = response;
    this.#headers = headers;
    this.#untaken = untaken;
  }

  /** Whether the status line is out, so that errors can only be told in the stream. */
  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** Sends events. Gives a promise when the client reads too slowly: wait for it before sending more. */
  send(events: string): Promise<void> | undefined {
    if (events === '' || this.#ended) return this.#drain;
    this.active = true;
    this.#pending += events;
    if (this.#pending.length > pendingMax) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      atTurnEnd(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return this.#drain;
  }

  /** Ends the waiting for a client that reads too slowly: there is something else to do than to send. */
  stopWaiting(): void {
    this.#resume?.();
  }

  /** Sends a comment, which clients ignore and proxies count as life. */
  heartbeat(): void {
    this.send(': keep-alive\n\n');
  }

  /** Sends the last events and ends the reply. */
  end(events: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#response.destroyed) return;
    const last = this.#pending + events;
    this.#pending = '';
    const bytes = Buffer.byteLength(last);
    // A stream that is complete before anything was sent has a length, and leaves in one write instead of several chunks.
    this.#begin(['content-length', String(bytes)]);
    this.#response.end(last, bytes === last.length ? 'latin1' : 'utf8');
    this.#untaken.watch(this.#response);
  }

  /** Drops what was not sent; the reply is written by someone else. */
  abandon(): void {
    this.#ended = true;
    this.#pending = '';
  }

  /** Sends the status line, unless it is out. @param more headers, name after name and value */
  #begin(more: readonly string[] = []): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', 'x-accel-buffering', 'no', ...more, ...this.#headers()]);
  }

  #flush(): void {
    const response = this.#response;
    if (this.#pending === '' || this.#ended || response.destroyed) return;
    this.#begin();
    const text = this.#pending;
    this.#pending = '';
    if (response.write(text, encodingOf(text)) || this.#drain !== undefined) return;
    this.#untaken.watch(response);
    this.#drain = new Promise((resolve) => {
      const done = (): void => {
        response.off('drain', done);
        response.off('close', done);
        this.#drain = this.#resume = undefined;
        resolve();
      };
      this.#resume = done;
      response.once('drain', done);
      response.once('close', done);
    });
  }
}

/** Text that is all ASCII is the same in both encodings, and Latin-1 is written faster. */
function encodingOf(text: string): 'latin1' | 'utf8' {
  return Buffer.byteLength(text) === text.length ? 'latin1' : 'utf8';
}
