/**
 * A request whose body can be heard of as it comes. Node hands a body over through a stream, some turns of its queues later; a
 * short body is all here when the parser has seen it, and what is to be done with it can begin.
 */
import { IncomingMessage } from 'node:http';

/** What Node's parser makes of the beginning of a request; given to `createServer`. */
export class Incoming extends IncomingMessage {
  /** Told of each piece of the body in the moment in which the parser gives it, and of the end with null. The stream stays what it was: it is still to be read, or resumed. */
  onPiece: ((piece: Buffer | null) => void) | undefined = undefined;

  /** Called by the parser. */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    const more = super.push(piece, encoding);
    this.onPiece?.(piece);
    return more;
  }
}
