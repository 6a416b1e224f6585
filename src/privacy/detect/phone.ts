/**
 * Telephone numbers: 7 to 15 digits (ITU-T E.164) as people write them, with a country code, in groups, with an
 * extension. Digits that stand together without any sign of being a number to call are taken for one only after a word
 * such as "phone". What is a date, a time, an IP address, a version, an amount or a social security number is left alone.
 */
import type { Detector, Found } from './detector.ts';
import { plainSeparators } from './separators.ts';

const candidate = /(?<![\p{L}\p{N}_@#$€£¥+])(?<!\p{N}[-.:/])(?:\+|00)?(?:\(\+?\d{1,5}\)|\d)(?: ?[-./·] ?| {0,2})(?:\(?\d{1,6}\)?(?: ?[-./·] ?| {0,2})?){1,8}(?:(?:[ ]?(?:x|ext\.?|extension|#)[ ]?)\d{1,6})?/giu;
const callWord = /(?:phone|mobile|fax|(?<!\p{L})(?:cell|tel|call|dial|ring|text|sms)|whatsapp|messages?|answering|contact|reach|number|desk|office|landline|hotline|handy|telefon|téléphone|teléfono|rückruf)[^\p{L}\p{N}]{0,3}(?:(?:me|us|him|her|them|no|nr|number|is|at|on|back|the|my|our|your|his|was|num|to|a|under)[^\p{L}\p{N}]{1,3}){0,5}$/iu;
/** Numbers that are called numbers, but not to call. */
const otherWord = /(?:licen[cs]e|account|order|invoice|serial|ticket|case|reference|customer|policy|passport|tracking|card|security|page|part|model|room|version|id)[ -](?:number|no\.?|nr\.?)[^\p{L}\p{N}]{0,3}(?:(?:is|was)[^\p{L}\p{N}]{1,3})?$/iu;

/** Numbers in groups that are something else. */
const others: readonly RegExp[] = [
  /^\d{4}[-./]\d{1,2}[-./]\d{1,2}(?:[ T].*)?$/, // 2026-01-31
  /^\d{1,2}[-./]\d{1,2}[-./]\d{2,4}(?: .*)?$/, // 31.01.2026
  /^\d{1,3}(?:\.\d{1,3}){3}$/, // IP address
  /^\d{3}-\d{2}-\d{4}$/, // US social security number
  /^\d{4}[ -]{1,3}\d{4}$/, // years, 2019-2021, or half a card
  /^\d+\.\d+$/, // an amount
  /^\d{1,3}(?: \d{3})+$/, // 1 000 000
  /^97[89][- ]?\d/, // ISBN
  /^(?:\d{4}[- ]){3}\d{4}$/, // card
];
/** Signs of a range or a difference rather than of groups. */
const dash = /[\u2013-\u2015\u2212]/;
/** Grouped as nothing else is: with an area code in parentheses or one that begins with 0, or as in North America. */
const plainlyGrouped = /^(?:\(\d{2,5}\) ?\d.*|(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}|0[1-9]\d{1,4}[-/ ]\d[\d -]{5,})$/;

/** Finds telephone numbers. */
export const phone: Detector = {
  kind: 'phone',
  digits: true,
  hint: /\d[^\p{L}\n,;:]{0,3}\d[^\p{L}\n,;:]{0,3}\d[^\p{L}\n,;:]{0,3}\d[^\p{L}\n,;:]{0,3}\d[^\p{L}\n,;:]{0,3}\d/u,
  find: (text) => {
    const found: Found[] = [];
    const plain = plainSeparators(text);
    for (const match of plain.matchAll(candidate)) {
      const value = match[0].replace(/[^\d]+$/, '');
      const start = match.index;
      const end = start + value.length;
      if (/[\p{L}\p{N}_%$€£¥@]/u.test(plain[end] ?? '') || /^[-:/]\d/.test(plain.slice(end, end + 2))) continue;
      if (isPhone(value, plain.slice(Math.max(0, start - 48), start), dash.test(text.slice(start, end)))) found.push({ kind: 'phone', start, end });
    }
    return found;
  },
};

/** @param dashed whether dashes stand for hyphens in it */
function isPhone(value: string, before: string, dashed: boolean): boolean {
  const number = value.replace(/[ ]?(?:x|ext\.?|extension|#)[ ]?\d{1,6}$/i, '');
  const digits = number.replace(/\D/g, '');
  if (digits.length < 7 || digits.length > 15 || /^(\d)\1+$/.test(digits)) return false;
  if ((number.match(/\(/g)?.length ?? 0) !== (number.match(/\)/g)?.length ?? 0)) return false;
  if (/^\+/.test(number) || number !== value) return true;
  const called = callWord.test(before) && !otherWord.test(before);
  if (others.some((other) => other.test(number))) return called && !/^\d{3}-\d{2}-\d{4}$|^\d{1,3}(?:\.\d{1,3}){3}$|^(?:\d{4}[- ]){3}\d{4}$/.test(number);
  if (/^\d+$/.test(number)) return called || (/^00[1-9]/.test(number) && digits.length >= 11);
  if (called) return true;
  // After `12,` three digits are rather thousands.
  if ((dashed || (/^\d{3}(?!\d)/.test(number) && /\p{N},$/u.test(before))) && !plainlyGrouped.test(number)) return false;
  return looksGrouped(number, digits.length);
}

/** Groups of two to five digits with few signs between them, as numbers to call are written. */
function looksGrouped(number: string, digits: number): boolean {
  if (/^\(\d{2,5}\) ?\d/.test(number)) return true;
  const groups = number.split(/\D+/).filter((group) => group !== '');
  const signs = new Set(number.replace(/[\d()]/g, ''));
  if (signs.size > 2 || groups.some((group) => group.length > 7)) return false;
  if (signs.has('/') && !number.startsWith('0')) return false;
  if (groups.length < 2 || groups.length > 6 || digits < 7) return false;
  return groups.length >= 3 ? groups.slice(1).every((group) => group.length >= 2) && digits >= 8 : /^0\d/.test(number) || /^\d{3}-\d{4}$/.test(number);
}
