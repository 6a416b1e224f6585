/**
 * Routers over an embedding of the prompt with one learned vector a member. They share their form, a bilinear score
 * member . (projection x embedding), and differ in what they are taught:
 *
 * - `factorisation`: which of two members was preferred, by logistic loss on pairs (RouteLLM's matrix factorisation,
 *   arXiv:2406.18665);
 * - `contrastive`: the best member of a prompt against the others, cosine scores over a temperature (RouterDC, arXiv:2409.19886);
 * - `reward-distilled`: the whole distribution of rewards over the members, by cross-entropy (Zooter, arXiv:2311.08692);
 * - `sparse-gate`: a gate that keeps the two best experts and weighs them; experts predict the members' qualities.
 */
import { seededRandom } from '../../system/random.ts';
import { embedderNamed, type Embedder, type EmbedderName } from './embedder.ts';
import type { Learner, Lesson, Predictor, PredictorKind, SavedPredictor } from './learner.ts';

type Kind = Extract<PredictorKind, 'factorisation' | 'contrastive' | 'reward-distilled' | 'sparse-gate'>;

const factors = 16;
const experts = 6;
const kept = 2;
const temperature = 0.2;

/** Output rows of the linear map: factors for bilinear kinds, gate and experts' heads for the gate. */
function outputs(kind: Kind, members: number): number {
  return kind === 'sparse-gate' ? experts + experts * members : factors;
}

class EmbeddedPredictor implements Predictor {
  readonly kind: Kind;
  readonly members: readonly string[];
  readonly #embedder: Embedder;
  readonly #map: Float32Array;
  readonly #vectors: Float32Array;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #embedding: Float64Array;
  readonly #hidden: Float64Array;

  constructor(saved: SavedPredictor) {
    this.kind = saved.kind as Kind;
    this.members = saved.members;
    this.#settings = saved.settings;
    this.#embedder = embedderNamed(String(saved.settings['embedder'] ?? 'projection-96'));
    this.#map = saved.arrays['map'] as Float32Array;
    this.#vectors = saved.arrays['vectors'] as Float32Array;
    this.#embedding = new Float64Array(this.#embedder.size + 1);
    this.#hidden = new Float64Array(outputs(this.kind, this.members.length));
  }

