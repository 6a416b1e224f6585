/** Opens the files of the recipe `cascade`: trained cascades, scorers, detectors and stages. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { decodeCascadeFile, type CascadeFile } from '../assign/cascade/files.ts';
import { fail, TandemError } from '../errors.ts';

/**
 * The files that a configuration names.
 * @param files path of each, relative to `baseDir`, by name
 * @throws {TandemError} router_file_invalid: not there, damaged, or of another version
 */
export async function openCascades(files: Readonly<Record<string, string>>, baseDir: string): Promise<Map<string, CascadeFile>> {
  const opened = new Map<string, CascadeFile>();
  for (const [name, path] of Object.entries(files)) opened.set(name, await openOne(name, resolve(baseDir, path)));
  return opened;
}

async function openOne(name: string, path: string): Promise<CascadeFile> {
  try {
    return decodeCascadeFile(await readFile(path, 'utf8'));
  } catch (cause) {
    const message = TandemError.is(cause) ? cause.message : 'The file could not be read.';
    return fail('router_file_invalid', { message: `cascades.${name}: ${message}`, param: `cascades.${name}`, cause });
  }
}
