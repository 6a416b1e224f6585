/**
 * All detectors as one: finds private values of the kinds that are asked for, without overlaps.
 *
 * Where values of two kinds overlap, the place that both cover together is one value, of the kind whose test is the
 * stricter: nothing that any detector found is left in the text.
 */
import { card } from './card.ts';
import type { Detector, Found, Kind } from './detector.ts';
import { email } from './email.ts';
import { iban } from './iban.ts';
import { key } from './key.ts';
import { phone } from './phone.ts';

export type { Detector, Found, Hint, Kind } from './detector.ts';

/** Every detector, the strictest test first. */
export const detectors: readonly Detector[] = [key, iban, card, email, phone];

/** Finds values of several kinds. */
export interface Search {
  /** Quick: false only if there is nothing to find. */
  mayHold(text: string): boolean;
  /** The values, in order, not overlapping. */
  find(text: string): readonly Found[];
}

/** A search for these kinds. */
export function searchFor(kinds: readonly Kind[]): Search {
  const chosen = detectors.filter(({ kind }) => kinds.includes(kind));
  const rank = new Map(chosen.map(({ kind }, index) => [kind, index]));
  const stricter = (a: Found, b: Found): Kind => ((rank.get(a.kind) ?? 0) <= (rank.get(b.kind) ?? 0) ? a.kind : b.kind);
  return {
    mayHold: (text) => {
      const digits = /\d/.test(text);
      return chosen.some((detector) => (digits || detector.digits !== true) && detector.hint.test(text));
    },
    find: (text) => {
      let found = nothing;
      let kindsFound = 0;
      const digits = /\d/.test(text);
      for (const detector of chosen) {
        if ((!digits && detector.digits === true) || !detector.hint.test(text)) continue;
        const more = detector.find(text);
        if (more.length === 0) continue;
        found = kindsFound++ === 0 ? more : [...found, ...more];
      }
      return kindsFound < 2 ? found : apart(found, stricter);
    },
  };
}

const nothing: readonly Found[] = [];

/** Values of several kinds, in order; of those that overlap, the place that they cover together. */
function apart(found: readonly Found[], stricter: (a: Found, b: Found) => Kind): readonly Found[] {
  const result: Found[] = [];
  for (const one of found.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = result.at(-1);
    if (last !== undefined && one.start < last.end) result[result.length - 1] = { kind: stricter(last, one), start: last.start, end: Math.max(last.end, one.end) };
    else result.push(one);
  }
  return result;
}
