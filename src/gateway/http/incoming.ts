/**
 * A request whose body can be heard of as it comes. Node hands a body over through a stream, some turns of its queues later; a
 * short body is all here when the parser has seen it, and what is to be done with it can begin.
 */
import { IncomingMessage } from 'node:http';

/** Who wants to hear of a body. */
export interface BodyListener {
  /** A piece of the body, in the moment in which the parser gives it; null at the end. */
  onPiece(piece: Buffer | null): void;
}

/** What Node's parser makes of the beginning of a request; given to `createServer`. */
export class Incoming extends IncomingMessage {
  /** Told of the body. The stream stays what it was: it is still to be read, or resumed. */
  listener: BodyListener | undefined = undefined;

  /** Called by the parser. */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    this.listener?.onPiece(piece);
    return super.push(piece, encoding);
  }
}
