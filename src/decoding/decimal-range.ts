/**
 * Decimal numbers in a range as a grammar: whole numbers, with a fraction where that cannot leave the range.
 *
 * Worked example: above 0 and up to 2 gives `"0." [0-9]{0,13} [1-9]`, `"1" ( "." [0-9]{1,14} )?` and `[1-2]`. Numbers have 15 digits at most
 * where a bound is near, so that none of them is rounded to a bound, or over it.
 */
import { integerRange } from './integer-range.ts';

/** Digits that a double always tells apart. */
const digitsMax = 15;

/** A range of numbers; infinite where there is no bound. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
  /** Whether the bound itself is outside. */
  readonly leastOpen: boolean;
  readonly mostOpen: boolean;
}

/** GBNF without outer brackets, or undefined when nothing can be said to lie in the range. Bounds are below 1e15. */
export function decimalRange({ least, most, leastOpen, mostOpen }: Bounds): string | undefined {
  const low = Math.ceil(least);
  const high = Math.floor(most);
  const places = Math.max(1, digitsMax - Math.max(...[low, high].filter(Number.isFinite).map((bound) => String(Math.abs(bound)).length)));
  const fraction = `( "." [0-9]{1,${places}} )?`;
  const some = `[0-9]{0,${places - 1}} [1-9]`;
  const parts: string[] = [];
  // n.f lies in [n, n + 1) for n from 0 on, and in (n - 1, n] below, so an open bound that is whole asks for a fraction that is not 0
  const aboveLow = leastOpen && low === least && low >= 0;
  const belowHigh = mostOpen && high === most && high < 0;
  if (aboveLow && low + 1 <= high) parts.push(`"${low}." ${some}`);
  if (belowHigh && low + 1 <= high) parts.push(`"${high}." ${some}`);
  const up = integerRange(Math.max(0, aboveLow ? low + 1 : low), most === Infinity ? Infinity : high - 1);
  if (up !== undefined) parts.push(`( ${up} ) ${fraction}`);
  const down = integerRange(least === -Infinity ? -Infinity : low + 1, Math.min(-1, belowHigh ? high - 1 : high));
  if (down !== undefined) parts.push(`( ${down} ) ${fraction}`);
  const whole = integerRange(low === least && leastOpen ? low + 1 : low, high === most && mostOpen ? high - 1 : high);
  if (whole !== undefined) parts.push(whole);
  return parts.length === 0 ? undefined : parts.map((part) => `( ${part} )`).join(' | ');
}
