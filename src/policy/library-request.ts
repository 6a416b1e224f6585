/**
 * Checks what code in this process hands in as policy and settings: what the gateway's own readers do for bodies. A field that is
 * spelt wrong must be refused, since a limit that is not understood would protect nothing.
 */
import { z } from 'zod';
import { pathText } from '../config.ts';
import { fail } from '../errors.ts';
import type { Limits, Policy, Received, Sampling } from '../exchange.ts';

/** A schema for every field of a type. */
type FieldsOf<T> = { readonly [K in keyof T]-?: z.ZodType };

const limits = z.strictObject({
  costUsdMax: z.number().min(0).optional(),
  totalMs: z.number().int().min(1).optional(),
  places: z.array(z.enum(['device', 'edge', 'cloud'])).min(1).optional(),
  members: z.array(z.string().min(1)).min(1).optional(),
} satisfies FieldsOf<Limits>);

const policySchema = z.strictObject({
  objective: z.enum(['quality', 'balanced', 'cost', 'latency', 'private']).optional(),
  privacyClass: z.enum(['open', 'standard', 'confidential']).optional(),
  limits: limits.optional(),
} satisfies FieldsOf<Policy>);

const schema = z.record(z.string(), z.unknown());
const format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json') }),
  z.strictObject({ type: z.literal('json-schema'), name: z.string(), schema, strict: z.boolean() }),
  z.strictObject({ type: z.literal('grammar'), gbnf: z.string().min(1) }),
]);

const samplingSchema = z.strictObject({
  tokensMax: z.number().int().min(1).optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: z.number().int().min(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  repetitionPenalty: z.number().gt(0).optional(),
  seed: z.number().int().optional(),
  logitBias: z.record(z.string(), z.number().min(-100).max(100)).optional(),
  stop: z.array(z.string().min(1)).optional(),
  topLogprobs: z.number().int().min(0).max(20).optional(),
  format: format.optional(),
  reasoningEffort: z.string().min(1).optional(),
} satisfies FieldsOf<Sampling>);

/** Checks policy and settings of a request from code. @throws {TandemError} parameter_unknown, parameter_invalid, naming the field */
export function checkLibraryRequest({ policy, sampling }: Pick<Received, 'policy' | 'sampling'>): void {
  check('policy', policySchema, policy);
  check('sampling', samplingSchema, sampling);
}

function check(name: string, expected: z.ZodType, given: object): void {
  for (const _ in given) return checkFields(name, expected, given);
}

function checkFields(name: string, expected: z.ZodType, given: object): void {
  const issue = expected.safeParse(given).error?.issues[0];
  if (issue === undefined) return;
  const path = pathText([name, ...issue.path]);
  if (issue.code === 'unrecognized_keys') {
    const field = `${path}.${(issue.keys[0] ?? '').slice(0, 64)}`;
    fail('parameter_unknown', { message: `${field}: there is no such field.`, param: field });
  }
  fail('parameter_invalid', { message: `${path}: ${issue.message}.`, param: path });
}
