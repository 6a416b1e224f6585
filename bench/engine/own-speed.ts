/**
 * Tokens a second of a model through the product's own way: token program `generate`, greedy, events over the engine thread's port.
 *
 * Measured in a process of its own, as llama-bench is one; started as a program it measures and prints the speed. It warms up longer
 * than llama-bench does, since this side has code to compile.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { plainSettings } from '../../src/decoding/settings.ts';
import type { Model } from '../../src/models/port.ts';
import { openMembers, timed } from './members.ts';
import type { Speed } from './peers.ts';

/** A speed, and the times that it is of. */
interface Measured extends Speed {
  readonly decodeMs: readonly number[];
}

/** Runs of either kind before any counts. */
const warmUps = 30;

/** Measures a file in a fresh process; the best of the repetitions counts. */
export function ownSpeed(file: string, threads: number, promptTokens: number, decodeTokens: number, repetitions: number): Speed {
  const { status, stdout, stderr } = spawnSync(process.execPath, argsFor(file, threads, promptTokens, decodeTokens, repetitions), { encoding: 'utf8', timeout: 300_000 });
  if (status !== 0) throw new Error(`The measuring process ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Speed;
}

/** Starts a process that only decodes. */
export function startOwnDecoding(file: string, threads: number, decodeTokens: number, repetitions: number): ChildProcess {
  return spawn(process.execPath, argsFor(file, threads, 0, decodeTokens, repetitions));
}

/** Milliseconds of each repetition, from what that process wrote. */
export function ownRepetitions(output: string): readonly number[] {
  return (JSON.parse(output) as Measured).decodeMs;
}

function argsFor(file: string, ...numbers: readonly number[]): string[] {
  return [...process.execArgv, fileURLToPath(import.meta.url), file, ...numbers.map(String)];
}

/** @param promptTokens 0 for decoding only */
async function measure(model: Model, promptTokens: number, decodeTokens: number, repetitions: number): Promise<Measured> {
  const settings = { ...plainSettings, temperature: 0 };
  const vocabulary = 4000;
  const first = (n: number): number => 5 + ((n * 31) % vocabulary);
  const prompt: number[] = [];
  const decodeMs: number[] = [];
  // in llama-bench's order: all prompts, then all decoding
  for (let n = 0; n < (promptTokens === 0 ? 0 : warmUps + repetitions); n++) {
    const tokens = Array.from({ length: promptTokens }, (_, at) => 5 + ((first(n) + at * (37 + n)) % vocabulary));
    const read = await timed(model, 'generate', { model: 'large' }, { prompt: tokens, settings, tokensMax: 1, ignoreEnd: true });
    prompt.push((1000 * (promptTokens - read.finish.cachedPromptTokens)) / read.ms);
  }
  for (let n = 0; n < warmUps + repetitions; n++) {
    const one = await timed(model, 'generate', { model: 'large' }, { prompt: [first(n)], settings, tokensMax: decodeTokens, ignoreEnd: true });
    if (n >= warmUps) decodeMs.push(one.ms);
  }
  return { prompt: promptTokens === 0 ? 0 : Math.max(...prompt.slice(warmUps)), decode: (1000 * decodeTokens) / Math.min(...decodeMs), decodeMs };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = '', ...numbers] = process.argv.slice(2);
  const [threads = 1, promptTokens = 512, decodeTokens = 128, repetitions = 20] = numbers.map(Number);
  const { large } = await openMembers({ large: file }, threads);
  console.log(JSON.stringify(await measure(large as Model, promptTokens, decodeTokens, repetitions)));
  await (large as Model).close();
}
