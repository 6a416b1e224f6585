/**
 * Characters as bytes in UTF-8: which byte may follow which, for every code point of a range.
 *
 * Worked example: U+0080 to U+0FFF is the two bytes [C2-DF][80-BF], or the three bytes E0 [A0-BF][80-BF]. Longer forms than needed
 * and halves of UTF-16 pairs do not come out. RFC 3629; the split is that of utf8-ranges (Rust's regex-syntax).
 */
import type { Range } from './gbnf.ts';

/** Lengths of characters in UTF-8 change after these code points, and halves of UTF-16 pairs lie between two of them. */
const pieces: readonly Range[] = [[0, 0x7f], [0x80, 0x7ff], [0x800, 0xd7ff], [0xe000, 0xffff], [0x10000, 0x10ffff]];

/** The bytes of a character. */
export function bytesOf(character: number): readonly number[] {
  if (character < 0x80) return [character];
  const following = [0x80 | (character & 63)];
  let rest = character >>> 6;
  let room = 32; // values that the first byte can hold
  for (; rest >= room; room >>= 1, rest >>>= 6) following.unshift(0x80 | (rest & 63));
  return [(256 - 2 * room) | rest, ...following];
}

/** Sequences of ranges of bytes that together are exactly the characters of a range. */
export function byteRanges([first, last]: Range): (readonly Range[])[] {
  const sequences: (readonly Range[])[] = [];
  for (const [from, to] of pieces) if (first <= to && last >= from) split(Math.max(first, from), Math.min(last, to), sequences);
  return sequences;
}

/** Splits a range of characters of one length where the last bytes do not all range over everything. */
function split(first: number, last: number, sequences: (readonly Range[])[]): void {
  const from = bytesOf(first);
  const to = bytesOf(last);
  for (let following = 1; following < from.length; following++) {
    const mask = (1 << (6 * following)) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0) return split(first, first | mask, sequences), split((first | mask) + 1, last, sequences);
    if ((last & mask) !== mask) return split(first, (last & ~mask) - 1, sequences), split(last & ~mask, last, sequences);
  }
  sequences.push(from.map((byte, n) => [byte, to[n] as number]));
}
