/**
 * The bundled static embedder on texts that it was not trained on: rank correlation with its teacher's cosines, recall of
 * XQuAD's passages, both beside trivial rivals, and the time of a text.
 *
 *   npm run bench:embedder [-- --from ../shared/data] [--resamples 500] [--json]
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ProjectionEmbedder, type Embedder } from '../src/assign/routers/embedder.ts';
import { BundledEmbedder } from '../src/assign/routers/embedder.ts';
import { bootstrap } from '../src/bench/metrics/bootstrap.ts';
import { bundledTable } from '../src/embed/bundled.ts';
import { StaticEmbedder } from '../src/embed/table.ts';
import { HashedEmbedder, lexicalScores } from './embedder/lexical.ts';
import { pairSets, xquad, type Retrieval } from './embedder/sets.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { from: { type: 'string', default: '../shared/data' }, resamples: { type: 'string', default: '500' }, json: { type: 'boolean', default: false } } });
const root = resolve(values.from);
const resamples = Number(values.resamples);
const folder = fileURLToPath(new URL('../weights/embedder/', import.meta.url));
const figures: Record<string, number> = {};

function say(line: string): void {
  if (!values.json) console.log(line);
}

function vectorsOf(embedder: Embedder, texts: readonly string[]): Float64Array[] {
  return texts.map((text) => embedder.embed(text, new Float64Array(embedder.size)).slice());
}

function cosine(a: Float64Array, b: Float64Array): number {
  let [sum, left, right] = [0, 1e-30, 1e-30];
  for (let j = 0; j < a.length; j++) {
    sum += (a[j] as number) * (b[j] as number);
    left += (a[j] as number) ** 2;
    right += (b[j] as number) ** 2;
  }
  return sum / Math.sqrt(left * right);
}

/** Ranks; equal values share the mean of their ranks. */
function ranks(of: ArrayLike<number>, rows: ArrayLike<number>): Float64Array {
  const order = Array.from(rows, (_, i) => i).sort((i, j) => (of[rows[i] as number] as number) - (of[rows[j] as number] as number));
  const found = new Float64Array(order.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && of[rows[order[to] as number] as number] === of[rows[order[from] as number] as number]) to++;
    for (let k = from; k < to; k++) found[order[k] as number] = (from + to - 1) / 2;
  }
  return found;
}

function spearman(a: ArrayLike<number>, b: ArrayLike<number>, rows: ArrayLike<number>): number {
  const [x, y] = [ranks(a, rows), ranks(b, rows)];
  const middle = (x.length - 1) / 2;
  let [sum, left, right] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [(x[i] as number) - middle, (y[i] as number) - middle];
    sum += dx * dy;
    left += dx * dx;
    right += dy * dy;
  }
  return sum / Math.sqrt(left * right);
}

function share(value: number, { low, high }: { readonly low: number; readonly high: number }): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}

/** Recall within 1, 5 and 10 of scores, questions x passages. A tie counts against the right passage by half. */
function sayRecall(name: string, set: string, scores: Float64Array, { answers, passages }: Retrieval): void {
  const places = Float64Array.from(answers, (answer, q) => {
    const own = scores[q * passages.length + answer] as number;
    let [above, equal] = [0, -1];
    for (let p = 0; p < passages.length; p++) {
      const score = scores[q * passages.length + p] as number;
      if (score > own) above++;
      else if (score === own) equal++;
    }
    return above + equal / 2;
  });
  const cells = [1, 5, 10].map((within) => {
    const at = (rows: ArrayLike<number>): number => Array.from(rows, (row) => Number((places[row] as number) < within)).reduce((sum, each) => sum + each, 0) / rows.length;
    const value = at(answers.map((_, i) => i));
    figures[`${set} recall@${within} ${name}`] = value;
    return share(value, bootstrap(answers.length, at, 1, resamples));
  });
  say(`| ${set} | ${name} | ${cells.join(' | ')} |`);
}

function scoresOf(embedder: Embedder, { questions, passages }: Retrieval): Float64Array {
  const [asked, held] = [vectorsOf(embedder, questions), vectorsOf(embedder, passages)];
  return Float64Array.from({ length: asked.length * held.length }, (_, i) => cosine(asked[Math.floor(i / held.length)] as Float64Array, held[i % held.length] as Float64Array));
}

