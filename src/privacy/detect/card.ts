/**
 * Payment card numbers: 12 to 19 digits that begin as a known network's do (ISO/IEC 7812) and end in the right check
 * digit (Luhn, US patent 2,950,048), written together or in groups with single blanks or hyphens.
 */
import type { Detector, Found } from './detector.ts';
import { plainSeparators } from './separators.ts';

/** Digits with single blanks or hyphens between, as long as they go. A comma separates, as in a list; a point between digits does not. */
const run = /(?<![\p{L}\p{N}_+-]|\d\.)\d(?:[ -]?\d){11,}(?![\p{L}\p{N}_]|[-.]\d)/gu;
/** How numbers are grouped on cards; what stands before or after them in a run is another number, such as a date. */
const grouped = /^(?:4-4-4-4(?:-[1-3])?|4-6-5|4-6-4|1[2-9])$/;
/** Visa, Mastercard, American Express, Discover, Diners, JCB (and its old 15-digit numbers), UnionPay, Maestro, RuPay, Mir. */
const networks = /^(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d|2\d\d)\d{12,15}|3(?:0[0-5]|[68]\d|09)\d{11,16}|35\d{14}|(?:1800|2131)\d{11}|(?:5018|5020|5038|56\d\d|57\d\d|58\d\d|6304|6759|676[1-3]|60\d\d)\d{8,15}|220[0-4]\d{12})$/;

/** Finds payment card numbers. */
export const card: Detector = {
  kind: 'card',
  digits: true,
  hint: /\d(?:[ \u00A0\u2000-\u200A\u202F\u2010-\u2015\u2212-]?\d){11}/,
  find: (text) => {
    const found: Found[] = [];
    for (const match of plainSeparators(text).matchAll(run)) {
      if (isCard(match[0])) found.push({ kind: 'card', start: match.index, end: match.index + match[0].length });
      else found.push(...withinRun(match[0], match.index));
    }
    return found;
  },
};

function isCard(text: string): boolean {
  const digits = text.replace(/[ -]/g, '');
  return networks.test(digits) && luhn(digits);
}

/** Numbers among the groups of a run. */
function withinRun(text: string, offset: number): Found[] {
  const groups = [...text.matchAll(/\d+/g)].map((match) => ({ start: match.index, end: match.index + match[0].length }));
  const found: Found[] = [];
  for (let first = 0; first < groups.length; first++) {
    const start = groups[first]?.start ?? 0;
    for (let last = Math.min(first + 4, groups.length - 1); last >= first; last--) {
      const end = groups[last]?.end ?? 0;
      const sizes = groups.slice(first, last + 1).map((group) => group.end - group.start).join('-');
      if (!grouped.test(sizes) || !isCard(text.slice(start, end))) continue;
      found.push({ kind: 'card', start: offset + start, end: offset + end });
      first = last;
      break;
    }
  }
  return found;
}

/** Whether the last digit is the check digit of the others. */
export function luhn(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place++) {
    const digit = digits.charCodeAt(digits.length - 1 - place) - 48;
    const weighted = place % 2 === 1 ? digit * 2 : digit;
    sum += weighted > 9 ? weighted - 9 : weighted;
  }
  return sum % 10 === 0;
}
