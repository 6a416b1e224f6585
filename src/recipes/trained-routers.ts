/** Opens router files for the recipe `route`. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { asRouter, decode, promiseOn } from '../assign/trained.ts';
import { fail } from '../errors.ts';
import type { RouteRouter } from './route.ts';

/**
 * The routers that a configuration names.
 * @param files path of each, relative to `baseDir`, by name
 * @throws {TandemError} router_file_invalid: not there, damaged, or of another version
 */
export async function openRouters(files: Readonly<Record<string, string>>, baseDir: string): Promise<Map<string, RouteRouter>> {
  const routers = new Map<string, RouteRouter>();
  for (const [name, path] of Object.entries(files)) routers.set(name, await openRouter(name, resolve(baseDir, path)));
  return routers;
}

async function openRouter(name: string, path: string): Promise<RouteRouter> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    return fail('router_file_invalid', { message: `The file of the router "${name}" could not be read.`, param: `routers.${name}`, cause });
  }
  const trained = decode(bytes);
  return { ...asRouter(trained), promise: (lossMax, now, set) => promiseOn(trained.card, lossMax, now, set) };
}
