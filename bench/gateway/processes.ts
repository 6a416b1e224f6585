/** Starts and stops the processes that a benchmark measures, and reads their memory. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

/** A running process. */
export interface Running {
  readonly process: ChildProcess;
  /** The first line that it printed. */
  readonly firstLine: string;
}

const started: ChildProcess[] = [];

/** Starts this Node with a script; resolves at its first line of output. @param env more variables */
export async function start(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd?: string): Promise<Running> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env }, ...(cwd === undefined ? {} : { cwd }) });
  started.push(child);
  const lines = createInterface({ input: child.stdout });
  const firstLine = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}`)));
  });
  lines.on('line', () => undefined);
  return { process: child, firstLine };
}

/** Stops everything that was started. */
export async function stopAll(): Promise<void> {
  await Promise.all(started.splice(0).map((child) => new Promise<void>((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 5_000).unref();
  })));
}

/** A port that nothing listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resident memory of a process in bytes (Linux), or undefined elsewhere. */
export function residentBytes(pid: number | undefined): number | undefined {
  try {
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

/** CPU seconds that the threads of a process have used (Linux), or undefined elsewhere. Exact, unlike the ticks of `/proc/pid/stat`. */
export function cpuSeconds(pid: number | undefined): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);
  } catch {
    return undefined;
  }
}

/** Waits until a path of a server answers 200. */
export async function untilReady(url: string, secondsMax = 30): Promise<void> {
  const untilMs = performance.now() + secondsMax * 1000;
  while (performance.now() < untilMs) {
    const status = await fetch(url).then((reply) => reply.status, () => 0);
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${url} did not answer 200 within ${secondsMax} s`);
}
