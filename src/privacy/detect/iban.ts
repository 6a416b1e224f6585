/**
 * International bank account numbers (ISO 13616): a country, two check digits and an account of the country's length,
 * with blanks after every four or none, in capitals or not. The check digits must be right (ISO 7064, mod 97-10).
 */
import type { Detector, Found } from './detector.ts';
import { plainSeparators } from './separators.ts';

/** Length by country, from the IBAN registry of SWIFT. */
const lengths: Readonly<Record<string, number>> = {
  AD: 24, AE: 23, AL: 28, AT: 20, AZ: 28, BA: 20, BE: 16, BG: 22, BH: 22, BI: 27, BR: 29, BY: 28, CH: 21, CR: 22, CY: 28, CZ: 24, DE: 22, DJ: 27, DK: 18, DO: 28, EE: 20, EG: 29, ES: 24,
  FI: 18, FK: 18, FO: 18, FR: 27, GB: 22, GE: 22, GI: 23, GL: 18, GR: 27, GT: 28, HN: 28, HR: 21, HU: 28, IE: 22, IL: 23, IQ: 23, IS: 26, IT: 27, JO: 30, KW: 30, KZ: 20, LB: 28, LC: 32,
  LI: 21, LT: 20, LU: 20, LV: 21, LY: 25, MC: 27, MD: 24, ME: 22, MK: 19, MN: 20, MR: 27, MT: 31, MU: 30, NI: 28, NL: 18, NO: 15, OM: 23, PK: 24, PL: 28, PS: 29, PT: 25, QA: 29, RO: 24,
  RS: 22, RU: 33, SA: 24, SC: 31, SD: 18, SE: 24, SI: 19, SK: 24, SM: 27, SO: 23, ST: 25, SV: 28, TL: 23, TN: 24, TR: 26, UA: 29, VA: 22, VG: 24, XK: 20, YE: 30,
};
const begin = /(?<![\p{L}\p{N}])[a-z]{2}\d{2}(?= ?[a-z0-9])/giu;

/** Finds international bank account numbers. */
export const iban: Detector = {
  kind: 'iban',
  digits: true,
  hint: /[A-Za-z]{2}\d{2}[ \u00A0\u2000-\u200A\u202F]?[A-Za-z0-9]{4}/,
  find: (text) => {
    const found: Found[] = [];
    const plain = plainSeparators(text);
    for (const { index } of plain.matchAll(begin)) {
      const end = endOf(plain, index);
      if (end !== undefined && index >= (found.at(-1)?.end ?? 0)) found.push({ kind: 'iban', start: index, end });
    }
    return found;
  },
};

/** Where the number that begins here ends; undefined when it is none. */
function endOf(text: string, start: number): number | undefined {
  const length = lengths[text.slice(start, start + 2).toUpperCase()];
  if (length === undefined) return undefined;
  let number = '';
  let at = start;
  while (number.length < length && at < text.length) {
    const character = text[at] ?? '';
    if (/[a-z0-9]/i.test(character)) number += character.toUpperCase();
    else if (character !== ' ' || number.length % 4 !== 0) return undefined;
    at++;
  }
  if (number.length < length || /[\p{L}\p{N}]/u.test(text[at] ?? '')) return undefined;
  return mod97(number.slice(4) + number.slice(0, 4)) === 1 ? at : undefined;
}

function mod97(number: string): number {
  let rest = 0;
  for (const character of number) {
    const value = parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest;
}
