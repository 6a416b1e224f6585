/**
 * One connection to a server: carries one request at a time, and the next when the reply has ended. Plain or TLS.
 *
 * Lean on purpose: the request leaves in one write, and replies are read from one buffer that all connections share,
 * without a stream in between. A general client costs the gateway a seventh of its processor time (`npm run bench:gateway`).
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { MalformedReply, type ReplyHead } from './reply-head.ts';
import { ReplyReader, type ReplyListener } from './reply-reader.ts';

/** Where the server is. */
export interface Origin {
  readonly secure: boolean;
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Why a connection carried no reply, or not all of it. The cause, where there is one, is the socket's error. */
export class ConnectionFailure extends Error {
  override readonly name = 'ConnectionFailure';
  /** `connect-timeout`: it was not made in time; `malformed`: what came is not HTTP; `lost`: refused, reset or closed. */
  readonly kind: 'connect-timeout' | 'malformed' | 'lost';

  constructor(kind: ConnectionFailure['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** What the sender of a request can do while it is under way. */
export interface Sending {
  /** Closes the connection; nothing more is told. */
  abort(): void;
  /** Stops reading for now. */
  pause(): void;
  resume(): void;
}

/** Who sent a request and waits for the reply. */
export interface Sender {
  /** Nobody waits any more: the request need not be sent. */
  readonly over: boolean;
  /** The request goes out now. */
  onSent(sending: Sending): void;
  onHead(head: ReplyHead): void;
  onData(bytes: Buffer): void;
  onEnd(): void;
  onFailure(failure: ConnectionFailure): void;
}

/** A request as it goes over the line. */
export interface RequestBytes {
  /** Request line and headers with their last empty line; Latin-1. */
  readonly head: string;
  /** Empty for none. */
  readonly body: string;
  readonly bodyBytes: number;
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** The reply has ended, and another request may be sent until `keepMs` from now. */
  onIdle(connection: Connection, keepMs: number | undefined): void;
  onClosed(connection: Connection): void;
}

/** Read by every connection in turn; whatever is wanted of it is copied before the next one reads. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
/** Pause before the first probe of a silent connection (TCP keep-alive). Milliseconds. */
const probeAfterMs = 60_000;

/** A connection; it begins to connect when it is made. */
export class Connection implements ReplyListener, Sending {
  /** Time at which it becomes too old to be used; set by the pool. */
  idleUntilMs = 0;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reader = new ReplyReader(this);
  #connectTimer: NodeJS.Timeout | undefined;
  #sender: Sender | undefined;
  #request: RequestBytes | undefined;
  #error: unknown;
  #closed = false;
  #paused = false;

  /** @param tlsSession of an earlier connection, to be resumed @param onTlsSession told of sessions that can be resumed */
  constructor(origin: Origin, connectTimeoutMs: number, owner: ConnectionOwner, tlsSession: Buffer | undefined, onTlsSession: (session: Buffer) => void) {
    this.#owner = owner;
    const { host, port, secure } = origin;
    const onread = { buffer: readBuffer, callback: (length: number, bytes: Uint8Array) => this.#read((bytes as Buffer).subarray(0, length)) };
    const common = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: probeAfterMs, onread };
    this.#socket = secure
      ? connectTls({ ...common, ALPNProtocols: ['http/1.1'], ...(isIP(host) === 0 ? { servername: host } : {}), ...(tlsSession === undefined ? {} : { session: tlsSession }) }).on('session', onTlsSession)
      : connect(common);
    this.#connectTimer = setTimeout(() => this.#close(new ConnectionFailure('connect-timeout', 'The connection was not made in time.')), connectTimeoutMs);
    this.#socket.once(secure ? 'secureConnect' : 'connect', () => this.#connected());
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#ended());
  }

  /** Sends a request once connected. Only one at a time. */
  send(request: RequestBytes, sender: Sender): void {
    this.#sender = sender;
    this.#request = request;
    if (this.#connectTimer === undefined) this.#write();
  }

  /** Whether it can carry a request now. */
  get usable(): boolean {
    return !this.#closed && !this.#socket.destroyed && this.#socket.writable;
  }

  abort(): void {
    this.#sender = undefined;
    this.#close(undefined);
  }

  /** Closes it at once; who waits for a reply is told. */
  close(): void {
    this.#close(new ConnectionFailure('lost', 'The connections of the member were closed.'));
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  onHead(head: ReplyHead): void {
    this.#sender?.onHead(head);
  }

  onData(bytes: Buffer): void {
    this.#sender?.onData(bytes);
  }

  onEnd(): void {
    const sender = this.#sender;
    this.#sender = undefined;
    // A server that answers before it has the whole request has stopped listening to it.
    const { keepsAlive, keepMs } = this.#reader;
    if (!keepsAlive || this.#socket.writableLength > 0 || this.#closed) this.#close(undefined);
    else {
      this.resume();
      this.#socket.unref();
      this.#owner.onIdle(this, keepMs);
    }
    sender?.onEnd();
  }

  #connected(): void {
    clearTimeout(this.#connectTimer);
    this.#connectTimer = undefined;
    if (this.#sender === undefined) return;
    if (!this.#sender.over) return this.#write();
    this.#sender = undefined;
    this.#socket.unref();
    this.#owner.onIdle(this, undefined);
  }

  #write(): void {
    const { head, body, bodyBytes } = this.#request as RequestBytes;
    this.#request = undefined;
    this.#socket.ref();
    this.#sender?.onSent(this);
    if (this.#closed) return;
    // Text that is all ASCII is the same in both encodings, and Latin-1 is written faster.
    if (bodyBytes === body.length) this.#socket.write(head + body, 'latin1');
    else {
      const bytes = Buffer.allocUnsafe(head.length + bodyBytes);
      bytes.write(head, 'latin1');
      bytes.write(body, head.length);
      this.#socket.write(bytes);
    }
  }

  #read(bytes: Buffer): boolean {
    if (this.#closed) return true;
    if (this.#sender === undefined) this.#close(undefined); // nobody has asked for anything
    else {
      try {
        this.#reader.push(bytes);
      } catch (error) {
        if (!(error instanceof MalformedReply)) throw error;
        this.#close(new ConnectionFailure('malformed', error.message));
      }
    }
    return !this.#paused;
  }

  #ended(): void {
    if (this.#closed) return;
    if (this.#error === undefined && this.#sender !== undefined && this.#reader.close()) return;
    this.#close(new ConnectionFailure('lost', 'The connection was closed.', this.#error));
  }

  #close(failure: ConnectionFailure | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#connectTimer);
    this.#socket.destroy();
    this.#owner.onClosed(this);
    const sender = this.#sender;
    this.#sender = undefined;
    if (failure !== undefined) sender?.onFailure(failure);
  }
}
