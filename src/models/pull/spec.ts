/** What `tandem pull` is asked for: a repository of the hub, a file of it, or an address. */
import { fail } from '../../errors.ts';

/** What to fetch. */
export type PullSpec =
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string; /** A path in the repository, or a quantisation such as Q8_0. */ readonly file?: string }
  | { readonly kind: 'url'; readonly url: URL; /** Expected SHA-256, from the fragment `#sha256=…`. */ readonly sha256?: string };

/**
 * Reads `<owner>/<repository>[@<revision>][:<file or quantisation>]` or `http(s)://…/file.gguf[#sha256=<64 hex digits>]`.
 * @throws {TandemError} usage
 */
export function parseSpec(text: string): PullSpec {
  if (/^https?:\/\//i.test(text)) return urlSpec(text);
  const match = /^([\w][\w.-]*\/[\w][\w.-]*)(?:@([\w][\w./-]*))?(?::(.+))?$/.exec(text);
  if (match === null) fail('usage', 'Expected <owner>/<repository>[:<file>] or the http(s) address of a file.');
  const [, repo = '', revision = 'main', file] = match;
  if (file !== undefined && !isSafePath(file)) fail('usage', 'Expected a file of the repository, without "..", "\\" or a leading "/".');
  return { kind: 'hub', repo, revision, ...(file === undefined ? {} : { file }) };
}

/** Whether a path stays below the folder that it is joined to. */
export function isSafePath(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !/[\\\0]/.test(path) && path.split('/').every((step) => step !== '' && step !== '.' && step !== '..');
}

function urlSpec(text: string): PullSpec {
  if (!URL.canParse(text)) fail('usage', 'Expected an http(s) address.');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') fail('usage', 'Expected an address without user name and password.');
  const fragment = url.hash.slice(1);
  url.hash = '';
  const sha256 = /^sha256=([0-9a-f]{64})$/i.exec(fragment)?.[1]?.toLowerCase();
  if (fragment !== '' && sha256 === undefined) fail('usage', 'Expected the fragment of the address to be #sha256=<64 hex digits>.');
  if (fileNameOf(url) === undefined) fail('usage', 'Expected the path of the address to end in the name of a file.');
  return { kind: 'url', url, ...(sha256 === undefined ? {} : { sha256 }) };
}

/** The last step of an address's path, decoded; undefined when it cannot be a file name. */
export function fileNameOf(url: URL): string | undefined {
  try {
    const name = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    return isSafePath(name) && !name.includes('/') && !name.startsWith('.') ? name : undefined;
  } catch {
    return undefined;
  }
}
