/**
 * A trained router: a predictor, the pair of members that it decides between, the calibration that makes its score a
 * probability, its card, and the promises that its thresholds keep. Read from and written to one file of a few MB; see
 * `encode` for the format.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { fail } from '../errors.ts';
import type { Calibration } from './calibration.ts';
import { isotonic, type Steps } from './isotonic.ts';
import { promptText } from './prompt-text.ts';
import type { QualityPromise } from './promise/promise.ts';
import type { Estimate, Router, RouterInput } from './router.ts';
import { restore } from './routers/index.ts';
import type { Predictor, SavedArray, SavedPredictor } from './routers/learner.ts';
import { sessionText } from './session-text.ts';

const promiseSchema = z.object({ lossMax: z.number(), confidence: z.number(), threshold: z.number(), lossSeen: z.number(), smallShare: z.number(), rows: z.number(), madeAt: z.string(), expiresAt: z.string() });

const transferSchema = z.object({ set: z.string(), rows: z.number(), lossMax: z.number(), may: z.boolean(), lossSeen: z.number(), distance: z.number(), sameScores: z.boolean(), date: z.string() });

/** The outcome of a test whether a promise holds on another set of labelled rows. */
export type Transfer = z.infer<typeof transferSchema>;

const cardSchema = z.object({
  kind: z.string(),
  /** ISO 8601 date of training. */
  date: z.string(),
  /** Name of the training rows, how many, and the SHA-256 of their ids and qualities. */
  data: z.object({ name: z.string(), rows: z.number(), sha256: z.string() }),
  weak: z.string(),
  strong: z.string(),
  /** APGR on rows that were not trained on, with its 95 % interval. */
  metric: z.object({ name: z.literal('apgr'), value: z.number(), low: z.number(), high: z.number(), folds: z.number() }),
  /** Expected calibration error of the probability, out of fold. */
  calibrationError: z.number(),
  promises: z.array(promiseSchema),
  /** What of a request it reads: the user's last message, or that with marks of the session. */
  reads: z.enum(['last', 'session']).optional(),
  /** Mean quality, dollars and milliseconds of each member in the rows. */
  members: z.record(z.string(), z.object({ quality: z.number(), costUsd: z.number().optional(), latencyMs: z.number().optional() })).optional(),
  /** Tests whether a promise's threshold may be used on other data. */
  transfers: z.array(transferSchema).optional(),
});

/** What stands behind a router: data, metric with interval, date, promises. */
export type RouterCard = z.infer<typeof cardSchema>;

/** A router with everything that is known of it. */
export interface TrainedRouter {
  readonly card: RouterCard;
  readonly calibration: Scaled;
  readonly predictor: Predictor;
}

/** Expected quality of a member, and what the rows say it costs. */
export interface MemberEstimate {
  readonly member: string;
  /** 0 to 1. */
  readonly quality: number;
  readonly costUsd?: number | undefined;
  readonly latencyMs?: number | undefined;
}

/** Platt's calibration of a score that was scaled to mean 0 and deviation 1. */
export interface Scaled extends Calibration {
  readonly mean: number;
  readonly deviation: number;
  /** Isotonic steps over the scaled score; they take the place of slope and intercept. */
  readonly steps?: Steps | undefined;
  /** Calibration of each member's own estimate. */
  readonly members?: Readonly<Record<string, Scaled>> | undefined;
}

/** Probability that the strong member's answer is better than the weak one's. */
export function probabilityOf({ card, predictor, calibration }: TrainedRouter, prompt: string): number {
  const estimate = predictor.estimate(prompt);
  const gap = (estimate[predictor.members.indexOf(card.strong)] ?? 0) - (estimate[predictor.members.indexOf(card.weak)] ?? 0);
  return scaled(gap, calibration);
}

/** The probability that a raw score stands for. */
export function scaled(score: number, { mean, deviation, slope, intercept, steps }: Scaled): number {
  if (steps !== undefined) return isotonic((score - mean) / deviation, steps);
  return 1 / (1 + Math.exp(-((slope * (score - mean)) / deviation + intercept)));
}

/** Expected quality of every member, in the order of the predictor. */
export function estimatesOf({ card, predictor, calibration }: TrainedRouter, prompt: string): MemberEstimate[] {
  const found = predictor.estimate(prompt);
  return predictor.members.map((member, m) => {
    const own = calibration.members?.[member];
    const raw = found[m] as number;
    return { member, quality: own === undefined ? Math.min(1, Math.max(0, raw)) : scaled(raw, own), costUsd: card.members?.[member]?.costUsd, latencyMs: card.members?.[member]?.latencyMs };
  });
}

/**
 * The promise for a wish, on the set that it rests on or on another one. On another set it stands only when a test on labelled
 * rows of that set has shown that it may (row 42).
 * @param set name of the data that requests are like; undefined: those of the card
 */
