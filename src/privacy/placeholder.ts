/**
 * Placeholders: what stands for a private value in masked text, such as `<EMAIL_1>`, and how one is recognised in what a
 * model wrote. Models copy them well but not always exactly, so these are read as `<EMAIL_1>` too:
 *
 * - any letter case between brackets: `<email_1>`
 * - up to two blanks inside the brackets: `< EMAIL_1 >`
 * - another sign or none before the number, between brackets: `<EMAIL-1>`, `<EMAIL 1>`, `<EMAIL\_1>`, `<EMAIL1>`
 * - other brackets: `[EMAIL_1]`, `{EMAIL_1}`, `&lt;EMAIL_1&gt;`, `\<EMAIL_1\>`, and JSON's `\u003cEMAIL_1\u003e`; those of a
 *   link stay: `[EMAIL_1](mailto:EMAIL_1)`
 * - no brackets, but then in capitals, with `_`, and not as part of a longer word: `EMAIL_1`
 *
 * Nothing else is, and only numbers that were given out count: `EMAIL_7` of a text that hides one address stays.
 */
import type { Kind } from './detect/detector.ts';

/** The word in a placeholder, by kind. */
export const kindWords: Readonly<Record<Kind, string>> = { email: 'EMAIL', phone: 'PHONE', card: 'CARD', iban: 'IBAN', key: 'KEY' };
const kinds = Object.entries(kindWords) as readonly [Kind, string][];

/** The placeholder as it is put into text. */
export function placeholder(kind: Kind, number: number): string {
  return `<${bareName(kind, number)}>`;
}

/** The placeholder without brackets, for fields that take letters, digits and `_` only. */
export function bareName(kind: Kind, number: number): string {
  return `${kindWords[kind]}_${number}`;
}

const like = /(EMAIL|PHONE|CARD|IBAN|KEY)\\?[_ -]?(\d{1,6})/i;
const everyLike = new RegExp(like.source, 'gi');

const none: readonly never[] = [];

/** Everything in a text that could be taken for a placeholder, so that none of ours gets the same number. */
export function placeholderLikes(text: string): readonly { readonly kind: Kind; readonly number: number }[] {
  if (!/\d/.test(text) || !like.test(text)) return none;
  return [...text.matchAll(everyLike)].flatMap(([, word, number]) => {
    const kind = kinds.find(([, known]) => known === word?.toUpperCase())?.[0];
    return kind === undefined ? [] : [{ kind, number: Number(number) }];
  });
}

/** What stands at a place in a text: a placeholder, possibly the beginning of one (`more`), or nothing. */
export type Sighting = { readonly kind: Kind; readonly number: number; readonly end: number } | 'more' | undefined;

const brackets: readonly (readonly [string, string])[] = [
  ['<', '>'],
  ['[', ']'],
  ['{', '}'],
  ['&lt;', '&gt;'],
  ['\\<', '\\>'],
  ['\\u003c', '\\u003e'],
];
const blanksMax = 2;
const digitsMax = 6;

/** Where a placeholder may begin: at a bracket, or with two letters of its word, the second of which may still have to come. */
export const beginnings = /[<[{&\\]|E(?![^M])|P(?![^H])|C(?![^A])|I(?![^B])|K(?![^E])/g;

/**
 * Looks for a placeholder at a place.
 * @param before the character before it; empty at the beginning
 * @param final whether the text ends here for good, so that there is no `more`
 */
export function sight(text: string, at: number, before: string, final: boolean): Sighting {
  for (const [open, close] of brackets) {
    const opened = literal(text, at, open, true);
    if (opened === undefined) continue;
    const seen = opened === 'more' ? 'more' : inside(text, opened, close);
    if (seen === undefined || (seen === 'more' && final)) continue;
    return open === '[' && seen !== 'more' ? unlinked(text, seen, final) : seen;
  }
  return /[A-Za-z0-9_]/.test(before) ? undefined : bare(text, at, final);
}

/** A placeholder in square brackets, unless `(` follows: then they are a link's. */
function unlinked(text: string, seen: Extract<Sighting, object>, final: boolean): Sighting {
  const { end } = seen;
  if (end === text.length && !final) return 'more';
  return text[end] === '(' ? undefined : seen;
}

/** `EMAIL_1` and no more letters, digits or `_`. */
function bare(text: string, at: number, final: boolean): Sighting {
  for (const [kind, word] of kinds) {
    const named = literal(text, at, `${word}_`, false);
    if (named === undefined) continue;
    if (named === 'more') return final ? undefined : 'more';
    const digits = digitsFrom(text, named);
    const end = named + digits.length;
    if (end === text.length && !final && digits.length <= digitsMax && !digits.startsWith('0')) return 'more';
    return isNumber(digits) && !/[A-Za-z0-9_]/.test(text[end] ?? '') ? { kind, number: Number(digits), end } : undefined;
  }
  return undefined;
}

/** What follows an opening bracket. */
function inside(text: string, from: number, close: string): Sighting {
  const worded = skipBlanks(text, from);
  for (const [kind, word] of kinds) {
    const named = literal(text, worded, word, true);
    if (named === undefined) continue;
    if (named === 'more') return 'more';
    const numbered = skipSeparator(text, named);
    const digits = digitsFrom(text, numbered);
    const closing = skipBlanks(text, numbered + digits.length);
    if (closing >= text.length) return digits === '' || isNumber(digits) ? 'more' : undefined;
    if (!isNumber(digits)) return numbered < text.length || digits !== '' ? undefined : 'more';
    const end = literal(text, closing, close, true);
    return end === undefined || end === 'more' ? end : { kind, number: Number(digits), end };
  }
  return undefined;
}

/** Where a word that stands here ends; `more` when the text ends within it. */
function literal(text: string, at: number, word: string, anyCase: boolean): number | 'more' | undefined {
  const piece = text.slice(at, at + word.length);
  const same = anyCase ? piece.toLowerCase() === word.slice(0, piece.length).toLowerCase() : piece === word.slice(0, piece.length);
  if (!same) return undefined;
  return piece.length === word.length ? at + word.length : 'more';
}

function skipBlanks(text: string, at: number): number {
  let end = at;
  while (end - at < blanksMax && text[end] === ' ') end++;
  return end;
}

function skipSeparator(text: string, at: number): number {
  const escaped = text[at] === '\\' ? at + 1 : at;
  return /[_ -]/.test(text[escaped] ?? '') ? escaped + 1 : escaped;
}

function digitsFrom(text: string, at: number): string {
  let end = at;
  while (end - at <= digitsMax && /\d/.test(text[end] ?? '')) end++;
  return text.slice(at, end);
}

function isNumber(digits: string): boolean {
  return digits !== '' && digits.length <= digitsMax && !digits.startsWith('0');
}
