/**
 * Huge pages for memory that loading a model allocates. Linux; elsewhere, and where the system has them switched off, nothing happens.
 *
 * Writing a token reads all weights once, and with pages of 4 KiB the processor has to look up where each of them lies: its table of
 * pages reaches some 8 MiB. Weights that are mapped from their file lie in the system's file cache, which has small pages; those that were read into
 * memory of the process, or packed anew for a matrix unit, can lie on pages of 2 MiB. On the bundled large model that is worth 2 to 6 % of a
 * step (`npm run bench:huge-pages`).
 */
import { readFileSync } from 'node:fs';
import type { Native } from './bindings.ts';

/** Memory that is moved to huge pages while the caller waits, which takes about a millisecond for 2 MiB. The kernel moves the rest in time. Bytes. */
const movedBytesMax = 256 * 2 ** 20;

/** Advice to `madvise`: huge pages are welcome; and: move what is there to huge pages. */
const welcome = 14;
const collapse = 25;

/** A stretch of addresses, `to` excluded. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Runs something that allocates, and lets huge pages be put under what it allocated. */
export function withHugePages<T>({ madvise }: Pick<Native, 'madvise'>, allocate: () => T): T {
  const pageBytes = madvise === undefined ? 0 : hugePageBytes();
  if (madvise === undefined || pageBytes === 0) return allocate();
  const before = ownMemory(readFileSync('/proc/self/maps', 'latin1'));
  const value = allocate();
  let left = movedBytesMax;
  for (const stretch of added(before, ownMemory(readFileSync('/proc/self/maps', 'latin1')))) {
    const from = Math.ceil(stretch.from / pageBytes) * pageBytes;
    const to = Math.floor(stretch.to / pageBytes) * pageBytes;
    if (from >= to || madvise(from, to - from, welcome) !== 0) continue;
    for (let at = from; at < to && left > 0; at += pageBytes, left -= pageBytes) madvise(at, pageBytes, collapse); // what is not in use is refused, and stays
  }
  return value;
}

/** Whether all memory of a size gets huge pages: there are some, and it is not too much to move. */
export function getsHugePages({ madvise }: Pick<Native, 'madvise'>, bytes: number): boolean {
  return madvise !== undefined && bytes <= movedBytesMax && hugePageBytes() > 0;
}

/** Bytes of a huge page, or 0 where there are none, or they are switched off. */
function hugePageBytes(): number {
  try {
    if (readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1').includes('[never]')) return 0;
    return Number(readFileSync('/sys/kernel/mm/transparent_hugepage/hpage_pmd_size', 'latin1'));
  } catch {
    return 0;
  }
}

/** The stretches of a process's memory that belong to no file, in order. @param maps text of `/proc/self/maps` */
export function ownMemory(maps: string): Stretch[] {
  const stretches: Stretch[] = [];
  for (const [, from, to] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *$/gm)) stretches.push({ from: Number.parseInt(from as string, 16), to: Number.parseInt(to as string, 16) });
  return stretches;
}

/** What was added to stretches. Both in order; neighbours may have grown together meanwhile. */
export function added(before: readonly Stretch[], after: readonly Stretch[]): Stretch[] {
  const found: Stretch[] = [];
  let n = 0;
  for (const { from, to } of after) {
    let at = from;
    while (n < before.length && (before[n] as Stretch).to <= at) n++;
    for (let k = n; k < before.length && (before[k] as Stretch).from < to; k++) {
      const known = before[k] as Stretch;
      if (known.from > at) found.push({ from: at, to: known.from });
      at = Math.max(at, known.to);
    }
    if (at < to) found.push({ from: at, to });
  }
  return found;
}