export function promiseOn(card: RouterCard, lossMax: number, now: number, set?: string): (QualityPromise & { readonly set: string; readonly transfer?: Transfer }) | undefined {
  const promise = promiseOf(card, lossMax, now);
  if (promise === undefined || set === undefined || set === card.data.name) return promise === undefined ? undefined : { ...promise, set: card.data.name };
  const transfer = card.transfers?.find((each) => each.set === set && each.lossMax === promise.lossMax && each.may);
  return transfer === undefined ? undefined : { ...promise, set: card.data.name, transfer };
}

/** The text of a request that a router reads. */
export function readText({ reads }: RouterCard, prompt: RouterInput['prompt']): string {
  return reads === 'session' ? sessionText(prompt) : promptText(prompt);
}

/** The promise of a card that answers a wish: the same loss or a smaller one, and not expired. */
export function promiseOf({ promises }: RouterCard, lossMax: number, now: number): QualityPromise | undefined {
  return promises.filter((promise) => promise.lossMax <= lossMax + 1e-12 && now < Date.parse(promise.expiresAt)).sort((a, b) => b.lossMax - a.lossMax)[0];
}

/** As the recipes use it: score is the probability; the inputs name the card. */
export function asRouter(trained: TrainedRouter): Router {
  const { card } = trained;
  return {
    id: `trained:${card.kind}`,
    estimate({ prompt }: RouterInput): Estimate {
      const { value, low, high } = card.metric;
      return { score: probabilityOf(trained, readText(card, prompt)), inputs: { card: card.data.name, trained: card.date, rows: card.data.rows, apgr: value, apgrLow: low, apgrHigh: high, calibrationError: card.calibrationError } };
    },
    members: ({ prompt }: RouterInput) => estimatesOf(trained, readText(card, prompt)),
  };
}

const magic = 'TANDEMR1';
const types = { f32: Float32Array, i32: Int32Array, i16: Int16Array, i8: Int8Array, u8: Uint8Array } as const;
type TypeName = keyof typeof types;

interface SavedNode {
  readonly kind: SavedPredictor['kind'];
  readonly members: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly arrays: Readonly<Record<string, { readonly type: TypeName; readonly at: number; readonly length: number }>>;
  readonly parts: readonly SavedNode[];
}

/** The file: magic, length of the header, header (JSON), arrays at multiples of eight bytes. The header holds the SHA-256 of the arrays. */
export function encode({ card, calibration, predictor }: TrainedRouter): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const place = (array: SavedArray): { type: TypeName; at: number; length: number } => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const at = length;
    const padded = Math.ceil(bytes.length / 8) * 8;
    pieces.push(bytes, new Uint8Array(padded - bytes.length));
    length += padded;
    return { type: (Object.keys(types) as TypeName[]).find((name) => array instanceof types[name]) ?? 'u8', at, length: array.length };
  };
  const nodeOf = (saved: SavedPredictor): SavedNode => ({ kind: saved.kind, members: saved.members, settings: saved.settings, arrays: Object.fromEntries(Object.entries(saved.arrays).map(([name, array]) => [name, place(array)])), parts: (saved.parts ?? []).map(nodeOf) });
  const tree = nodeOf(predictor.save());
  const body = Buffer.concat(pieces);
  const header = Buffer.from(JSON.stringify({ card, calibration, tree, sha256: createHash('sha256').update(body).digest('hex') }));
  const padding = (8 - ((magic.length + 4 + header.length) % 8)) % 8;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length + padding);
  return Buffer.concat([Buffer.from(magic), size, header, Buffer.alloc(padding, 32), body]);
}

/**
 * Reads what `encode` wrote.
 * @throws {TandemError} router_file_invalid: another kind of file, a newer version, or damaged
 */
export function decode(given: Uint8Array): TrainedRouter {
  const bytes = given.byteOffset % 8 === 0 ? given : Uint8Array.from(given);
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < 12 || view.toString('latin1', 0, 8) !== magic) return fail('router_file_invalid', 'The file is no router file.');
  const bodyAt = 12 + view.readUInt32LE(8);
  if (bodyAt > view.length) return fail('router_file_invalid', 'The router file is cut off.');
  try {
    const header = JSON.parse(view.toString('utf8', 12, bodyAt)) as { card: unknown; calibration: Scaled; tree: SavedNode; sha256: string };
    const body = view.subarray(bodyAt);
    if (createHash('sha256').update(body).digest('hex') !== header.sha256) return fail('router_file_invalid', 'The router file is damaged: its checksum does not match.');
    return { card: cardSchema.parse(header.card), calibration: header.calibration, predictor: restore(savedOf(header.tree, body)) };
  } catch (cause) {
    return fail('router_file_invalid', { message: 'The router file could not be read; it is damaged or of another version.', cause });
  }
}

function savedOf(node: SavedNode, body: Buffer): SavedPredictor {
  const arrays = Object.fromEntries(Object.entries(node.arrays).map(([name, { type, at, length }]) => [name, new types[type](body.buffer as ArrayBuffer, body.byteOffset + at, length)]));
  return { kind: node.kind, members: node.members, settings: node.settings, arrays, parts: node.parts.map((part) => savedOf(part, body)) };
}
