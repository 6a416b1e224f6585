/**
 * Cascade: the cheapest tier answers first; its answer is accepted, and only then streamed, or the next tier is asked.
 * The last tier's answer streams at once and is not judged.
 *
 * Every test gives a score from 0 to 1; an answer is accepted when its score reaches the threshold:
 *
 *   mean-probability      geometric mean of the probabilities of the answer's tokens
 *   min-probability       probability of the least probable token; stops asking as soon as one falls below
 *   quantile-probability  probability that only the share `quantile` of the tokens falls below
 *   margin                mean distance between the two most probable tokens
 *   entropy               exp(-mean entropy in nats): 1 is certain, 1/k is undecided between k tokens. Where the engine does not
 *                         see the whole law it is read off the reported alternatives, a bound that errs towards sureness
 *   self-consistency      share of `samples` answers of one member that say the same as the chosen one
 *   consensus             share of the tier's members whose answers say the same
 *   self-verification     share of `samples` verdicts in which the member calls its own answer right
 *   verifier              belief that the answer is right after up to `samples` verdicts of a verifier whose errors are known
 *                         (knob `verifier`); its rule decides: one threshold, two, or the optimal policy
 *   learned               probability of being right by a trained scorer of (request, answer) (knob `scorer`)
 *   label                 1 when the answer begins with one of `labels`
 *   schema                1 when the answer has the form that is asked for
 *
 * Whatever the test, an answer that lacks the form that the request asks for (JSON, schema, tool arguments) is escalated.
 * Schemas are checked in a process of their own; one that takes more than a second or too much memory counts as not satisfied.
 * A tool call carries no log-probabilities; confidence tests judge its form alone.
 *
 * An estimate made before generation (`assign/difficulty.ts`) can take part in the same rule: `priorWeight` mixes it into the
 * score, and a tier whose request is at least as hard as `jumpFrom` is passed over unasked. The i-th tier (from 0) is passed
 * over from 1 - (1 - jumpFrom) / (i + 1), so that the middle ones still get what is too hard for the first. (The mixture is
 * linear; a trained cascade follows the optimal rule on what was recorded.)
 *
 * A trained cascade (knob `plan`) takes the place of tiers, test and threshold: it chooses, at every step, to stop with any
 * answer it has, to ask the next arm, or to jump (`cascade-plan.ts`). A detector (knob `detector`) sends requests that look unlike
 * those that the first tiers were tried on straight to the last one, and tells when the stream as a whole has shifted.
 *
 * A task in stages (knob `stages`) is another use of the same means: the member and the number of samples of every stage are
 * chosen together under one budget (`cascade-stages.ts`).
 *
 * Faults. A tier that fails is escalated past. When the last tier fails before it has streamed anything, the best
 * rejected answer stands in (the trace and `explain` say so as `cascade.fallback`), or the error, by the knob
 * `onLastFailure`. An answer that lacks the form never stands in; one that was not read to its end is asked for once more.
 * No tier is reached that the policy forbids: it is not in the team.
 */
import { z } from 'zod';
import type { CascadeFile } from '../assign/cascade/files.ts';
import { difficultyOf } from '../assign/difficulty.ts';
import { featuresOf } from '../assign/features.ts';
import { promptText } from '../assign/prompt-text.ts';
import { ShiftWatch } from '../assign/risk/shift.ts';
import { TandemError } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import { attempt, defaultThresholds, type AcceptanceTest, type TrainedTests, type Verdict } from './acceptance.ts';
import { ask, replay, type View } from './ask.ts';
import { standIn } from './cascade-stand-in.ts';
import { mayMoveOn } from './member-order.ts';
import type { Need, Recipe, RecipeContext } from './recipe.ts';
import { adding, takesAddition } from './view.ts';

const tests = Object.keys(defaultThresholds) as [AcceptanceTest, ...AcceptanceTest[]];
const thresholds = tests.map((test) => `${test} ${defaultThresholds[test]}`).join(', ');

const share = z.number().min(0).max(1);
const verifierKnob = z.strictObject({
  rightYes: share,
  wrongYes: share,
  right: share,
  rule: z.enum(['threshold', 'double', 'pomdp']).default('pomdp'),
  sureFrom: share.default(0.9),
  doubtTo: share.default(0.4),
  escalated: share.default(0.95),
  escalateCost: share.default(0.1),
  verifyCost: share.default(0.005),
});

