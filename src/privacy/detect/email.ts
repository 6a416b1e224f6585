/**
 * E-mail addresses, as people write them (a practical part of RFC 5321, with letters of all scripts after RFC 6531): a
 * local part of up to 64 characters, an @, and a domain with a dot. Quoted local parts and addresses at bare hosts or
 * numbers are left out.
 */
import type { Detector, Found } from './detector.ts';

const localEnd = /[\p{L}\p{N}_%+\-'!#$&*/=?^`{|}~.]{1,64}$/u;
const domain = /^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}(?:xn--[a-z0-9-]{1,59}|\p{L}{2,63})/iu;
/** Punctuation that the local part may hold but that belongs to the text around when it stands first: `'a@b.de'`. */
const around = /^[.'!#$&*/=?^`{|}~%-]+/;

const localMax = 64;
const domainMax = 255;
const labelMax = 63;
const labelsMax = 8;

/** Finds e-mail addresses. */
export const email: Detector = {
  kind: 'email',
  hint: /@/,
  find: (text) => {
    const found: Found[] = [];
    let from = 0;
    for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
      const start = localStart(text, Math.max(from, at - localMax), at);
      if (start === at || text[at - 1] === '.') continue;
      const end = domainEnd(text, at + 1);
      if (end === at + 1 || text.slice(start, at).includes('..')) continue;
      from = end;
      found.push({ kind: 'email', start, end });
    }
    return found;
  },
};

/** What a character of ASCII may be: bit 0 in a local part, 1 only within one, 2 a letter or digit, 3 a letter. */
const classes = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code);
  classes[code] = (localEnd.test(character) ? 1 : 0) | (around.test(character) ? 2 : 0) | (/[A-Za-z0-9]/.test(character) ? 4 : 0) | (/[A-Za-z]/.test(character) ? 8 : 0);
}
const classOf = (text: string, at: number): number => classes[text.charCodeAt(at)] ?? 0;
const hyphen = 45;
const dot = 46;

/** Where the local part before an @ begins; `at` when there is none. Text of ASCII is read character by character, other text by the patterns. */
export function localStart(text: string, from: number, at: number): number {
  let start = at;
  while (start > from && (classOf(text, start - 1) & 1) !== 0) start--;
  if (start > from && text.charCodeAt(start - 1) > 127) return localStartByPattern(text, from, at);
  while (start < at && (classOf(text, start) & 2) !== 0) start++;
  return start;
}

/** Where the domain that begins here ends; `from` when there is none. */
export function domainEnd(text: string, from: number): number {
  const until = Math.min(text.length, from + domainMax);
  let end = from; // of the address, with the last label that could be the topmost
  let at = from;
  for (let labels = 0; labels <= labelsMax; labels++) {
    const start = at;
    while (at < until && ((classOf(text, at) & 4) !== 0 || text.charCodeAt(at) === hyphen)) at++;
    if (at < until && text.charCodeAt(at) > 127) return domainEndByPattern(text, from);
    if (labels > 0) end = topEnd(text, start, at) ?? end;
    const isLabel = at > start && at - start <= labelMax && text.charCodeAt(start) !== hyphen && text.charCodeAt(at - 1) !== hyphen;
    if (!isLabel || at >= until || text.charCodeAt(at) !== dot) return end;
    at++;
  }
  return end;
}

/** Where a topmost label that begins here ends; undefined when it is none. */
function topEnd(text: string, start: number, labelEnd: number): number | undefined {
  if (text.slice(start, start + 4).toLowerCase() === 'xn--' && labelEnd > start + 4) return Math.min(labelEnd, start + labelMax);
  let end = start;
  while (end < labelEnd && end - start < labelMax && (classOf(text, end) & 8) !== 0) end++;
  return end - start >= 2 ? end : undefined;
}

/** `localStart` by the pattern alone. */
export function localStartByPattern(text: string, from: number, at: number): number {
  return at - (localEnd.exec(text.slice(from, at))?.[0].replace(around, '').length ?? 0);
}

/** `domainEnd` by the pattern alone. */
export function domainEndByPattern(text: string, from: number): number {
  return from + (domain.exec(text.slice(from, from + domainMax))?.[0].length ?? 0);
}
