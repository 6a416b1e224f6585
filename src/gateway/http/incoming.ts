/**
 * A request whose body can be heard of as it comes. Node hands a body over through a stream, some turns of its queues later; a
 * short body is all here when the parser has seen it, and what is to be done with it can begin.
 */
import { IncomingMessage } from 'node:http';

/** Who takes a body. */
export interface BodyListener {
  /** A piece of the body, in the moment in which the parser gives it; null at the end. It is for the listener to say when it has had enough. */
  onPiece(piece: Buffer | null): void;
}

/** What Node's parser makes of the beginning of a request; given to `createServer`. */
export class Incoming extends IncomingMessage {
  /** Takes the body, and leaves the stream its end alone, which is still to be read: resume it. */
  listener: BodyListener | undefined = undefined;

  /** Called by the parser. */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    const { listener } = this;
    if (listener === undefined) return super.push(piece, encoding);
    listener.onPiece(piece);
    return piece === null ? super.push(null) : true;
  }
}