const knobs = z.strictObject({
  test: z.enum(tests).default('mean-probability').describe('Acceptance test of every tier but the last.'),
  threshold: z.number().min(0).max(1).optional().describe(`Score, 0 to 1, from which an answer is accepted. Default by test: ${thresholds}.`),
  tiers: z.array(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/)).min(2).max(8).default(['small', 'large']).describe('Roles, cheapest first, 2 to 8.'),
  quantile: z.number().min(0).max(1).default(0.1).describe('Share of tokens, 0 to 1, that may be less probable than the score of quantile-probability.'),
  samples: z.number().int().min(2).max(16).default(5).describe('Answers of self-consistency, or verdicts of self-verification, 2 to 16.'),
  temperature: z.number().min(0).max(2).default(0.7).describe('Temperature of those samples after the first, 0 to 2.'),
  styles: z.array(z.enum(['direct', 'steps'])).min(1).max(2).default(['direct']).describe('Ways of thinking that the samples of self-consistency take turns in.'),
  labels: z.array(z.string().min(1).max(64)).max(32).default([]).describe('Answers that the test label accepts; every other answer is escalated.'),
  calibration: z.strictObject({ slope: z.number(), intercept: z.number() }).optional().describe('Turns the score into a probability of being right: 1/(1+exp(-(slope*logit(score)+intercept))). From bench/cascade.ts.'),
  priorWeight: z.number().min(0).max(1).default(0).describe('Weight in the score, 0 to 1, of the estimate made before generation (1 - difficulty).'),
  jumpFrom: z.number().min(0).max(1).default(1).describe('Difficulty, 0 to 1, from which the first tier is passed over without being asked; 1 is never.'),
  plan: z.string().max(64).optional().describe('Trained cascade, by its name under "cascades" in the configuration (a file by `tandem bench cascade --out`); it decides instead of tiers, test and threshold.'),
  scorer: z.string().max(64).optional().describe('Scorer for the test learned, by its name under "cascades" in the configuration (a file by `tandem bench cascade --scorer`).'),
  detector: z.string().max(64).optional().describe('Detector of unusual requests, by its name under "cascades" in the configuration (a file by `tandem bench cascade --detector`); they go to the last tier at once.'),
  stages: z.string().max(64).optional().describe('Stages of a task, by their name under "cascades" in the configuration (a file by `tandem bench cascade --stage`): they are done one after another, each by the member and samples that the budget is best spent on, instead of tiers, test and threshold.'),
  budget: z.number().min(0).optional().describe('With stages: what all of them together may cost on one request, expected, in the unit of the file (dollars or milliseconds). Default: no limit.'),
  unusualTo: z.number().min(0).max(1).default(0.02).describe('Share of ordinary requests, 0 to 1, that the detector may take for unusual.'),
  verifier: verifierKnob.optional().describe('For the test verifier: chance of a yes to right (rightYes) and wrong (wrongYes) answers, share of right ones (right), rule (threshold, double, pomdp), bounds of double (sureFrom, doubtTo), stakes of pomdp in units of quality (escalated, escalateCost, verifyCost).'),
  pass: z.enum(['nothing', 'draft']).default('nothing').describe('What the next tier is told: nothing, or the rejected answers as drafts.'),
  onLastFailure: z.enum(['answer', 'error']).default('answer').describe('When the last tier fails before it has begun: give the best rejected answer, or the error.'),
});

type Knobs = z.infer<typeof knobs>;

