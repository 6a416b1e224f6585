/** The held-out texts and pairs of the embedder's benchmark, as `trainer/tandem_trainer/embedder/heldout.py` reads them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Texts, pairs of positions in them, and the teacher's cosine of each pair. */
export interface PairSet {
  readonly name: string;
  readonly texts: readonly string[];
  readonly pairs: readonly (readonly [number, number])[];
  readonly teacher: Float64Array;
}

/** Questions, passages, and the position of the passage that answers each question. */
export interface Retrieval {
  readonly questions: readonly string[];
  readonly passages: readonly string[];
  readonly answers: readonly number[];
}

interface XQuad {
  readonly data: readonly { readonly paragraphs: readonly { readonly context: string; readonly qas: readonly { readonly question: string }[] }[] }[];
}

/** XQuAD in a language: 1,190 questions over 240 passages. */
export function xquad(root: string, language: string): Retrieval {
  const { data } = JSON.parse(readFileSync(join(root, `rag-xquad/xquad.${language}.json`), 'utf8')) as XQuad;
  const paragraphs = data.flatMap((article) => article.paragraphs);
  return {
    questions: paragraphs.flatMap(({ qas }) => qas.map(({ question }) => question)),
    passages: paragraphs.map(({ context }) => context),
    answers: paragraphs.flatMap(({ qas }, passage) => qas.map(() => passage)),
  };
}

function textsOf(name: string, root: string): readonly string[] {
  if (name === 'clinc150') return (JSON.parse(readFileSync(join(root, 'intent-clinc150/data_oos_plus.json'), 'utf8')) as { test: [string, string][] }).test.map(([text]) => text);
  if (name === 'flores') return readFileSync(join(root, 'route-translation/de-en/flores-test.en'), 'utf8').trimEnd().split('\n');
  const { questions, passages } = xquad(root, 'en');
  return [...questions, ...passages];
}

/** The pairs that the trainer drew, with the teacher's cosines. @param file `weights/embedder/pairs.json` */
export function pairSets(file: string, root: string): PairSet[] {
  const sets = JSON.parse(readFileSync(file, 'utf8')) as Record<string, readonly (readonly [number, number, number])[]>;
  return Object.entries(sets).map(([name, rows]) => ({
    name,
    texts: textsOf(name, root),
    pairs: rows.map(([a, b]) => [a, b] as const),
    teacher: Float64Array.from(rows, ([, , cosine]) => cosine / 10_000),
  }));
}
