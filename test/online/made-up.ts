/** Made-up worlds for bandits: normal draws, and arms whose truth is known. */
import type { Random } from '../../src/system/random.ts';

/** A standard normal draw (Box and Muller). */
export function normal(random: Pick<Random, 'next'>): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** A draw of 0 or 1. */
export function coin(random: Pick<Random, 'next'>, p: number): number {
  return Number(random.next() < p);
}
