/** Randomness, passed in so that the same seed gives the same trace. */
import { randomBytes } from 'node:crypto';

/** A source of randomness. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** This many random bytes as lower-case hex. */
  hex(bytes: number): string;
}

/** Random hex digits that nobody has had yet. */
let pool = '';
const poolBytes = 2_048;

/** The system's randomness, drawn in large portions since each draw is a system call. */
export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (bytes) => {
    if (pool.length < 2 * bytes) pool = randomBytes(Math.max(poolBytes, bytes)).toString('hex');
    const digits = pool.slice(-2 * bytes);
    pool = pool.slice(0, -2 * bytes);
    return digits;
  },
};

/**
 * Reproducible randomness: a splitmix-style 32-bit mixer seeding xoshiro128** (Blackman and Vigna, 2018).
 * @param seed 32-bit integer
 */
export function seededRandom(seed: number): Random {
  let s = seed >>> 0;
  const mix = (): number => {
    s = (s + 0x9e3779b9) >>> 0;
    let z = s;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [mix(), mix(), mix(), mix()];
  const next32 = (): number => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return {
    next: () => (next32() * 0x200000 + (next32() >>> 11)) / 2 ** 53,
    hex: (bytes) => Array.from({ length: bytes }, () => (next32() & 255).toString(16).padStart(2, '0')).join(''),
  };
}
