/**
 * Fetches model files: GGUF from the hub or any address, for `tandem pull` and for programs.
 *
 * Knows nothing of terminals. What it fetched lies in the cache folder under a name that the configuration may use.
 */
import { existsSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fail } from '../../errors.ts';
import { systemClock } from '../../system/clock.ts';
import type { Clock } from '../../system/clock.ts';
import { systemRandom } from '../../system/random.ts';
import type { Random } from '../../system/random.ts';
import { modelFolder, readPulled, writePulled } from './cache.ts';
import type { Pulled } from './cache.ts';
import { areIntact } from './intact.ts';
import { download } from './download.ts';
import { Fetcher } from './fetcher.ts';
import { filesToFetch, publicEndpoint } from './hub.ts';
import type { RemoteFile } from './hub.ts';
import { withLock } from './lock.ts';
import { fileNameOf, parseSpec } from './spec.ts';
import type { PullSpec } from './spec.ts';

export { findPulled, listPulled, modelFolder } from './cache.ts';
export type { Pulled } from './cache.ts';

/** How to fetch. */
export interface PullOptions {
  /** Where TANDEM_CACHE, HF_ENDPOINT, HF_TOKEN and proxies are read from. Default: none are set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Address of a hub that mirrors the public one. Default: HF_ENDPOINT, else the public hub. */
  readonly endpoint?: string;
  /** Name to keep the file under. Default: the file's own name without `.gguf`. */
  readonly name?: string;
  /** Attempts that bring no bytes before giving up. Default 5. */
  readonly retriesMax?: number;
  /** Milliseconds without a byte before a connection counts as cut. Default 30,000. */
  readonly stallMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Free bytes of the disk that holds a folder. Default: asked of the system. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** How far a download is. */
export interface PullProgress {
  /** `listing` asks the hub; `waiting` for another process with the same file; `checking` reads what is there already. */
  readonly phase: 'listing' | 'waiting' | 'checking' | 'downloading' | 'done';
  readonly bytes: number;
  /** Where it is known. */
  readonly totalBytes?: number;
}

/** A file with what its SHA-256 will be compared with. */
interface Wanted extends RemoteFile {
  readonly checkedAgainst: Pulled['checkedAgainst'];
}

const NAME = /^[\w][\w.-]{0,127}$/;

/**
 * Fetches a model file, or gives the one that is already there, once its SHA-256 was computed again.
 * @param spec `<owner>/<repository>[@<revision>][:<file or quantisation>]`, or an address with an optional `#sha256=…`
 * @param onProgress called as bytes come, at most ten times a second, and at each change of phase
 * @throws {TandemError} usage, download_failed, download_corrupt, cancelled
 */
export async function pullModel(spec: string, options: PullOptions = {}, onProgress: (progress: PullProgress) => void = () => {}, signal: AbortSignal = new AbortController().signal): Promise<Pulled> {
  const { env = {}, clock = systemClock, name } = options;
  const parsed = parseSpec(spec);
  if (name !== undefined && !NAME.test(name)) fail('usage', 'Expected a name of letters, digits, ".", "_" and "-".');
  const endpoint = options.endpoint ?? (env['HF_ENDPOINT'] || publicEndpoint);
  if (!/^https?:\/\//i.test(endpoint) || !URL.canParse(endpoint)) fail('usage', 'Expected an http(s) address as the endpoint.');
  const token = env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'] || undefined;
  const fetcher = new Fetcher({ env, token, tokenOrigin: new URL(endpoint).origin, stallMs: options.stallMs ?? 30_000, signal });
  try {
    onProgress({ phase: 'listing', bytes: 0 });
    const wanted = await filesOf(parsed, endpoint, fetcher);
    const path = join(modelFolder(env), `${name ?? stemOf(wanted)}${splitOf(wanted[0]?.path ?? '')}.gguf`);
    await mkdir(modelFolder(env), { recursive: true }).catch((cause: unknown) => fail('download_failed', { message: 'The folder of pulled files cannot be made.', cause }));
    const waiting = (): void => onProgress({ phase: 'waiting', bytes: 0 });
    return await withLock(`${path}.lock`, clock, signal, waiting, () => fetchInto(path, wanted, sourceOf(parsed, wanted), options, fetcher, onProgress, signal));
  } finally {
    await fetcher.close();
  }
}

async function fetchInto(path: string, wanted: readonly Wanted[], source: string, options: PullOptions, fetcher: Fetcher, onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<Pulled> {
  const { clock = systemClock, random = systemRandom, retriesMax = 5, freeBytes } = options;
  const first = wanted[0] ?? fail('download_failed', 'There is nothing to fetch.');
  const there = await readPulled(path);
  if (there !== undefined && there.source !== source) fail('usage', `The name "${there.name}" belongs to ${there.source}. Choose another one with --name.`);
  const paths = wanted.map((file, index) => (index === 0 ? path : path.replace(splitOf(first.path), splitOf(file.path))));
  const show = throttled(onProgress, clock);
  const expected = wanted.map((file, index) => file.sha256 ?? (index === 0 ? there?.sha256 : undefined));
  const described = async (bytes: number, sha256: string): Promise<Pulled> => {
    const pulled: Pulled = { name: basename(path, '.gguf'), path, bytes, sha256, source, checkedAgainst: first.checkedAgainst, ...(paths.length > 1 ? { parts: paths } : {}) };
    await writePulled(pulled);
    onProgress({ phase: 'done', bytes, totalBytes: bytes });
    return pulled;
  };
  const reading = { signal, onProgress: (bytes: number) => show('checking', bytes, there?.bytes) };
  if (there !== undefined && expected[0] === there.sha256 && (await areIntact(paths, expected, reading))) {
    onProgress({ phase: 'done', bytes: there.bytes, totalBytes: there.bytes });
    return there;
  }
  if (existsSync(path) && !existsSync(`${path}.json`)) {
    const same = expected.every((sha256) => sha256 !== undefined) && (await areIntact(paths, expected, reading));
    if (!same) fail('usage', `${path} exists and was not fetched by tandem pull. Move it, or choose another name with --name.`);
    const sizes = await Promise.all(paths.map(async (file) => (await stat(file)).size));
    return described(sizes.reduce((total, size) => total + size, 0), first.sha256 ?? '');
  }
  const sum = wanted.every((file) => file.bytes !== undefined) ? wanted.reduce((total, file) => total + (file.bytes ?? 0), 0) : undefined;
  let earlier = 0;
  let sha256 = '';
  for (const [index, { url, bytes, sha256: wantedSha256 }] of wanted.entries()) {
    const plan = { url, path: paths[index] ?? path, retriesMax, ...(bytes === undefined ? {} : { bytes }), ...(wantedSha256 === undefined ? {} : { sha256: wantedSha256 }) };
    const got = await download(plan, { fetcher, clock, random, signal, ...(freeBytes === undefined ? {} : { freeBytes }), onProgress: (phase, done, total) => show(phase, earlier + done, sum ?? (wanted.length === 1 ? total : undefined)) });
    earlier += got.bytes;
    if (index === 0) sha256 = got.sha256;
  }
  return described(earlier, sha256);
}

async function filesOf(spec: PullSpec, endpoint: string, fetcher: Fetcher): Promise<readonly Wanted[]> {
  if (spec.kind === 'hub') {
    const files = await filesToFetch(fetcher, endpoint, spec);
    return files.map((file) => ({ ...file, checkedAgainst: file.sha256 === undefined ? 'nothing' : 'hub' }));
  }
  const path = fileNameOf(spec.url) ?? '';
  if (spec.sha256 !== undefined) return [{ path, url: spec.url, sha256: spec.sha256, checkedAgainst: 'fragment' }];
  const beside = new URL(spec.url);
  beside.pathname += '.sha256';
  const text = await fetcher.text(beside, 65_536).catch((error: unknown) => (signalled(error) ? Promise.reject(error as Error) : 0));
  const sha256 = typeof text === 'string' ? /^\\?([0-9a-f]{64})\b/i.exec(text.trim())?.[1]?.toLowerCase() : undefined;
  return [{ path, url: spec.url, ...(sha256 === undefined ? { checkedAgainst: 'nothing' } : { sha256, checkedAgainst: 'sidecar' }) }];
}

function signalled(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'cancelled';
}

function stemOf(wanted: readonly RemoteFile[]): string {
  const file = (wanted[0]?.path ?? '').split('/').at(-1) ?? '';
  const stem = file.replace(/\.gguf$/i, '').replace(/-\d{5}-of-\d{5}$/, '').replace(/[^\w.-]/g, '-');
  return NAME.test(stem) ? stem : fail('usage', 'The name of the file cannot be used. Choose another one with --name.');
}

/** The ending that llama.cpp needs to find the parts of a split file. */
function splitOf(path: string): string {
  return /-\d{5}-of-\d{5}(?=\.gguf$)/i.exec(path)?.[0] ?? '';
}

function sourceOf(spec: PullSpec, wanted: readonly RemoteFile[]): string {
  if (spec.kind === 'hub') return `${spec.repo}${spec.revision === 'main' ? '' : `@${spec.revision}`}:${wanted[0]?.path ?? ''}`;
  return `${spec.url.origin}${spec.url.pathname}`;
}

function throttled(onProgress: (progress: PullProgress) => void, clock: Clock): (phase: PullProgress['phase'], bytes: number, totalBytes: number | undefined) => void {
  let shownMs = Number.NEGATIVE_INFINITY;
  let shownPhase = '';
  return (phase, bytes, totalBytes) => {
    const nowMs = clock.monotonicMs();
    if (phase === shownPhase && nowMs - shownMs < 100 && bytes !== totalBytes) return;
    shownMs = nowMs;
    shownPhase = phase;
    onProgress({ phase, bytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
  };
}