const description = {
  id: 'cascade',
  summary: 'The small model answers; the answer is accepted by a test of confidence, agreement or form, or the large model is asked.',
  sources: [
    { title: 'Language Model Cascades: Token-level Uncertainty and Beyond', ref: 'arXiv:2404.10136' },
    { title: 'A Unified Approach to Routing and Cascading for LLMs', ref: 'arXiv:2410.10347' },
    { title: 'FrugalGPT: How to Use Large Language Models While Reducing Cost and Improving Performance', ref: 'arXiv:2305.05176' },
    { title: 'AutoMix: Automatically Mixing Language Models', ref: 'arXiv:2310.12963' },
    { title: 'BEST-Route: Adaptive LLM Routing with Test-Time Optimal Compute', ref: 'arXiv:2506.22716' },
    { title: 'AgentTTS: Large Language Model Agent for Test-time Compute-optimal Scaling Strategy in Complex Tasks', ref: 'arXiv:2508.00890' },
    { title: 'Large Language Model Cascades with Mixture of Thoughts Representations', ref: 'arXiv:2310.03094' },
    { title: 'ELM: Ensemble of Language Models for Predicting Tumor Group from Pathology Reports', ref: 'arXiv:2503.21800' },
    { title: 'Tabi: An Efficient Multi-Level Inference System for Large Language Models', ref: 'doi:10.1145/3552326.3587438' },
  ],
  rows: [28, 29, 30, 41, 43, 44, 136, 152, 153, 257, 259, 261, 262, 274],
  primitives: ['P01', 'P02', 'P03', 'P07', 'P09'],
  needs: needsOf('mean-probability', ['small', 'large']),
  needsWith: ({ test, tiers, plan, stages }: Knobs): Need[] => (plan === undefined && stages === undefined ? needsOf(test, tiers) : []),
  carries: { tools: true, formats: true, logprobs: true, attachments: true },
} satisfies Omit<Recipe<Knobs>, 'knobs' | 'run'>;

type Files = ReadonlyMap<string, CascadeFile>;

/** `tandem/cascade` with what was trained for it. @param files by the names of the configuration */
export function cascadeWith(files: Files = new Map()): Recipe<Knobs> {
  const known = knobs.extend({ plan: named(knobs.shape.plan, files, 'plan'), scorer: named(knobs.shape.scorer, files, 'scorer'), detector: named(knobs.shape.detector, files, 'detector'), stages: named(knobs.shape.stages, files, 'stages') });
  const watches = new Map<string, ShiftWatch>([...files].flatMap(([name, { type }]) => (type === 'detector' ? [[name, new ShiftWatch()]] : [])));
  return { ...description, knobs: known, run: (prompt, context) => run(prompt, context, files, watches) };
}

function named<T extends z.ZodType<string | undefined>>(schema: T, files: Files, type: CascadeFile['type']): T {
  const names = [...files].filter(([, file]) => file.type === type).map(([name]) => name);
  return schema.refine((name) => name === undefined || names.includes(name), { error: `There is no such ${type} under "cascades" in the configuration; there are: ${names.join(', ') || 'none'}` });
}

/** `tandem/cascade`. */
export const cascade: Recipe<Knobs> = cascadeWith();

function needsOf(test: AcceptanceTest, tiers: readonly string[]): Need[] {
  const measured = ['mean-probability', 'min-probability', 'quantile-probability', 'margin', 'entropy'].includes(test);
  return tiers.map((role, index): Need => {
    if (index === tiers.length - 1) return { role, levels: ['L0'] };
    return { role, levels: measured ? ['L0', 'L1'] : ['L0'], ...(test === 'consensus' ? { membersMin: 2 } : {}) };
  });
}

async function* run(prompt: Veiled, context: RecipeContext<Knobs>, files: Files, watches: ReadonlyMap<string, ShiftWatch>): AsyncGenerator<Part> {
  const { tiers, pass, priorWeight, jumpFrom, plan: planName, stages: stagesName, test } = context.knobs;
  if (looksUnusual(prompt, context, files, watches)) return yield* last(prompt, prompt, context, []);
  const stages = stagesName === undefined ? undefined : files.get(stagesName);
  if (stages?.type === 'stages') {
    const { runStages } = await import('./cascade-stages.ts');
    return yield* runStages(prompt, context, stages.stages);
  }
  const plan = planName === undefined ? undefined : files.get(planName);
  const trained = trainedTests(context.knobs, files);
  if (plan?.type === 'plan') {
    const { runPlan } = await import('./cascade-plan.ts');
    return yield* runPlan(prompt, context, plan.plan, tests.find((each) => each === plan.plan.card.test) ?? test, trained);
  }
  const rejected: Verdict[] = [];
  const difficulty = priorWeight > 0 || jumpFrom < 1 ? difficultyOf(featuresOf(prompt.raw, context.sampling)) : 0;
  for (const [index, tier] of tiers.slice(0, -1).entries()) {
    if (jumpFrom < 1 && difficulty >= 1 - (1 - jumpFrom) / (index + 1)) {
      context.span.decide('cascade.jump', tier, 'The request is too hard for this tier; it is not asked.', { difficulty, jumpFrom });
      continue;
    }
    const verdict = await judged(tier, 1 - difficulty, pass === 'draft' ? { ...prompt, ...withDrafts(prompt, rejected) } : prompt, context, trained);
    if (verdict?.accepted === true && verdict.chosen !== undefined) return yield* replay(verdict.chosen, context.sampling.topLogprobs);
    if (verdict !== undefined) rejected.push(verdict);
  }
  yield* last(pass === 'draft' ? withDrafts(prompt, rejected) : prompt, prompt, context, rejected);
}

