/**
 * The connections to one server: at most so many at once; a request takes the one that was used last, makes a new one,
 * or waits in line. An idle connection is dropped before the server would close it under a request.
 */
import { systemClock } from '../../../system/clock.ts';
import { Connection, ConnectionFailure, type ConnectionOwner, type Origin, type RequestBytes, type Sender } from './connection.ts';

/** How a pool behaves. */
export interface PoolSettings {
  readonly origin: Origin;
  /** Connections at once. */
  readonly connectionsMax: number;
  /** Time to make a connection, TLS included. */
  readonly connectTimeoutMs: number;
}

/** How long an idle connection is kept when the server says nothing of it. Milliseconds. */
const keepMs = 4_000;
/** How long one is kept at most, whatever the server says. Milliseconds. */
const keepMsMax = 600_000;
/** So much earlier than the server says is a connection dropped: its closing may be under way. Milliseconds. */
const marginMs = 1_000;
/** How often idle connections are looked through. Milliseconds. */
const sweepMs = 1_000;

/** Connections to one server. */
export class ConnectionPool implements ConnectionOwner {
  readonly #settings: PoolSettings;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];
  #waiting: { readonly request: RequestBytes; readonly sender: Sender }[] = [];
  /** Senders that left since the line was looked through; those that have left the line otherwise count too. */
  #left = 0;
  #sweep: NodeJS.Timeout | undefined;
  #tlsSession: Buffer | undefined;
  #closed = false;

  /** @param settings how it behaves */
  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** Sends a request over a connection that is free, or as soon as one is. */
  send(request: RequestBytes, sender: Sender): void {
    const idle = this.#take();
    if (idle !== undefined) idle.send(request, sender);
    else if (this.#all.size < this.#settings.connectionsMax) this.#connect().send(request, sender);
    else this.#waiting.push({ request, sender });
  }

  /**
   * Says that a sender is over whose request was not written: it may still wait here. Such requests are dropped once they may be half
   * of the line, so that a server that hangs holds no more of them than of wanted ones, and leaving costs no look through the line each.
   */
  left(): void {
    if (++this.#left * 2 < this.#waiting.length) return;
    this.#left = 0;
    this.#waiting = this.#waiting.filter(({ sender }) => !sender.over);
  }

  /** Closes every connection at once; who waits for a reply, or to be sent, is told. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#sweep);
    for (const { sender } of this.#waiting.splice(0)) sender.onFailure(new ConnectionFailure('lost', 'The connections of the member were closed.'));
    for (const connection of [...this.#all]) connection.close();
  }

  onIdle(connection: Connection, saidMs: number | undefined): void {
    const forMs = saidMs === undefined ? keepMs : Math.min(keepMsMax, saidMs - marginMs);
    if (forMs <= 0 || this.#closed) return connection.abort();
    const next = this.#next();
    if (next !== undefined) return connection.send(next.request, next.sender);
    connection.idleUntilMs = systemClock.monotonicMs() + forMs;
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => this.#dropOld(), sweepMs).unref();
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    const next = this.#closed ? undefined : this.#next();
    if (next !== undefined) this.send(next.request, next.sender);
  }

  #take(): Connection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.usable && connection.idleUntilMs > systemClock.monotonicMs()) return connection;
      connection.abort();
    }
    return undefined;
  }

  #connect(): Connection {
    const { origin, connectTimeoutMs } = this.#settings;
    const connection = new Connection(origin, connectTimeoutMs, this, this.#tlsSession, (session) => (this.#tlsSession = session));
    this.#all.add(connection);
    return connection;
  }

  /** The first that waits and is still wanted. */
  #next(): { readonly request: RequestBytes; readonly sender: Sender } | undefined {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) if (!next.sender.over) return next;
    return undefined;
  }

  #dropOld(): void {
    const nowMs = systemClock.monotonicMs();
    for (const connection of this.#idle.filter((each) => each.idleUntilMs <= nowMs)) connection.abort();
    if (this.#idle.length > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}
