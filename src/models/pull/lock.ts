/**
 * One download of a file at a time, also across processes: a lock file with the holder's process id.
 *
 * A lock whose process is gone, or that was not touched for five minutes (a holder touches it every minute), is removed, by one process at a time:
 * otherwise one could remove what another has taken meanwhile.
 */
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { TandemError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';

const STALE_MS = 300_000;
const TOUCH_MS = 60_000;
const POLL_MS = 200;
/** Removing a lock takes a moment; whoever takes longer was ended at it. */
const REMOVAL_MS = 10_000;

/**
 * Runs `work` while holding the lock.
 * @param onWait called once when somebody else holds it
 * @throws {TandemError} cancelled, and what `work` throws
 */
export async function withLock<T>(path: string, clock: Clock, signal: AbortSignal, onWait: () => void, work: () => Promise<T>): Promise<T> {
  const mark = `${process.pid}@${hostname()}`;
  for (let waited = false; !(await taken(path, mark)); waited = true) {
    if (!waited) onWait();
    if ((await isStale(path, clock)) && (await removed(path, mark, clock))) continue;
    await clock.sleep(POLL_MS, signal).catch((cause: unknown) => cancelled(cause));
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), TOUCH_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await rm(path, { force: true });
  }
}

async function taken(path: string, mark: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(mark);
    await file.close();
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw new TandemError('download_failed', { message: 'The folder of pulled files cannot be written.', cause: error });
  }
}

/** Removes a lock if it is still stale when nobody else can remove it. False when somebody else is at it. */
async function removed(path: string, mark: string, clock: Clock): Promise<boolean> {
  const guard = `${path}.stale`;
  if (!(await taken(guard, mark))) {
    const since = await stat(guard).then(({ mtimeMs }) => clock.wallMs() - mtimeMs).catch(() => 0);
    if (since > REMOVAL_MS) await rm(guard, { force: true });
    return false;
  }
  try {
    if (await isStale(path, clock)) await rm(path, { force: true });
    return true;
  } finally {
    await rm(guard, { force: true });
  }
}

async function isStale(path: string, clock: Clock): Promise<boolean> {
  try {
    const [mark, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (clock.wallMs() - mtimeMs > STALE_MS) return true;
    const [pid, host] = mark.split('@');
    return mark !== '' && host === hostname() && !isAlive(Number(pid));
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}

function cancelled(cause: unknown): never {
  throw new TandemError('cancelled', { message: 'The download was stopped while it waited for another one of the same file.', cause });
}
