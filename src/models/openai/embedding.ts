/** Reads the vectors of /embeddings and brings them to unit length. */
import { fail } from '../../errors.ts';
import type { Call, Embedded } from '../port.ts';
import { tokenCount } from '../token-count.ts';
import { malformed } from './failure.ts';
import type { WireReply } from './wire.ts';

/**
 * The vectors of a reply, in the order of the texts.
 * @param dimensions how many to keep; default all. Cut here, since many servers refuse the parameter.
 * @throws {TandemError} upstream_malformed; parameter_invalid when the vectors have fewer dimensions
 */
export function embeddedVectors(member: string, reply: WireReply, texts: readonly string[], dimensions: number | undefined, call: Call): Embedded {
  const rows = Array.isArray(reply.data) ? (reply.data as NonNullable<WireReply['data']>) : [];
  const vectors: Float32Array[] = [];
  for (const [position, row] of rows.entries()) {
    vectors[typeof row?.index === 'number' ? row.index : position] = unitVector(member, row?.embedding, dimensions);
  }
  if (vectors.length !== texts.length || vectors.includes(undefined as never)) throw malformed(member, `${rows.length} vectors for ${texts.length} texts`);
  let promptTokens = tokenCount(reply.usage?.prompt_tokens);
  if (promptTokens === undefined) {
    promptTokens = Math.ceil(texts.reduce((sum, text) => sum + text.length, 0) / 4);
    call.note?.('usage-estimated', { promptTokens, completionTokens: 0 });
  }
  return { vectors, usage: { promptTokens, completionTokens: 0 } };
}

function unitVector(member: string, embedding: unknown, dimensions: number | undefined): Float32Array {
  const whole = typeof embedding === 'string' ? fromBase64(embedding) : Array.isArray(embedding) ? Float32Array.from(embedding as readonly number[]) : undefined;
  if (whole === undefined || whole.length === 0) throw malformed(member, 'a row without a vector');
  if (dimensions !== undefined && dimensions > whole.length) fail('parameter_invalid', { message: `Expected 1 to ${whole.length} dimensions, got ${dimensions}.`, param: 'dimensions', member });
  const vector = dimensions === undefined ? whole : whole.slice(0, dimensions);
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  if (!(length > 0) || !Number.isFinite(length)) throw malformed(member, 'a vector without a length');
  return vector.map((value) => value / length);
}

function fromBase64(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  const vector = new Float32Array(Math.floor(bytes.length / 4));
  for (let i = 0; i < vector.length; i++) vector[i] = bytes.readFloatLE(i * 4);
  return vector;
}