  estimate(prompt: string, into: Float64Array = new Float64Array(this.members.length)): Float64Array {
    embedded(this.#embedder, prompt, this.#embedding);
    multiply(this.#map, this.#embedding, this.#hidden);
    return output(this.kind, this.#hidden, this.#vectors, into);
  }

  save(): SavedPredictor {
    return { kind: this.kind, members: this.members, settings: this.#settings, arrays: { map: this.#map, vectors: this.#vectors } };
  }
}

function embedded(embedder: Embedder, prompt: string, into: Float64Array): Float64Array {
  embedder.embed(prompt, into.subarray(0, embedder.size));
  into[embedder.size] = 1;
  return into;
}

function multiply(map: ArrayLike<number>, x: Float64Array, into: Float64Array): void {
  const width = x.length;
  for (let row = 0; row < into.length; row++) {
    let sum = 0;
    for (let k = 0, at = row * width; k < width; k++) sum += (map[at + k] as number) * (x[k] as number);
    into[row] = sum;
  }
}

/** Scores of the members from the hidden values. `vectors`: factors and a bias for each member. */
function output(kind: Kind, hidden: Float64Array, vectors: ArrayLike<number>, into: Float64Array): Float64Array {
  const width = into.length;
  if (kind === 'sparse-gate') {
    const gate = gateOf(hidden);
    for (let m = 0; m < width; m++) {
      into[m] = 0;
      for (let e = 0; e < experts; e++) into[m] = (into[m] as number) + (gate[e] as number) * (hidden[experts + e * width + m] as number);
    }
    return into;
  }
  const length = kind === 'contrastive' ? norm(hidden, 0, factors) : 1;
  for (let m = 0; m < width; m++) {
    const from = m * (factors + 1);
    let sum = 0;
    for (let k = 0; k < factors; k++) sum += (vectors[from + k] as number) * (hidden[k] as number);
    into[m] = kind === 'contrastive' ? sum / (length * norm(vectors, from, factors)) : sum + (vectors[from + factors] as number);
  }
  return into;
}

function norm(values: ArrayLike<number>, from: number, length: number): number {
  let sum = 1e-12;
  for (let k = 0; k < length; k++) sum += (values[from + k] as number) ** 2;
  return Math.sqrt(sum);
}

/** Softmax over the `kept` strongest experts; 0 for the others. */
export function gateOf(hidden: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: experts }, (_, e) => e).sort((a, b) => (hidden[b] as number) - (hidden[a] as number)).slice(0, kept);
  const gate = new Float64Array(experts);
  let sum = 0;
  for (const e of order) sum += gate[e] = Math.exp((hidden[e] as number) - (hidden[order[0] as number] as number));
  return gate.map((each) => each / sum);
}

function softmax(scores: ArrayLike<number>, over: number): Float64Array {
  let greatest = -Infinity;
  for (let i = 0; i < scores.length; i++) greatest = Math.max(greatest, scores[i] as number);
  const powers = Float64Array.from(scores, (each) => Math.exp((each - greatest) / over));
  const sum = powers.reduce((total, each) => total + each, 0);
  return powers.map((each) => each / sum);
}

/** Slope of the loss with respect to each member's score. */
function slope(kind: Kind, scores: Float64Array, quality: Float64Array): Float64Array {
  const width = scores.length;
  const slopes = new Float64Array(width);
  if (kind === 'factorisation') {
    for (let a = 0; a < width; a++) {
      for (let b = 0; b < width; b++) {
        const lead = (quality[a] as number) - (quality[b] as number);
        if (lead <= 0) continue;
        const surprise = lead / (1 + Math.exp((scores[a] as number) - (scores[b] as number)));
        slopes[a] = (slopes[a] as number) - surprise;
        slopes[b] = (slopes[b] as number) + surprise;
      }
    }
    return slopes;
  }
  if (kind === 'sparse-gate') return slopes.map((_, m) => (scores[m] as number) - (quality[m] as number));
  const spread = Math.max(...quality) - Math.min(...quality);
  if (spread === 0) return slopes;
  const target = softmax(quality, kind === 'contrastive' ? 0.02 : temperature);
  const given = softmax(scores, kind === 'contrastive' ? temperature : 1);
  return slopes.map((_, m) => (given[m] as number) - (target[m] as number));
}

/** Fits by Adagrad, a fixed number of rounds over the rows in shuffled order. @param embedderName default the projection, which measured better with thousands of rows (docs/embedder.md) */
export function fitEmbedded(kind: Kind, lesson: Lesson, rounds = 12, embedderName: EmbedderName = 'projection'): Predictor {
  const random = seededRandom(lesson.seed);
  const embedder = embedderNamed(embedderName);
  const width = embedder.size + 1;
  const members = lesson.members.length;
  const vectors = lesson.prompts.map((prompt) => embedded(embedder, prompt, new Float64Array(width)));
  const small = (n: number, size: number): Float64Array => Float64Array.from({ length: n }, () => (random.next() - 0.5) * size);
  const trained = new Trained(kind, width, members, small(outputs(kind, members) * width, 0.1), small(members * (factors + 1), 0.6));
  const order = [...vectors.keys()];
  for (let round = 0; round < rounds; round++) {
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random.next() * (i + 1));
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    for (const row of order) trained.learn(vectors[row] as Float64Array, lesson.quality.subarray(row * members, (row + 1) * members));
  }
  return new EmbeddedPredictor({ kind, members: lesson.members, settings: { embedder: embedder.id }, arrays: { map: Float32Array.from(trained.map), vectors: Float32Array.from(trained.vectors) } });
}

class Trained {
  readonly map: Float64Array;
  readonly vectors: Float64Array;
  readonly #kind: Kind;
  readonly #width: number;
  readonly #mapSquares: Float64Array;
  readonly #vectorSquares: Float64Array;
  readonly #hidden: Float64Array;
  readonly #scores: Float64Array;

