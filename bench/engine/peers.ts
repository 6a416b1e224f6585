/**
 * llama.cpp's own programs, built from the source that the npm package node-llama-cpp carries, some ten minutes on two cores:
 *
 *   npm pack node-llama-cpp@3.22.1 && tar xzf node-llama-cpp-3.22.1.tgz && git clone package/llama/gitRelease.bundle llama.cpp
 *   cmake -S llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF
 *   cmake --build build -j --target llama-bench llama-speculative-simple      # then --peer-dir build/bin
 *
 * They are run on the libraries of the engine's package, whose kernels are chosen for the processor as the engine's are: then only the
 * program around them differs. Or as they were built, which says more of compiler and flags than of either program.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findNativeFiles } from '../../src/models/llama/platform.ts';

/** Tokens a second. */
export interface Speed {
  readonly decode: number;
  readonly prompt: number;
}

/** What llama-speculative-simple did with one prompt. */
export interface PeerSpeculation {
  readonly tokens: number;
  /** Seconds of decoding, without reading the prompt. */
  readonly decodeSeconds: number;
}

/** What the programs run on: `engine`, the libraries of the engine's package; `own`, those that they were built with. */
export type PeerLibraries = 'engine' | 'own';

/** llama.cpp's programs, ready to run. */
export class Peers {
  readonly #folder: string;
  readonly #libraries: string | undefined;

  private constructor(folder: string, libraries: string | undefined) {
    this.#folder = folder;
    this.#libraries = libraries;
  }

  /** Which libraries the programs run on. */
  get libraries(): string {
    return this.#libraries === undefined ? 'the libraries that it was built with' : "the engine package's libraries";
  }

  /** Finds programs that run, on the other libraries where they do not run on those that are wanted. The engine must be loaded already. @param folder of the programs @param model to try them on */
  static find(folder: string | undefined, model: string, wanted: PeerLibraries): Peers | undefined {
    if (folder === undefined || process.platform !== 'linux' || !existsSync(join(folder, 'llama-bench'))) return undefined;
    for (const libraries of wanted === 'engine' ? ['engine', 'own'] : ['own', 'engine']) {
      const peers = new Peers(folder, libraries === 'engine' ? engineLibraries(folder) : undefined);
      if (peers.speed(model, 1, 64, 8, 1) !== undefined) return peers;
      peers.remove();
    }
    return undefined;
  }

  /** Runs llama-bench once; the best of its repetitions counts. */
  speed(model: string, threads: number, promptTokens: number, decodeTokens: number, repetitions: number): Speed | undefined {
    const output = this.#run('llama-bench', ['-m', model, '-t', String(threads), '-p', String(promptTokens), '-n', String(decodeTokens), '-r', String(repetitions), '-o', 'json']);
    if (output === undefined) return undefined;
    const tests = JSON.parse(output.slice(output.indexOf('['), output.lastIndexOf(']') + 1)) as { n_gen: number; samples_ts: number[] }[];
    const best = (generating: boolean): number => Math.max(...tests.filter((test) => test.n_gen > 0 === generating).flatMap((test) => test.samples_ts));
    return { decode: best(true), prompt: best(false) };
  }

  /** Starts llama-bench on decoding only. @param repetitions of so many tokens */
  startDecoding(model: string, threads: number, decodeTokens: number, repetitions: number): ChildProcess {
    return spawn(join(this.#libraries ?? this.#folder, 'llama-bench'), ['-m', model, '-t', String(threads), '-p', '0', '-n', String(decodeTokens), '-r', String(repetitions), '-o', 'json'], { env: this.#env });
  }

  /** Milliseconds of each repetition, from what llama-bench wrote. */
  static repetitions(output: string): number[] {
    const [test] = JSON.parse(output.slice(output.indexOf('['), output.lastIndexOf(']') + 1)) as { samples_ns: number[] }[];
    return (test?.samples_ns ?? []).map((ns) => ns / 1e6);
  }

  /** Runs llama-speculative-simple once, greedy. */
  speculate(large: string, small: string, threads: number, prompt: string, tokensMax: number): PeerSpeculation | undefined {
    const t = String(threads);
    const output = this.#run('llama-speculative-simple', ['-m', large, '-md', small, '--spec-type', 'draft-simple', '-p', prompt, '-n', String(tokensMax), '--temp', '0', '-t', t, '-td', t]);
    const match = output?.match(/decoded\s+(\d+) tokens in\s+([\d.]+) seconds/);
    return match === null || match === undefined ? undefined : { tokens: Number(match[1]), decodeSeconds: Number(match[2]) };
  }

  /** Removes what was made to run them. */
  remove(): void {
    if (this.#libraries !== undefined) rmSync(this.#libraries, { recursive: true, force: true });
  }

  get #env(): NodeJS.ProcessEnv {
    return this.#libraries === undefined ? process.env : { ...process.env, LD_LIBRARY_PATH: this.#libraries };
  }

  #run(program: string, args: readonly string[]): string | undefined {
    const path = join(this.#libraries ?? this.#folder, program);
    if (!existsSync(path)) return undefined;
    const { status, stdout, stderr } = spawnSync(path, args, { env: this.#env, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 120_000 });
    return status === 0 ? `${stdout}\n${stderr}` : undefined;
  }
}

/** A folder in which the programs find the engine's libraries under the names that they ask for. */
function engineLibraries(folder: string): string {
  const { folder: bins, llama, ggml, ggmlBase } = findNativeFiles(false);
  const made = mkdtempSync(join(tmpdir(), 'tandem-peers-'));
  const link = (target: string, name: string): void => {
    if (!existsSync(join(made, name))) symlinkSync(target, join(made, name));
  };
  for (const name of readdirSync(bins).filter((file) => file.endsWith('.so'))) link(join(bins, name), name);
  link(llama, 'libllama.so.0');
  link(ggml, 'libggml.so.0');
  link(ggmlBase, 'libggml-base.so.0');
  // the programs name one processor build; it must be the one that the engine picked, since its kernels take the place of any other's
  const picked = /libggml-cpu-[a-z0-9_.]+\.so/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0];
  if (picked === undefined) throw new Error('The engine is not loaded: open a model before the peers are looked for, so that they get the processor build that it picked.');
  link(join(bins, picked), 'libggml-cpu.so.0');
  for (const name of ['libllama-common.so.0', 'libllama-bench-impl.so', 'libllama-server-impl.so']) if (existsSync(join(folder, name))) link(join(folder, name), name);
  for (const name of ['llama-bench', 'llama-speculative-simple']) if (existsSync(join(folder, name))) copyFileSync(join(folder, name), join(made, name)); // they look for processor builds beside themselves
  return made;
}
