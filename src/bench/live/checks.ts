/**
 * Automatic checks of answers: how good an answer is, 0 to 1, given what was expected. `exact`, `answer` and `json` judge as
 * the trainer does (trainer/tandem_trainer/data/example.py), so that figures here and on the model cards mean the same.
 */
import { essence } from '../../assign/agreement.ts';
import { resultOf } from '../../assign/answers/numbers.ts';

/** What each check accepts. */
export const checkSummaries = {
  exact: 'the same text, but for space at both ends',
  answer: 'the same text after the last "Answer:"',
  json: 'the same JSON value; the order of keys does not matter',
  normalised: 'the same text once case, spacing and punctuation at the ends are evened out; a marked result stands for the text',
  number: 'the same final number, within `tolerance` (relative; default 0.000001)',
  slots: 'JSON object: the F1 of its fields, 0 to 1',
  contains: 'every text of `expect` occurs in the answer, whatever the case',
  choice: 'the first letter that stands alone in the answer, or after "Answer:"',
} as const;

/** Name of a check. */
export type CheckName = keyof typeof checkSummaries;

/** What is known of the right answer. */
export interface Expected {
  readonly check: CheckName;
  /** The right answer, or several that are right; with `contains` all of them must occur. */
  readonly expect: string | readonly string[];
  readonly tolerance?: number | undefined;
}

/** Quality of an answer, 0 to 1. The best of several right answers counts. */
export function qualityOfAnswer(answer: string, { check, expect, tolerance }: Expected): number {
  const expected = typeof expect === 'string' ? [expect] : expect;
  if (check === 'contains') return Number(expected.every((text) => answer.toLowerCase().includes(text.toLowerCase())));
  return Math.max(0, ...expected.map((each) => judged(answer.trim(), each, check, tolerance ?? 1e-6)));
}

function judged(answer: string, expected: string, check: Exclude<CheckName, 'contains'>, tolerance: number): number {
  switch (check) {
    case 'exact':
      return Number(answer === expected.trim());
    case 'answer':
      return Number(answer.includes(marker) && afterMarker(answer) === afterMarker(expected));
    case 'json':
      return Number(sameJson(answer, expected));
    case 'normalised':
      return Number(essence(answer) === essence(expected));
    case 'number':
      return Number(sameNumber(resultOf(answer), resultOf(expected), tolerance));
    case 'slots':
      return slotF1(answer, expected);
    case 'choice':
      return Number(choiceOf(answer) === choiceOf(expected) && choiceOf(expected) !== '');
  }
}

const marker = 'Answer:';

function afterMarker(text: string): string {
  return text.slice(text.lastIndexOf(marker) + (text.includes(marker) ? marker.length : 1)).trim();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function sameJson(answer: string, expected: string): boolean {
  const value = parsed(answer);
  return value !== undefined && canonical(value) === canonical(parsed(expected));
}

/** JSON text with the keys of every object in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'object' && each !== null && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each)) ?? '';
}

function sameNumber(answer: string, expected: string, tolerance: number): boolean {
  const [given, wanted] = [Number(answer), Number(expected)];
  if (answer === '' || expected === '' || !Number.isFinite(given) || !Number.isFinite(wanted)) return false;
  return Math.abs(given - wanted) <= tolerance * Math.max(1, Math.abs(wanted));
}

/** Twice the common fields over all fields; 0 when either is no object. */
function slotF1(answer: string, expected: string): number {
  const [given, wanted] = [fieldsOf(parsed(answer)), fieldsOf(parsed(expected))];
  if (given === undefined || wanted === undefined) return 0;
  if (given.size + wanted.size === 0) return 1;
  let common = 0;
  for (const field of given) if (wanted.has(field)) common++;
  return (2 * common) / (given.size + wanted.size);
}

function fieldsOf(value: unknown): Set<string> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return new Set(Object.entries(value).map(([key, each]) => `${key}=${canonical(each)}`));
}

function choiceOf(text: string): string {
  const stated = [...text.matchAll(/answer(?:\s+is)?\s*:?\s*\(?([A-Z])\b/gi)].at(-1)?.[1] ?? /(?:^|[\s("*])([A-Z])(?=$|[\s).:,"*])/.exec(text)?.[1];
  return (stated ?? '').toUpperCase();
}