  constructor(kind: Kind, width: number, members: number, map: Float64Array, vectors: Float64Array) {
    this.#kind = kind;
    this.#width = width;
    this.map = map;
    this.vectors = vectors;
    this.#mapSquares = new Float64Array(map.length).fill(1);
    this.#vectorSquares = new Float64Array(vectors.length).fill(1);
    this.#hidden = new Float64Array(map.length / width);
    this.#scores = new Float64Array(members);
  }

  learn(x: Float64Array, quality: Float64Array): void {
    const hidden = this.#hidden;
    multiply(this.map, x, hidden);
    output(this.#kind, hidden, this.vectors, this.#scores);
    const slopes = slope(this.#kind, this.#scores, quality);
    if (slopes.every((each) => each === 0)) return;
    const hiddenSlopes = this.#kind === 'sparse-gate' ? this.#throughGate(slopes) : this.#throughVectors(slopes);
    for (let row = 0; row < hidden.length; row++) {
      const s = hiddenSlopes[row] as number;
      if (s === 0) continue;
      for (let k = 0, at = row * this.#width; k < this.#width; k++) move(this.map, this.#mapSquares, at + k, s * (x[k] as number), 0.05);
    }
  }

  #throughVectors(slopes: Float64Array): Float64Array {
    const back = new Float64Array(factors);
    const hidden = this.#hidden;
    const cosine = this.#kind === 'contrastive';
    const length = cosine ? norm(hidden, 0, factors) : 1;
    slopes.forEach((s, m) => {
      const from = m * (factors + 1);
      const own = cosine ? norm(this.vectors, from, factors) : 1;
      const score = this.#scores[m] as number;
      for (let k = 0; k < factors; k++) {
        const [v, h] = [this.vectors[from + k] as number, hidden[k] as number];
        const toHidden = cosine ? (v / own - (score * h) / length) / length : v;
        const toVector = cosine ? (h / length - (score * v) / own) / own : h;
        back[k] = (back[k] as number) + s * toHidden;
        move(this.vectors, this.#vectorSquares, from + k, s * toVector, 0.05);
      }
      if (!cosine) move(this.vectors, this.#vectorSquares, from + factors, s, 0.05);
    });
    return back;
  }

  #throughGate(slopes: Float64Array): Float64Array {
    const members = slopes.length;
    const gate = gateOf(this.#hidden);
    const back = new Float64Array(this.#hidden.length);
    for (let e = 0; e < experts; e++) {
      const g = gate[e] as number;
      if (g === 0) continue;
      for (let m = 0; m < members; m++) {
        const [s, predicted] = [slopes[m] as number, this.#hidden[experts + e * members + m] as number];
        back[experts + e * members + m] = s * g;
        back[e] = (back[e] as number) + s * g * (predicted - (this.#scores[m] as number));
      }
    }
    return back;
  }
}

function move(values: Float64Array, squares: Float64Array, at: number, gradient: number, rate: number): void {
  const sum = (squares[at] as number) + gradient * gradient;
  squares[at] = sum;
  values[at] = (values[at] as number) * 0.99999 - (rate * gradient) / Math.sqrt(sum);
}

/** Restores a predictor of this file. */
export function loadEmbedded(saved: SavedPredictor): Predictor {
  return new EmbeddedPredictor(saved);
}

/** The learners of this file. */
export const embeddedLearners: readonly Learner[] = [
  { kind: 'factorisation', summary: 'which member is preferred, as the product of two small vectors', rows: [32], fit: (lesson) => fitEmbedded('factorisation', lesson) },
  { kind: 'reward-distilled', summary: 'the distribution of rewards over the members', rows: [34], fit: (lesson) => fitEmbedded('reward-distilled', lesson) },
  { kind: 'contrastive', summary: 'one vector a member, near to the prompts that it answers best', rows: [35], fit: (lesson) => fitEmbedded('contrastive', lesson) },
  { kind: 'sparse-gate', summary: 'a sparse gate over experts with weighted fusion', rows: [10], fit: (lesson) => fitEmbedded('sparse-gate', lesson) },
];
