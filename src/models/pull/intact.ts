/** Whether files on the disk are still what they were: their SHA-256, computed again. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { TandemError } from '../../errors.ts';

/** Adds a file's bytes to a hash. @param onBytes called with the bytes so far @returns how many there were @throws {TandemError} cancelled; what the disk says */
export async function hashFile(chunks: AsyncIterable<Buffer>, hash: Hash, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) {
    if (signal.aborted) throw new TandemError('cancelled', { message: 'The download was stopped.', cause: signal.reason });
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  return bytes;
}

/**
 * Reads files and compares them.
 * @param expected SHA-256 of each, 64 hex digits; a file of which none is known is not read
 * @returns false where one differs or cannot be read
 * @throws {TandemError} cancelled
 */
export async function areIntact(paths: readonly string[], expected: readonly (string | undefined)[], { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (bytes: number) => void }): Promise<boolean> {
  let earlier = 0;
  for (const [index, path] of paths.entries()) {
    const sha256 = expected[index];
    if (sha256 === undefined) continue;
    const hash = createHash('sha256');
    const before = earlier;
    try {
      earlier += await hashFile(createReadStream(path, { highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>, hash, signal, (bytes) => onProgress(before + bytes));
    } catch (error) {
      if (TandemError.is(error)) throw error;
      return false;
    }
    if (hash.digest('hex') !== sha256) return false;
  }
  return true;
}
