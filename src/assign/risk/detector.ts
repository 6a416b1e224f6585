/**
 * Whether a request looks like those that a member was tried on. A detector learns from prompts alone: which words it has seen, and
 * how its marks (length, numbers, structure) are spread. How unusual a new prompt is becomes a conformal p-value: for prompts
 * of the same kind it is at most `a` with chance at most `a`, whatever the distribution; small means unusual.
 * A stream of them is watched by `shift.ts`.
 *
 * Source: inductive conformal anomaly detection (Laxhammar and Falkman, 2011).
 */
import { z } from 'zod';
import { markNames, marksOf, scalingOf } from '../text/marks.ts';
import { defaultNgrams, NgramCounter } from '../text/ngrams.ts';
import { fail } from '../../errors.ts';

const bits = 15;
const within = 4;
const marksWeight = 0.15;
const keptMax = 2000;

/** What a file holds. */
export const detectorSchema = z.strictObject({
  kind: z.literal('tandem-detector'),
  version: z.literal(1),
  /** Prompts that it was learned on. */
  prompts: z.number(),
  date: z.string(),
  /** Which word buckets were seen, base64, one bit each. */
  seen: z.string(),
  mean: z.array(z.number()).length(markNames.length),
  deviation: z.array(z.number()).length(markNames.length),
  /** How unusual the calibration prompts are, ascending. */
  usual: z.array(z.number()).min(1),
});

/** A detector as it is stored. */
export type SavedDetector = z.infer<typeof detectorSchema>;

/** Tells ordinary requests from unusual ones. One instance serves one caller at a time. */
export class Detector {
  readonly #saved: SavedDetector;
  readonly #seen: Uint8Array;
  readonly #counter = new NgramCounter({ ...defaultNgrams, bits, charactersMax: 0 });

  constructor(saved: SavedDetector) {
    this.#saved = saved;
    this.#seen = Uint8Array.from(Buffer.from(saved.seen, 'base64'));
  }

  /**
   * Learns. Every second prompt teaches, the others calibrate.
   * @param prompts at least 40, in an order that does not depend on what they say @param now milliseconds since 1970
   * @throws {TandemError} bench_data_invalid
   */
  static learn(prompts: readonly string[], now: number): Detector {
    if (prompts.length < 40) fail('bench_data_invalid', `A detector needs at least 40 prompts; there are ${prompts.length}.`);
    const teaching = prompts.filter((_, i) => i % 2 === 0);
    const counter = new NgramCounter({ ...defaultNgrams, bits, charactersMax: 0 });
    const seen = new Uint8Array(2 ** bits / 8);
    for (const prompt of teaching) {
      const found = counter.count(prompt);
      for (let i = 0; i < found.words; i++) {
        const bucket = found.bucket[i] as number;
        seen[bucket >> 3] = (seen[bucket >> 3] as number) | (1 << (bucket & 7));
      }
    }
    const { mean, deviation } = scalingOf(teaching.map((prompt) => marksOf(prompt)));
    const base: SavedDetector = { kind: 'tandem-detector', version: 1, prompts: prompts.length, date: new Date(now).toISOString().slice(0, 10), seen: Buffer.from(seen).toString('base64'), mean: Array.from(mean), deviation: Array.from(deviation), usual: [0] };
    const detector = new Detector(base);
    const usual = prompts.filter((_, i) => i % 2 === 1).slice(0, keptMax).map((prompt) => detector.unusual(prompt)).sort((a, b) => a - b);
    return new Detector({ ...base, usual });
  }

  /** How unusual a prompt is: the share of its words and word pairs that were never seen, and how far its marks are from the mean. */
  unusual(prompt: string): number {
    const found = this.#counter.count(prompt);
    let unseen = 0;
    for (let i = 0; i < found.words; i++) {
      const bucket = found.bucket[i] as number;
      if (((this.#seen[bucket >> 3] as number) & (1 << (bucket & 7))) === 0) unseen++;
    }
    const marks = marksOf(prompt);
    let far = 0;
    for (let i = 0; i < marks.length; i++) far += Math.min(within, Math.abs((marks[i] as number) - (this.#saved.mean[i] as number)) / (this.#saved.deviation[i] as number));
    return (found.words === 0 ? 1 : unseen / found.words) + (marksWeight * far) / marks.length;
  }

  /** The conformal p-value, above 0 and at most 1; small: unusual. */
  pValue(prompt: string): number {
    const { usual } = this.#saved;
    const value = this.unusual(prompt);
    let [low, high] = [0, usual.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((usual[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    return (1 + usual.length - low) / (usual.length + 1);
  }

  save(): SavedDetector {
    return this.#saved;
  }
}
