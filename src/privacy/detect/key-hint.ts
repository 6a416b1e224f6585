/**
 * The hint of the key detector: what makers' prefixes and announcing words have in common, found in one pass.
 *
 * As one regular expression it cost more than everything else that masking does, since each character of each text is tried
 * against each of its branches. Here a table of the first three characters of all branches rules out nearly every place
 * of common text, and the expression is asked at the few places that are left.
 */
import type { Hint } from './detector.ts';

/** As a tree by the first letter. Every branch begins with three characters that `heads` gives. */
const pattern =
  /(?:[Aa](?:[Pp][Ii][ _-]?[Kk][Ee][Yy]|[Uu][Tt][Hh])|A(?:KIA|SIA|IDA|ROA|Iza|C[0-9a-f]{8}|GE-)|[Ss](?:[Ee][Cc][Rr][Ee][Tt]|[Kk][-_])|S(?:G\.|K[0-9a-f]{8})|shp[a-z]{2}_|[Tt][Oo][Kk][Ee][Nn]|_(?:[Pp][Aa][Ss][Ss]|[Kk][Ee][Yy])|[Pp](?:[Aa][Ss][Ss](?:[Ww]|[Pp][Hh])|[Ww][Dd])|p(?:k_|ypi-)|[Kk][Ee](?:[Nn][Nn][Ww]|[Yy][ \t]?[:=])|key-|[Cc][Rr][Ee][Dd][Ee][Nn][Tt]|[Bb][Ee][Aa][Rr][Ee][Rr]|r[k8]_|whsec_|g(?:h[pousr]_|ithub_pat|l[a-z]{2,5}-|sk_)|ya29|GOCSPX|x(?:ox|app|ai-)|hf_|n(?:pm_|vapi|tn_)|lin_api|dop_v1|eyJ|-----BEGIN|:\/\/[^\s/:@]{0,128}:)/;
const there = new RegExp(pattern.source, 'y');

/** The first three characters of every branch, each character as the set of those that may stand there. */
const heads: readonly (readonly [first: string, second: string, third: string])[] = [
  ...'api aut sec sk- sk_ tok _pa _ke pas pwd ken key cre bea'.split(' ').map((word) => inAnyCase(word)),
  ...'AKI ASI AID ARO AIz AGE SG. shp pk_ pyp key rk_ r8_ whs git gsk ya2 GOC xox xap xai hf_ npm nva ntn lin dop eyJ --- ://'.split(' ').map((word) => exactly(word)),
  ['AS', 'CK', '0123456789abcdef'],
  ['g', 'h', 'pousr'],
  ['g', 'l', 'abcdefghijklmnopqrstuvwxyz'],
];

function inAnyCase(word: string): readonly [string, string, string] {
  const either = (at: number): string => word.charAt(at).toLowerCase() + word.charAt(at).toUpperCase();
  return [either(0), either(1), either(2)];
}

function exactly(word: string): readonly [string, string, string] {
  return [word.charAt(0), word.charAt(1), word.charAt(2)];
}

/** For each pair of ASCII characters the number of its row in `thirds`; 0 for those that begin nothing. */
const rows = new Uint16Array(128 * 128);
/** For each row and ASCII character, whether the three begin a branch. */
const thirds = new Uint8Array((1 + heads.reduce((sum, [first, second]) => sum + first.length * second.length, 0)) * 128);

let rowCount = 1;
for (const [first, second, third] of heads) {
  for (const one of first) {
    for (const two of second) {
      const pair = (one.charCodeAt(0) << 7) | two.charCodeAt(0);
      if (rows[pair] === 0) rows[pair] = rowCount++;
      for (const three of third) thirds[((rows[pair] as number) << 7) | three.charCodeAt(0)] = 1;
    }
  }
}

/** Matches where a key, or a word that announces one, may begin. */
export const keyHint: Hint = {
  test: (text) => {
    let first = 0;
    let second = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const third = code < 128 ? code : 0;
      const row = rows[(first << 7) | second] as number;
      if (row !== 0 && thirds[(row << 7) | third] !== 0) {
        there.lastIndex = at - 2;
        if (there.test(text)) return true;
      }
      first = second;
      second = third;
    }
    return false;
  },
};

/** `keyHint` by the expression alone. */
export function keyHintByPattern(text: string): boolean {
  return pattern.test(text);
}
