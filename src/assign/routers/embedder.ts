/**
 * Static embeddings: a text becomes a short vector without any model call. The bundled table (`src/embed/`) knows what words
 * mean; the projection knows nothing and needs no table: hashed words, projected at random (signs drawn from the bucket's own
 * hash; Achlioptas, Database-friendly random projections, 2003).
 *
 * A router names the embedder that it was trained with, and gets that one back.
 */
import { bundledEmbedder } from '../../embed/bundled.ts';
import { fail } from '../../errors.ts';
import { defaultNgrams, NgramCounter } from '../text/ngrams.ts';
import { markNames, marksOf } from '../text/marks.ts';

/** Turns a text into a vector. */
export interface Embedder {
  /** Name in files. */
  readonly id: string;
  readonly size: number;
  /** Overwrites `into`, as long as `size`. */
  embed(text: string, into: Float64Array): Float64Array;
}

const projected = 96;

/** Random projection of words and word pairs to 96 numbers of length one, and the marks of the text, scaled down. */
export class ProjectionEmbedder implements Embedder {
  readonly id = 'projection-96';
  readonly size = projected + markNames.length;
  readonly #counter = new NgramCounter({ ...defaultNgrams, bits: 20, charactersMax: 0 });
  readonly #marks = new Float64Array(markNames.length);

  embed(text: string, into: Float64Array): Float64Array {
    into.fill(0);
    const found = this.#counter.count(text);
    for (let i = 0; i < found.length; i++) this.#addBucket(found.bucket[i] as number, 1 + Math.log(found.count[i] as number), into);
    let squares = 0;
    for (let j = 0; j < projected; j++) squares += (into[j] as number) ** 2;
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let j = 0; j < projected; j++) into[j] = (into[j] as number) * scale;
    marksOf(text, this.#marks);
    for (let j = 0; j < this.#marks.length; j++) into[projected + j] = 0.2 * (this.#marks[j] as number);
    return into;
  }

  #addBucket(bucket: number, weight: number, into: Float64Array): void {
    let bits = Math.imul(bucket + 1, 0x9e3779b1);
    for (let j = 0; j < projected; j++) {
      if (j % 32 === 0) {
        bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
        bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
        bits ^= bits >>> 16;
      }
      into[j] = (into[j] as number) + ((bits >>> (j % 32)) & 1 ? weight : -weight);
    }
  }
}

/** Characters of a prompt that routers embed: bounds the time of a decision. */
const charactersRead = 4096;

/** The bundled table, alone. */
export class BundledEmbedder implements Embedder {
  readonly id: string;
  readonly size: number;
  readonly #table = bundledEmbedder();
  readonly #charactersMax: number;

  /** @param charactersMax characters that are read; default all @throws {TandemError} model_file_missing, model_file_invalid */
  constructor(charactersMax = Infinity) {
    this.id = this.#table.id;
    this.size = this.#table.size;
    this.#charactersMax = charactersMax;
  }

  embed(text: string, into: Float64Array): Float64Array {
    this.#table.embed(text, into, this.#charactersMax);
    return into;
  }
}

/** What routers see: the bundled vector of a prompt's first 4,096 characters, and the marks of the text, scaled down. */
export class MarkedEmbedder implements Embedder {
  readonly id: string;
  readonly size: number;
  readonly #inner = new BundledEmbedder(charactersRead);
  readonly #marks = new Float64Array(markNames.length);

  constructor() {
    this.id = `${this.#inner.id}+marks`;
    this.size = this.#inner.size + markNames.length;
  }

  embed(text: string, into: Float64Array): Float64Array {
    this.#inner.embed(text, into);
    marksOf(text, this.#marks);
    for (let j = 0, at = this.#inner.size; j < this.#marks.length; j++) into[at + j] = 0.2 * (this.#marks[j] as number);
    return into;
  }
}

/** Names that `embedderNamed` understands besides the id that a file holds. */
export type EmbedderName = 'bundled' | 'projection';

/**
 * The embedder of a name, or of the id that a router's file holds.
 * @throws {TandemError} router_file_invalid when the router was trained with a table that is not bundled here; model_file_missing
 */
export function embedderNamed(name: string): Embedder {
  if (name === 'projection' || name === 'projection-96') return new ProjectionEmbedder();
  const bundled = new MarkedEmbedder();
  if (name === 'bundled' || name === bundled.id) return bundled;
  return fail('router_file_invalid', `The router was trained with the embedder "${name}"; this version has "${bundled.id}" and "projection-96".`);
}