function trainedTests({ scorer }: Knobs, files: Files): TrainedTests {
  const file = scorer === undefined ? undefined : files.get(scorer);
  return file?.type === 'scorer' ? { scorer: file.scorer } : {};
}

/** Whether the detector takes the request for unusual. Every request is also a sign of whether the stream has shifted. */
function looksUnusual(prompt: Veiled, { knobs: { detector, unusualTo, tiers }, span }: RecipeContext<Knobs>, files: Files, watches: ReadonlyMap<string, ShiftWatch>): boolean {
  const file = detector === undefined ? undefined : files.get(detector);
  if (detector === undefined || file?.type !== 'detector') return false;
  const pValue = file.detector.pValue(promptText(prompt.raw));
  const shiftedAfter = watches.get(detector)?.observe(pValue);
  if (shiftedAfter !== undefined) span.event('cascade.shifted', { detector, after: shiftedAfter });
  const unusual = pValue <= unusualTo;
  if (unusual) span.decide('cascade.unusual', tiers.at(-1) ?? 'large', 'The request looks unlike those that the first tiers were tried on.', { detector, pValue, unusualTo });
  return unusual;
}

async function judged(tier: string, prior: number, prompt: Veiled, context: RecipeContext<Knobs>, trained: TrainedTests): Promise<Verdict | undefined> {
  const { span, team, knobs: { test } } = context;
  try {
    const verdict = await attempt({ ...context, replaceable: true }, team.inRole(tier), prompt, prior, trained);
    const { accepted, score, threshold, because, candidates } = verdict;
    span.decide('cascade.accept', accepted ? (verdict.chosen?.member.id ?? tier) : 'escalate', because, { tier, test, score, threshold, candidates: candidates.length });
    return verdict;
  } catch (thrown) {
    const failure = TandemError.from(thrown);
    if (!mayMoveOn(failure) || failure.code === 'ability_missing' || failure.code === 'knob_invalid') throw failure;
    span.decide('cascade.accept', 'escalate', 'The tier failed.', { tier, test, failure: failure.code });
    return undefined;
  }
}

/** The last tier, which is shown `view`; a rejected answer to `prompt` when it fails before it has begun. */
async function* last(view: View, prompt: Veiled, context: RecipeContext<Knobs>, rejected: readonly Verdict[]): AsyncGenerator<Part> {
  let begun = false;
  try {
    for await (const part of ask(context, context.team.first(context.knobs.tiers.at(-1) ?? 'large'), view)) {
      begun = true;
      yield part;
    }
  } catch (thrown) {
    const failure = TandemError.from(thrown);
    if (begun || !mayMoveOn(failure)) throw failure;
    yield* standIn(prompt, context, rejected, failure);
  }
}

function withDrafts(prompt: Veiled, rejected: readonly Verdict[]): View {
  const drafts = [...new Set(rejected.flatMap(({ candidates }) => candidates.map(({ text }) => text.trim())))].filter((text) => text !== '');
  if (drafts.length === 0 || !takesAddition(prompt)) return prompt;
  const listed = drafts.map((draft, index) => (drafts.length === 1 ? draft : `${index + 1}. ${draft}`)).join('\n');
  const from = drafts.length === 1 ? 'A smaller model proposed this answer, which may be wrong:' : 'Smaller models proposed these answers, which disagree and may be wrong:';
  return adding(prompt, `${from}\n${listed}\nGive the right answer in your own words.`, prompt.veil);
}
