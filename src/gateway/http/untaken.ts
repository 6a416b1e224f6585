/**
 * Replies that their clients have not taken yet. A client that takes nothing for too long is disconnected. Not by the time-out of Node's sockets: that
 * begins anew once when it finds that anything was taken since the write, and so takes up to twice its time.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How often a reply is looked at within the time that its client has. */
const looks = 8;

/** Replies that their clients have not taken yet. */
export class Untaken {
  readonly #writeTimeoutMs: number;
  readonly #replies = new Set<ServerResponse>();

  /** @param writeTimeoutMs how long a client may take nothing before it is disconnected, in milliseconds */
  constructor(writeTimeoutMs: number) {
    this.#writeTimeoutMs = writeTimeoutMs;
  }

  /** Watches a reply until all that was written is taken. Costs nothing where the system has taken all of it at once. */
  watch(reply: ServerResponse): void {
    if (reply.writableLength === 0 || this.#replies.has(reply)) return;
    this.#replies.add(reply);
    let taken = takenBy(reply.socket);
    let missed = 0;
    const timer = setInterval(() => {
      if (reply.writableLength === 0 || reply.destroyed) {
        clearInterval(timer);
        this.#replies.delete(reply);
        return;
      }
      const now = takenBy(reply.socket);
      missed = now === undefined || now !== taken ? 0 : missed + 1;
      taken = now;
      if (missed >= looks) reply.socket?.destroy();
    }, this.#writeTimeoutMs / looks).unref();
  }

  /** Finished replies of which something is still to be taken. Each emits `close` when it has left, or its connection is gone. */
  leaving(): ServerResponse[] {
    return Array.from(this.#replies).filter((reply) => reply.writableEnded && !reply.writableFinished && !reply.destroyed);
  }
}

/** Bytes that the system has taken of a connection's replies. Undefined for a reply that waits for the one before it, and has no connection yet. */
function takenBy(socket: Socket | null): number | undefined {
  // A piece counts in `writableLength` until all of it is taken; how far it has come only the handle knows.
  const { bytesWritten = 0, writeQueueSize = 0 } = (socket as { readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null } | null)?._handle ?? {};
  return socket === null ? undefined : bytesWritten - writeQueueSize;
}
