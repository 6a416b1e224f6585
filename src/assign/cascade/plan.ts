/**
 * A trained cascade as a file: its arms, its policy, and a card that says what it rests on. JSON, a few kilobytes. The recipe
 * `cascade` runs it (knob `plan`); `tandem bench cascade --out` writes it.
 */
import { z } from 'zod';
import { fail } from '../../errors.ts';
import type { Arm } from './recorded.ts';
import type { Policy, Step } from './policy.ts';

const arm = z.strictObject({ member: z.string().min(1), samples: z.number().int().min(1).max(16) });

const step: z.ZodType<Step> = z.lazy(() =>
  z.discriminatedUnion('do', [
    z.strictObject({ do: z.literal('stop'), arm: z.number().int().min(0) }),
    z.strictObject({ do: z.literal('answer'), arm: z.number().int().min(0) }),
    z.strictObject({ do: z.literal('ask'), arm: z.number().int().min(0), edges: z.array(z.number()), next: z.array(step) }),
  ]),
);

const planSchema = z.strictObject({
  kind: z.literal('tandem-cascade'),
  version: z.literal(1),
  card: z.strictObject({
    /** ISO 8601 date. */
    date: z.string(),
    data: z.strictObject({ name: z.string(), rows: z.number() }),
    /** How it was found: `tiers`, `policy` or `samples`. */
    method: z.string(),
    /** Acceptance test whose scores it was optimised on. */
    test: z.string(),
    /** Mean cost a request that it was allowed, in the unit of the rows. */
    budget: z.number(),
    /** On rows that it was not optimised on; null where none were left. */
    heldOut: z.strictObject({ quality: z.number(), cost: z.number(), qualityLow: z.number(), qualityHigh: z.number() }).nullable(),
    /** What its threshold keeps, against always asking the last arm (assign/promise/promise.ts). It stands until it expires. */
    promise: z.strictObject({ lossMax: z.number(), confidence: z.number(), lossSeen: z.number(), smallShare: z.number(), rows: z.number(), madeAt: z.string(), expiresAt: z.string() }).optional(),
  }),
  arms: z.array(arm).min(1).max(32),
  policy: z.strictObject({ edges: z.array(z.number()), first: z.array(step).min(1) }),
});

/** What the file holds. */
export type CascadePlan = z.infer<typeof planSchema> & { readonly arms: readonly Arm[]; readonly policy: Policy };

/** The file's text. */
export function encodePlan(plan: CascadePlan): string {
  return `${JSON.stringify(plan)}\n`;
}

/** Reads a file's text. @throws {TandemError} router_file_invalid: no plan, another version, or steps that lead nowhere */
export function decodePlan(text: string): CascadePlan {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail('router_file_invalid', { message: 'The cascade file is not JSON.', cause });
  }
  const result = planSchema.safeParse(value);
  if (!result.success) return fail('router_file_invalid', `The cascade file is damaged or of another version: field ${result.error.issues[0]?.path.join('.') || '(file)'}.`);
  const { arms, policy } = result.data;
  if (policy.first.length !== policy.edges.length + 1) fail('router_file_invalid', 'The cascade file has no first step for some difficulty.');
  policy.first.forEach((first) => check(first, arms.length, []));
  return result.data;
}

/** Every arm exists, is asked once at most and before its answer is given; every branch has a step. */
function check(at: Step, arms: number, asked: readonly number[]): void {
  const known = asked.includes(at.arm);
  if (at.arm >= arms || known !== (at.do === 'stop')) fail('router_file_invalid', `A step of the cascade file cannot be taken: "${at.do}" with arm ${at.arm}.`);
  if (at.do !== 'ask') return;
  const bins = at.edges.length + 1;
  if (at.next.length !== bins && (asked.length === 0 || at.next.length !== 2 * bins)) fail('router_file_invalid', 'A step of the cascade file has too few branches.');
  for (const next of at.next) check(next, arms, [...asked, at.arm]);
}
