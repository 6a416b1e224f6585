/** The trivial rivals of an embedder: words hashed without weights, TF-IDF, and BM25 (Robertson and Zaragoza 2009; k1 = 1.2, b = 0.75). */
import type { Embedder } from '../../src/assign/routers/embedder.ts';
import { NgramCounter } from '../../src/assign/text/ngrams.ts';

/** Hashed words and word pairs, 1 + log of the count, unit length. */
export class HashedEmbedder implements Embedder {
  readonly id = 'hashed n-grams';
  readonly size = 4096;
  readonly #counter = new NgramCounter({ bits: 13, wordsMax: 2, charactersMin: 3, charactersMax: 0, readMax: 8192 });

  embed(text: string, into: Float64Array): Float64Array {
    into.fill(0);
    const { bucket, count, length } = this.#counter.count(text);
    let squares = 0;
    for (let i = 0; i < length; i++) squares += (into[bucket[i] as number] = 1 + Math.log(count[i] as number)) ** 2;
    for (let j = 0; j < this.size; j++) into[j] = squares === 0 ? 0 : (into[j] as number) / Math.sqrt(squares);
    return into;
  }
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().normalize('NFD').replace(/\p{Mn}+/gu, '').match(/\p{Script=Han}|(?:(?!\p{Script=Han})[\p{L}\p{N}])+|[^\s\p{L}\p{N}]/gu) ?? [];
}

function countsOf(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** Scores, questions x passages, of TF-IDF cosines and of BM25. */
export function lexicalScores(questions: readonly string[], passages: readonly string[]): Readonly<Record<'TF-IDF' | 'BM25', Float64Array>> {
  const counts = passages.map(countsOf);
  const holding = new Map<string, number>();
  for (const each of counts) for (const word of each.keys()) holding.set(word, (holding.get(word) ?? 0) + 1);
  const idf = (word: string): number => Math.log(1 + (passages.length - (holding.get(word) ?? 0) + 0.5) / ((holding.get(word) ?? 0) + 0.5));
  const lengths = counts.map((each) => [...each.values()].reduce((sum, count) => sum + count, 0));
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  const weight = (word: string, count: number): number => (1 + Math.log(count)) * idf(word);
  const norms = counts.map((each) => Math.hypot(...[...each].map(([word, count]) => weight(word, count))));
  const [tfidf, bm25] = [new Float64Array(questions.length * passages.length), new Float64Array(questions.length * passages.length)];
  questions.forEach((question, q) => {
    const asked = [...countsOf(question)].filter(([word]) => holding.has(word));
    counts.forEach((each, p) => {
      for (const [word, count] of asked) {
        const found = each.get(word);
        if (found === undefined) continue;
        const at = q * passages.length + p;
        tfidf[at] = (tfidf[at] as number) + (weight(word, count) * weight(word, found)) / (norms[p] as number);
        bm25[at] = (bm25[at] as number) + (count * idf(word) * found * 2.2) / (found + 1.2 * (0.25 + (0.75 * (lengths[p] as number)) / mean));
      }
    });
  });
  return { 'TF-IDF': tfidf, BM25: bm25 };
}
