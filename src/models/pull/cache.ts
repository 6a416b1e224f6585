/**
 * The folder of pulled files. Beside each `<name>.gguf` a `<name>.gguf.json` says where it came from and what was checked.
 * `TANDEM_CACHE`, else `~/.cache/tandem`; the files are in `models/`. The `llama` engine looks for names there too.
 */
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A file that was pulled. */
export interface Pulled {
  /** How the configuration may call it: the file name without `.gguf`. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the file, 64 hex digits. */
  readonly sha256: string;
  /** Repository and file, or address without its query, that it came from. */
  readonly source: string;
  /** What its SHA-256 was compared with: the hub's listing, the fragment or sidecar of an address, or nothing. */
  readonly checkedAgainst: 'hub' | 'fragment' | 'sidecar' | 'nothing';
  /** All files of a model that is split into several, `path` first. */
  readonly parts?: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

/** The folder that pulled files are in. */
export function modelFolder(env: Env): string {
  return join(env['TANDEM_CACHE'] ?? join(env['HOME'] ?? homedir(), '.cache', 'tandem'), 'models');
}

/** Every pulled file, by name. @param env where TANDEM_CACHE and HOME are read from */
export async function listPulled(env: Env): Promise<readonly Pulled[]> {
  const folder = modelFolder(env);
  const names = await readdir(folder).catch(() => [] as string[]);
  const all = await Promise.all(names.filter((name) => name.endsWith('.gguf.json')).sort().map((name) => readPulled(join(folder, name.slice(0, -5)))));
  return all.flatMap((pulled) => pulled ?? []);
}

/** The pulled file of this name; undefined when there is none. */
export async function findPulled(name: string, env: Env): Promise<Pulled | undefined> {
  if (!/^[\w][\w.-]*$/.test(name)) return undefined;
  return readPulled(join(modelFolder(env), `${name.replace(/\.gguf$/i, '')}.gguf`));
}

/** What is known of a pulled file; undefined when the file, one of its parts or its description is absent, or their sizes differ. */
export async function readPulled(path: string): Promise<Pulled | undefined> {
  try {
    const text = await readFile(`${path}.json`, 'utf8');
    const pulled = JSON.parse(text) as Partial<Pulled>;
    const { name, bytes, sha256, source, checkedAgainst = 'nothing', parts } = pulled;
    if (typeof name !== 'string' || typeof sha256 !== 'string' || typeof source !== 'string' || typeof bytes !== 'number') return undefined;
    const sizes = await Promise.all((parts ?? [path]).map(async (part) => (await stat(part)).size));
    if (bytes !== sizes.reduce((sum, size) => sum + size, 0)) return undefined;
    return { name, path, bytes, sha256, source, checkedAgainst, ...(parts === undefined ? {} : { parts }) };
  } catch {
    return undefined;
  }
}

/** Writes the description of a pulled file. */
export async function writePulled(pulled: Pulled): Promise<void> {
  const { path, ...rest } = pulled;
  await writeFile(`${path}.json`, `${JSON.stringify({ ...rest, pulledAt: new Date().toISOString() }, undefined, 2)}\n`);
}
