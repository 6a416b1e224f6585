/**
 * The share of the engine thread's time that goes into the library's arithmetic while one run decodes, beside llama-bench's share on the same libraries.
 *
 *   npm run bench:engine-samples [-- --peer-dir <folder of llama-bench>] [-- --seconds 10] [-- --rounds 3]
 *
 * Tokens a second of two processes differ by some percent on a shared machine, whatever they run. Where a sampling profiler finds a
 * thread does not: kernels (`libggml-cpu-*`) do the same work for a token in both, so the ratio of the shares is the ratio of the speeds, but for
 * waiting, which is not sampled (two threads waking each other, once a run). Needs Linux and `perf` (Debian: linux-perf).
 */
import { spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Model } from '../src/models/port.ts';
import { bundledFile, openMembers } from './engine/members.ts';
import { startOwnDecoding } from './engine/own-speed.ts';
import { Peers } from './engine/peers.ts';
import { quantile } from './gateway/load.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { 'peer-dir': { type: 'string' }, seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '3' } } });
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
if (!(seconds > 0) || !(rounds >= 1)) throw new TypeError(`--seconds takes a number above 0 and --rounds one from 1, got ${values.seconds} and ${values.rounds}.`);
/** Before the first sample: loading, compiling, warming up. */
const settleMs = 8000;
/** Repetitions; the processes are ended before. */
const endless = 1_000_000;

const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);

/** Percent of a thread's samples, by what they were in. */
type Shares = ReadonlyMap<string, number>;

/** Samples a thread of a process for some seconds, then ends the process. @param thread its name; without one, the first */
async function sampled(child: ChildProcess, thread: string | undefined): Promise<Shares> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-samples-'));
  const data = join(folder, 'perf.data');
  try {
    await wait(settleMs);
    const { pid } = child;
    if (pid === undefined || child.exitCode !== null) throw new Error('The process to be sampled has ended early.');
    const tid = readdirSync(`/proc/${pid}/task`).find((id) => thread === undefined ? id === String(pid) : readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').trim() === thread);
    if (tid === undefined) throw new Error(`The process has no thread ${thread}.`);
    const perf = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync('perf', args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`perf ${args[0]} ended with ${status}: ${stderr}`);
      return stdout;
    };
    perf('record', '-q', '-o', data, '-e', 'cpu-clock', '-F', '20000', '-t', tid, '--', 'sleep', String(seconds));
    const lines = perf('report', '-i', data, '--sort', 'dso', '--stdio', '-q').split('\n').map((line) => /^\s*([\d.]+)%\s+(\S+)/.exec(line));
    return new Map(lines.flatMap((match) => (match === null ? [] : [[match[2] as string, Number(match[1])] as const])));
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const kernels = (shares: Shares): number => [...shares].reduce((sum, [name, share]) => sum + (name.startsWith('libggml-cpu') ? share : 0), 0);
const line = (shares: Shares): string => [...shares].filter(([, share]) => share >= 0.05).map(([name, share]) => `${name} ${share.toFixed(2)}`).join(', ');

console.log(machineLine());
const file = bundledFile('large');
const perfThere = process.platform === 'linux' && spawnSync('perf', ['version']).status === 0;
if (file === undefined || !perfThere) {
  console.log(file === undefined ? 'The bundled weights are not there; nothing was measured.' : 'perf is not there (Linux; Debian: apt-get install linux-perf); nothing was measured.');
  printFigures('engine-samples', { kernelShare: null, peerKernelShare: null, decodeRatioBySamples: null });
} else {
  const { large } = await openMembers({ large: file }, 1); // so that the peer finds the processor build that the engine picked
  const peers = Peers.find(values['peer-dir'] ?? process.env['TANDEM_LLAMA_BENCH']?.replace(/\/llama-bench$/, ''), file, 'engine');
  if (peers === undefined) console.log('llama-bench was not found or does not run (--peer-dir, TANDEM_LLAMA_BENCH): only the own share is measured.');
  const own: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const shares = await sampled(startOwnDecoding(file, 1, 128, endless), 'tandem-engine');
    own.push(kernels(shares));
    console.log(`round ${round + 1}, percent of samples: ${line(shares)}`);
    if (peers === undefined) continue;
    const peerShares = await sampled(peers.startDecoding(file, 1, 128, endless), undefined);
    theirs.push(kernels(peerShares));
    console.log(`  llama-bench: ${line(peerShares)}`);
  }
  peers?.remove();
  await (large as Model).close();
  const share = median(own) / 100;
  const peerShare = theirs.length === 0 ? null : median(theirs) / 100;
  printFigures('engine-samples', { kernelShare: Number(share.toFixed(4)), peerKernelShare: peerShare === null ? null : Number(peerShare.toFixed(4)), decodeRatioBySamples: peerShare === null ? null : Number((share / peerShare).toFixed(4)) });
}