/** Times of single texts in microseconds; the best of five rounds by its p99, since other work only adds to a time. */
function sayTimes(name: string, embedder: StaticEmbedder, texts: readonly string[]): void {
  const into = new Float32Array(embedder.size);
  for (let i = 0; i < 3000; i++) embedder.embed(texts[i % texts.length] ?? '', into);
  const rounds = Array.from({ length: 5 }, () => Float64Array.from({ length: 4000 }, (_, i) => {
    const start = performance.now();
    embedder.embed(texts[i % texts.length] ?? '', into);
    return (performance.now() - start) * 1000;
  }).sort());
  const began = process.cpuUsage();
  for (let i = 0; i < 4000; i++) embedder.embed(texts[i % texts.length] ?? '', into);
  const { user, system } = process.cpuUsage(began);
  const best = rounds.reduce((least, round) => ((round[3960] as number) < (least[3960] as number) ? round : least));
  const characters = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
  figures[`${name} processorUs`] = (user + system) / 4000;
  figures[`${name} p50Us`] = best[2000] as number;
  figures[`${name} p99Us`] = best[3960] as number;
  say(`| ${name} | ${characters.toFixed(0)} | ${(best[2000] as number).toFixed(1)} | ${(best[3960] as number).toFixed(1)} | ${((user + system) / 4000).toFixed(1)} |`);
}

if (!existsSync(root)) {
  console.error(`no folder ${values.from}; give --from`);
  process.exit(2);
}
say(`embedder benchmark; ${machineLine()}\n`);
const loads = Float64Array.from({ length: 21 }, () => {
  const start = performance.now();
  new StaticEmbedder(readFileSync(bundledTable));
  return performance.now() - start;
}).sort();
const bytes = new StaticEmbedder(readFileSync(bundledTable));
figures['loadMs'] = loads[10] as number;
figures['fileMB'] = statSync(bundledTable).size / 1e6;
say(`${bytes.id}: ${bytes.parameters.toLocaleString('en')} numbers, ${bytes.size} dimensions, ${(figures['fileMB'] as number).toFixed(1)} MB, read in ${(loads[10] as number).toFixed(1)} ms (median of 21, ${(loads[0] as number).toFixed(1)} to ${(loads[20] as number).toFixed(1)})\n`);

const english = xquad(root, 'en');
say('| text | characters | p50 us | p99 us | mean processor time, us |\n|---|---|---|---|---|');
const sets = pairSets(`${folder}pairs.json`, root);
const utterances = sets.find(({ name }) => name === 'clinc150')?.texts ?? [];
sayTimes('utterance (CLINC150 test)', bytes, utterances);
sayTimes('question (XQuAD)', bytes, english.questions);
sayTimes('passage (XQuAD)', bytes, english.passages);
sayTimes('1 kB prompt', bytes, Array.from({ length: 200 }, (_, i) => `${english.passages[i]} ${english.passages[i + 1]} ${english.passages[i + 2]}`.slice(0, 1024)));

const embedders: Embedder[] = [new BundledEmbedder(), new ProjectionEmbedder(), new HashedEmbedder()];
say(`\nSpearman's rank correlation with the teacher's cosine\n\n| pairs | n |${embedders.map(({ id }) => ` ${id} |`).join('')}\n|---|---|${embedders.map(() => '---|').join('')}`);
for (const { name, texts, pairs, teacher } of sets) {
  const all = pairs.map((_, i) => i);
  const cells = embedders.map((embedder) => {
    const vectors = vectorsOf(embedder, texts);
    const own = Float64Array.from(pairs, ([a, b]) => cosine(vectors[a] as Float64Array, vectors[b] as Float64Array));
    const value = spearman(own, teacher, all);
    figures[`spearman ${name} ${embedder.id}`] = value;
    return share(value, bootstrap(pairs.length, (rows) => spearman(own, teacher, rows), 1, resamples));
  });
  say(`| ${name} | ${pairs.length} | ${cells.join(' | ')} |`);
}

say('\nRecall of the right passage of 240, 1,190 questions\n\n| set | by | @1 | @5 | @10 |\n|---|---|---|---|---|');
for (const embedder of embedders) sayRecall(embedder.id, 'XQuAD en', scoresOf(embedder, english), english);
for (const language of ['en', 'de', 'es', 'zh']) {
  const set = xquad(root, language);
  if (language !== 'en') sayRecall(embedders[0]?.id ?? '', `XQuAD ${language}`, scoresOf(embedders[0] as Embedder, set), set);
  for (const [name, scores] of Object.entries(lexicalScores(set.questions, set.passages))) if (language === 'en' || name === 'BM25') sayRecall(name, `XQuAD ${language}`, scores, set);
}
printFigures('embedder', figures);
