/** Where a model's file lies: `bundled:<id>`, a path, or the name of a pulled model; and how many threads suit it. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail } from '../../errors.ts';
import type { EngineContext } from '../context.ts';

const bundled = 'bundled:';
/** Threads that computing uses at most by default. */
const threadsMax = 8;
/**
 * Files below this many bytes are computed by one thread: threads of so small a model wait for each other at every operation, so whatever
 * else the machine does slows all of them down. Where cores are idle, more threads are faster (docs/configuration.md, `threads`).
 */
const oneThreadBytes = 96 * 1024 * 1024;

/** The folder for pulled files: `TANDEM_CACHE`, else `~/.cache/tandem`. */
export function cacheFolder(env: EngineContext['env']): string {
  return env['TANDEM_CACHE'] ?? join(env['HOME'] ?? homedir(), '.cache', 'tandem');
}

/**
 * The real path of a model's file.
 * @param file as the configuration writes it
 * @throws {TandemError} model_file_missing
 */
export function findModelFile(file: string, context: Pick<EngineContext, 'baseDir' | 'env'>): string {
  const found = candidates(file, context).find((path) => existsSync(path) && statSync(path).isFile());
  if (found === undefined) fail('model_file_missing', `There is no model file "${file}": neither ${file.startsWith(bundled) ? 'a bundled model of this id' : 'a file at this path nor a pulled model of this name'}.`);
  return realpathSync(found);
}

function candidates(file: string, { baseDir, env }: Pick<EngineContext, 'baseDir' | 'env'>): string[] {
  if (file.startsWith(bundled)) {
    const id = file.slice(bundled.length);
    // the folder stands beside src/ and dist/ alike
    return /^[a-z0-9-]+$/.test(id) ? [fileURLToPath(new URL(`../../../weights/${id}/model.gguf`, import.meta.url))] : [];
  }
  const paths = [isAbsolute(file) ? file : resolve(baseDir, file)];
  if (!isAbsolute(file) && !file.split(/[\\/]/).includes('..')) paths.push(join(cacheFolder(env), 'models', file.endsWith('.gguf') ? file : `${file}.gguf`));
  return paths;
}

/** Threads for a model when the settings say nothing: the physical cores, at most 8; 1 for small models. */
export function defaultThreads(file: string): number {
  return statSync(file).size < oneThreadBytes ? 1 : Math.max(1, Math.min(physicalCores(), availableParallelism(), threadsMax));
}

function physicalCores(): number {
  try {
    const root = '/sys/devices/system/cpu';
    const siblings = readdirSync(root).filter((name) => /^cpu\d+$/.test(name)).map((name) => readFileSync(join(root, name, 'topology', 'thread_siblings_list'), 'utf8').trim());
    if (siblings.length > 0) return new Set(siblings).size;
  } catch {
    // not Linux, or hidden: all processors count
  }
  return availableParallelism();
}
