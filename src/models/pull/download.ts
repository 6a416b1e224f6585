/**
 * One file from one address: resumed where it stopped, checked while it streams, moved into place at the end.
 *
 * The bytes so far are in `<file>.part`, what they are a part of in `<file>.part.json` (a validator and the size). They are kept
 * across runs and used again only when the server can show that the file is still the same (RFC 9110, 13.1.5 If-Range), or when its SHA-256 is
 * known and will show it.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TandemError, fail } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Random } from '../../system/random.ts';
import { readGguf } from '../llama/gguf.ts';
import { statusError } from './fetcher.ts';
import type { Fetched, Fetcher } from './fetcher.ts';
import { hashFile } from './intact.ts';

/** What to fetch and where to. */
export interface DownloadPlan {
  readonly url: URL;
  readonly path: string;
  /** Expected size, where it is known beforehand. */
  readonly bytes?: number;
  /** Expected SHA-256, where it is known beforehand. */
  readonly sha256?: string;
  /** Attempts that bring nothing before giving up. */
  readonly retriesMax: number;
}

/** What surrounds a download. */
export interface DownloadContext {
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Free bytes of the disk that holds a folder. Default: asked of the system. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly onProgress: (phase: 'checking' | 'downloading', bytes: number, totalBytes: number | undefined) => void;
}

/** Bytes to leave free on the disk. */
const SPARE_BYTES = 67_108_864;
/** A file that has not changed for so long before the reply can be told by that time. */
const SETTLED_MS = 60_000;

/** Fetches the file. @returns its size and SHA-256 @throws {TandemError} download_failed, download_corrupt, cancelled */
export async function download(plan: DownloadPlan, context: DownloadContext): Promise<{ readonly bytes: number; readonly sha256: string }> {
  await mkdir(dirname(plan.path), { recursive: true });
  const part = await PartFile.open(plan, context);
  try {
    await fetchAll(part, plan, context);
    const sha256 = part.digest();
    await check(part, plan, sha256);
    await part.close();
    await rename(part.path, plan.path);
    await rm(`${part.path}.json`, { force: true });
    return { bytes: part.bytes, sha256 };
  } finally {
    await part.close();
  }
}

/** The bytes so far, their running hash and what they are a part of. */
class PartFile {
  readonly path: string;
  bytes = 0;
  /** What shows that the server still has the same file (`validatorOf`). */
  validator: string | undefined;
  totalBytes: number | undefined;
  readonly #file: FileHandle;
  #hash: Hash = createHash('sha256');
  #closed = false;

  constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Opens what an earlier run left, its hash computed again, or begins anew. */
  static async open(plan: DownloadPlan, context: DownloadContext): Promise<PartFile> {
    const path = `${plan.path}.part`;
    const file = await open(path, 'a+').catch((cause: unknown) => fail('download_failed', { message: 'The folder of pulled files cannot be written.', cause }));
    const part = new PartFile(path, file);
    try {
      await part.#recall(plan, context);
      return part;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async #recall(plan: DownloadPlan, { signal, onProgress }: DownloadContext): Promise<void> {
    const { size } = await stat(this.path);
    const known = await readFile(`${this.path}.json`, 'utf8').then((text) => JSON.parse(text) as { url?: unknown; validator?: unknown; totalBytes?: unknown }).catch(() => undefined);
    const total = plan.bytes ?? (typeof known?.totalBytes === 'number' ? known.totalBytes : undefined);
    if (size === 0) return;
    if (known === undefined || known.url !== plan.url.href || (total !== undefined && size > total)) return this.restart();
    const chunks = this.#file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>;
    this.bytes = await hashFile(chunks, this.#hash, signal, (bytes) => onProgress('checking', bytes, total));
    this.validator = typeof known.validator === 'string' ? known.validator : undefined;
    this.totalBytes = total;
  }

  /** Forgets the bytes so far. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.bytes = 0;
    this.validator = undefined;
    this.totalBytes = undefined;
    this.#hash = createHash('sha256');
  }

  /** Notes what the bytes are a part of. */
  async describe(url: URL, validator: string | undefined, totalBytes: number | undefined): Promise<void> {
    this.validator = validator;
    this.totalBytes = totalBytes;
    await writeFile(`${this.path}.json`, JSON.stringify({ url: url.href, validator, totalBytes }));
  }

  async append(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const { bytesWritten } = await this.#file.write(chunk, at).catch((cause: unknown) => fail('download_failed', { message: `The disk took no more after ${this.bytes + at} bytes.`, cause }));
      at += bytesWritten;
    }
    this.#hash.update(chunk);
    this.bytes += chunk.length;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** The first bytes of the file. */
  async head(length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, 0);
    return bytes.subarray(0, bytesRead);
  }

  async remove(): Promise<void> {
    await this.close();
    await Promise.all([rm(this.path, { force: true }), rm(`${this.path}.json`, { force: true })]);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.sync().catch(() => {});
    await this.#file.close();
  }
}

/** Attempts until all bytes are here. An attempt that brought bytes does not count against the retries. */
async function fetchAll(part: PartFile, plan: DownloadPlan, context: DownloadContext): Promise<void> {
  const { clock, random, signal } = context;
  for (let failures = 0; ; ) {
    if (part.bytes > 0 && part.bytes === (plan.bytes ?? part.totalBytes)) return;
    const before = part.bytes;
    try {
      return await attempt(part, plan, context);
    } catch (error) {
      const known = TandemError.from(error);
      if (known.code !== 'download_failed' || !(known.cause instanceof Again)) throw known;
      failures = part.bytes > before ? 0 : failures + 1;
      if (failures > plan.retriesMax) throw new TandemError('download_failed', { message: `${known.message} Gave up after ${plan.retriesMax} retries that brought nothing.`, cause: known.cause.cause });
      const waitMs = (known.retryAfterMs ?? 0) + random.next() * Math.min(30_000, 500 * 2 ** failures);
      await clock.sleep(waitMs, signal).catch((cause: unknown) => {
        throw new TandemError('cancelled', { message: 'The download was stopped; running it again goes on where it stopped.', cause });
      });
    }
  }
}

/** Marks a failure after which another attempt may bring more. */
class Again {
  readonly cause: unknown;
  constructor(cause: unknown) {
    this.cause = cause;
  }
}

function again(message: string, cause?: unknown, retryAfterMs?: number): never {
  throw new TandemError('download_failed', { message, cause: new Again(cause), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

async function attempt(part: PartFile, plan: DownloadPlan, context: DownloadContext): Promise<void> {
  const { fetcher, signal, onProgress } = context;
  if (part.bytes > 0 && part.validator === undefined && plan.sha256 === undefined) await part.restart();
  const same = part.validator === undefined ? {} : { 'if-range': part.validator };
  const range: Record<string, string> = part.bytes > 0 ? { range: `bytes=${part.bytes}-`, ...same } : {};
  let reply: Fetched;
  try {
    reply = await fetcher.get(plan.url, range);
  } catch (error) {
    if (TandemError.is(error) && error.code === 'download_failed' && error.cause !== undefined) again(error.message, error.cause);
    throw error;
  }
  const { body } = reply;
  try {
    await accept(part, plan, reply, context);
    for await (const chunk of body as AsyncIterable<Buffer>) {
      await part.append(chunk);
      if (part.totalBytes !== undefined && part.bytes > part.totalBytes) fail('download_corrupt', `Expected ${part.totalBytes} bytes, got more.`);
      onProgress('downloading', part.bytes, part.totalBytes);
    }
  } catch (error) {
    body.destroy();
    if (TandemError.is(error)) throw error;
    if (signal.aborted) fetcher.fail(error);
    again(`The line was cut after ${part.bytes} bytes.`, error);
  }
  if (part.totalBytes !== undefined && part.bytes < part.totalBytes) again(`The line was cut after ${part.bytes} of ${part.totalBytes} bytes.`);
}

/** Decides from the reply's head where its bytes belong; afterwards the body can be appended. */
async function accept(part: PartFile, plan: DownloadPlan, { status, headers, body }: Fetched, context: DownloadContext): Promise<void> {
  if (status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range'])) ?? [];
    const totalBytes = total === undefined || total === '*' ? plan.bytes : Number(total);
    const sent = headers[isTag(part.validator) ? 'etag' : 'last-modified'];
    const same = Number(start) === part.bytes && (part.validator === undefined || sent === undefined || sent === part.validator) && (part.totalBytes === undefined || totalBytes === part.totalBytes);
    if (!same) {
      await part.restart();
      again('The file changed on the server; it is fetched anew.');
    }
    await part.describe(plan.url, part.validator ?? validatorOf(headers), totalBytes);
  } else if (status === 200) {
    if (part.bytes > 0) await part.restart();
    const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
    await part.describe(plan.url, validatorOf(headers), length ?? plan.bytes);
  } else if (status === 416 && part.bytes > 0) {
    await part.restart();
    again('The server has no bytes there; the file is fetched anew.');
  } else {
    await body.dump().catch(() => {});
    const error = statusError(plan.url, status);
    if (status === 408 || status === 429 || status >= 500) again(error.message, undefined, Math.min(60_000, (Number(headers['retry-after']) || 0) * 1_000));
    throw error;
  }
  if (plan.bytes !== undefined && part.totalBytes !== undefined && part.totalBytes !== plan.bytes) {
    await part.remove();
    fail('download_corrupt', `Expected a file of ${plan.bytes} bytes, the server offers ${part.totalBytes}.`);
  }
  if (part.totalBytes !== undefined) await checkSpace(plan.path, part.totalBytes - part.bytes, context);
}

/**
 * What shows by a later reply that a file is still the same: its strong entity tag; without any tag, the time of its last change, where that lies
 * so far before the reply that it cannot have changed twice at that time (RFC 9110, 8.8.2.2 and 13.1.5).
 */
function validatorOf({ etag, date, 'last-modified': changed }: Fetched['headers']): string | undefined {
  if (etag !== undefined) return typeof etag === 'string' && isTag(etag) ? etag : undefined;
  if (typeof changed !== 'string' || typeof date !== 'string') return undefined;
  return Date.parse(date) - Date.parse(changed) >= SETTLED_MS ? changed : undefined;
}

function isTag(validator: string | undefined): boolean {
  return validator?.startsWith('"') === true;
}

async function checkSpace(path: string, neededBytes: number, { freeBytes = freeOf }: DownloadContext): Promise<void> {
  const free = await freeBytes(dirname(path));
  if (free < neededBytes + SPARE_BYTES) fail('download_failed', `Expected ${neededBytes + SPARE_BYTES} free bytes on the disk of the cache, got ${free}. Free some, or set TANDEM_CACHE.`);
}

async function freeOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** What a file whose size and SHA-256 nobody told lacks, by its own header. */
function cutIn(path: string): string | undefined {
  try {
    readGguf(path);
    return undefined;
  } catch (error) {
    return `The server did not say how long the file is. ${TandemError.from(error).message}`;
  }
}

/** Size, SHA-256 and the GGUF mark; where neither is known, the size that the header asks for. What fails is removed. */
async function check(part: PartFile, plan: DownloadPlan, sha256: string): Promise<void> {
  const wrong =
    plan.bytes !== undefined && part.bytes !== plan.bytes
      ? `Expected ${plan.bytes} bytes, got ${part.bytes}.`
      : plan.sha256 !== undefined && plan.sha256 !== sha256
        ? `Expected the SHA-256 ${plan.sha256}, got ${sha256}.`
        : /\.gguf$/i.test(plan.path) && (await part.head(4)).toString('latin1') !== 'GGUF'
          ? 'Expected a GGUF file, got something else.'
          : plan.sha256 === undefined && (plan.bytes ?? part.totalBytes) === undefined
            ? cutIn(part.path)
            : undefined;
  if (wrong === undefined) return;
  await part.remove();
  fail('download_corrupt', wrong);
}
