/**
 * The acceptance tests of a cascade: ask a tier, score its answer from 0 to 1, accept when the score reaches the
 * threshold. An answer without the form that the request asks for (valid JSON, valid tool calls, not empty) is never
 * accepted, whatever the test.
 */
import { calibrated, type Calibration } from '../assign/calibration.ts';
import { alternativesWanted, confidence, probabilityOf, type ConfidenceStatistic } from '../assign/confidence.ts';
import { essence, groups } from '../assign/agreement.ts';
import type { LoadedScorer } from '../assign/cascade/files.ts';
import { beliefAfter, doubleThreshold, singleThreshold, solveVerifier, type VerifierAction, type VerifierModel } from '../assign/cascade/verifier.ts';
import { formFault } from '../assign/form.ts';
import { promptText } from '../assign/prompt-text.ts';
import { fail, TandemError } from '../errors.ts';
import type { Sampling, Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import { ask, askWhole, collect, stoppable, type View, type Whole } from './ask.ts';
import { mayMoveOn } from './member-order.ts';
import type { RecipeContext } from './recipe.ts';
import { adding, followedBy } from './view.ts';

/** The tests, and the threshold of each when none is given. What a score means stands in `docs/recipes.md` and below. */
export const defaultThresholds = {
  /** Geometric mean of the probabilities of the answer's tokens. */
  'mean-probability': 0.8,
  /** Probability of its least probable token. Stops asking as soon as one falls below. */
  'min-probability': 0.3,
  /** Probability that only the share `quantile` of its tokens falls below. */
  'quantile-probability': 0.5,
  /** Mean distance between the two most probable tokens. */
  margin: 0.6,
  /** exp(-mean entropy in nats): 1 is certain, 1/k is undecided between k tokens. */
  entropy: 0.6,
  /** Share of `samples` answers of one member that agree with the chosen one. */
  'self-consistency': 0.6,
  /** Share of the tier's members whose answers agree with the chosen one. */
  consensus: 0.6,
  /** Share of `samples` verdicts of the same member that call its answer right. */
  'self-verification': 0.6,
  /** Belief that the answer is right after up to `samples` verdicts of a verifier whose errors are known (knob `verifier`). */
  verifier: 0.5,
  /** Probability that the answer is right, by a scorer of (request, answer) that was trained (knob `scorer`). */
  learned: 0.5,
  /** 1 when the answer begins with one of `labels`, else 0. */
  label: 1,
  /** 1 when the answer has the form that the request asks for, else 0. */
  schema: 1,
} as const;

/** A test of `defaultThresholds`. */
export type AcceptanceTest = keyof typeof defaultThresholds;

/** Settings of a test. */
export interface AcceptanceKnobs {
  readonly test: AcceptanceTest;
  readonly threshold?: number | undefined;
  readonly quantile: number;
  readonly samples: number;
  readonly temperature: number;
  readonly styles: readonly ('direct' | 'steps')[];
  readonly labels: readonly string[];
  readonly calibration?: Calibration | undefined;
  /** Weight of the estimate that was made before the tier was asked, 0 to 1. */
  readonly priorWeight: number;
  readonly onLastFailure?: 'answer' | 'error';
  readonly verifier?: VerifierKnob | undefined;
}

/** How often the verifier says yes, and the rule by which its verdicts decide (`assign/cascade/verifier.ts`). */
export interface VerifierKnob extends VerifierModel {
  readonly rule: 'threshold' | 'double' | 'pomdp';
  readonly sureFrom: number;
  readonly doubtTo: number;
  readonly escalated: number;
  readonly escalateCost: number;
  readonly verifyCost: number;
}

/** What was trained for a test. */
export interface TrainedTests {
  readonly scorer?: LoadedScorer | undefined;
}

/** What a tier gave. */
export interface Verdict {
  readonly accepted: boolean;
  readonly score: number;
  readonly threshold: number;
  /** One sentence. */
  readonly because: string;
  /** The answer that stands for the tier. */
  readonly chosen: Whole | undefined;
  /** All answers of the tier. */
  readonly candidates: readonly Whole[];
  /** Why the chosen answer lacks the form that the request asks for; absent when it has it, or was not read to its end. */
  readonly fault?: string;
}

interface Scored {
  readonly chosen: Whole | undefined;
  readonly candidates: readonly Whole[];
  readonly score: number;
  readonly because: string;
  /** The test decides itself, whatever the threshold. */
  readonly decided?: boolean;
}

type Context = RecipeContext<AcceptanceKnobs>;

/**
 * Asks the members of a tier and judges the answer.
 * @param prior chance that the tier is good enough, estimated beforehand, 0 to 1
 * @throws {TandemError} as `ask`, when no member of the tier answered; ability_missing when a test needs sampling
 */
export async function attempt(context: Context, members: readonly AnyMember[], prompt: Veiled, prior: number, trained: TrainedTests = {}): Promise<Verdict> {
  const { test, threshold = defaultThresholds[test], calibration, priorWeight } = context.knobs;
  const { chosen, candidates, score: raw, because, decided } = await scored(context, members, prompt, threshold, trained);
  const posterior = calibration === undefined ? raw : calibrated(raw, calibration);
  const score = priorWeight === 0 ? posterior : (1 - priorWeight) * posterior + priorWeight * prior;
  const verdict = { threshold, chosen, candidates };
  if (chosen === undefined || !chosen.complete) return { ...verdict, accepted: false, score, because };
  const fault = await formFaultOf(chosen, prompt, context);
  if (fault !== undefined) return { ...verdict, accepted: false, score: 0, because: `Not acceptable in form: ${fault}.`, fault };
  if (decided !== undefined) return { ...verdict, accepted: decided, score, because };
  const accepted = score >= threshold;
  return { ...verdict, accepted, score, because: `${because} ${accepted ? 'The score reaches the threshold.' : 'The score is below the threshold.'}` };
}

/** Why an answer lacks the form that the request asks for; undefined when it has it. */
export function formFaultOf(answer: Whole, { raw: { tools, toolChoice } }: Veiled, { sampling: { format } }: Pick<Context, 'sampling'>): Promise<string | undefined> {
  return formFault(answer, { ...(tools === undefined ? {} : { tools }), ...(toolChoice === undefined ? {} : { toolChoice }), ...(format === undefined ? {} : { format }) });
}

function scored(context: Context, members: readonly AnyMember[], prompt: Veiled, threshold: number, trained: TrainedTests): Promise<Scored> {
  const first = members[0] ?? fail('recipe_unavailable', 'A tier of the cascade has no member.');
  const { test } = context.knobs;
  switch (test) {
    case 'self-consistency':
      return bySamples(context, first, prompt);
    case 'consensus':
      return byMembers(context, members, prompt);
    case 'self-verification':
      return byItself(context, first, prompt);
    case 'verifier':
      return byVerifier(context, first, prompt, threshold);
    case 'learned':
      return byScorer(context, first, prompt, trained.scorer);
    case 'label':
    case 'schema':
      return byContent(context, first, prompt, test);
    default:
      return byConfidence(context, first, prompt, test, threshold);
  }
}

async function byConfidence(context: Context, member: AnyMember, prompt: Veiled, statistic: ConfidenceStatistic, threshold: number): Promise<Scored> {
  const { quantile, calibration, priorWeight } = context.knobs;
  const wanted = Math.min(member.model.abilities.topLogprobsMax, Math.max(context.sampling.topLogprobs ?? 0, alternativesWanted[statistic]));
  const hopeless = statistic === 'min-probability' && calibration === undefined && priorWeight === 0;
  const stream = ask(context, member, prompt, { sampling: { ...context.sampling, topLogprobs: wanted }, inPieces: hopeless });
  const chosen = await collect(member, stream, (part) => !hopeless || part.type !== 'text' || !(part.tokens ?? []).some((token) => (probabilityOf(token) ?? 1) < threshold));
  const score = confidence(statistic, chosen.tokens, quantile);
  if (!chosen.complete) return { chosen, candidates: [], score: score ?? 0, because: 'A token fell below the threshold; the rest was not waited for.' };
  if (score !== undefined) return { chosen, candidates: [chosen], score, because: `The ${statistic} of ${chosen.tokens.length} tokens was measured.` };
  const called = chosen.toolCalls.length > 0;
  return { chosen, candidates: [chosen], score: called ? 1 : 0, because: called ? 'A tool call carries no log-probabilities; its form alone is judged.' : 'No log-probabilities came with the answer.' };
}

async function bySamples(context: Context, member: AnyMember, prompt: Veiled): Promise<Scored> {
  const { samples, styles } = context.knobs;
  requireSampling(member, 'self-consistency');
  const candidates = await together(context, (signal) =>
    Array.from({ length: samples }, (_, n) => askWhole(context, member, styled(prompt, styles[n % styles.length]), { signal, ...(n === 0 ? {} : { sampling: varied(context, member) }) })),
  );
  return byAgreement(candidates, candidates.length, 'samples');
}

async function byMembers(context: Context, members: readonly AnyMember[], prompt: Veiled): Promise<Scored> {
  const outcomes = await Promise.allSettled(members.map((member) => askWhole(context, member, prompt)));
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? TandemError.from(outcome.reason) : []));
  const stop = failures.find((failure) => !mayMoveOn(failure)) ?? (failures.length === members.length ? failures[0] : undefined);
  if (stop !== undefined) throw stop;
  return byAgreement(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : [])), members.length, 'members');
}

function byAgreement(candidates: readonly Whole[], asked: number, who: string): Scored {
  const texts = candidates.map((each) => (each.toolCalls.length === 0 ? each.text : JSON.stringify(each.toolCalls.map(({ name, arguments: given }) => [name, given]))));
  const largest = groups(texts)[0];
  const size = largest?.members.length ?? 0;
  return { chosen: candidates[largest?.members[0] ?? 0], candidates, score: size / asked, because: `${size} of ${asked} ${who} agree.` };
}

async function byItself(context: Context, member: AnyMember, prompt: Veiled): Promise<Scored> {
  const { samples } = context.knobs;
  requireSampling(member, 'self-verification');
  const chosen = await askWhole(context, member, prompt);
  if (chosen.toolCalls.length > 0 || chosen.text.trim() === '') return { chosen, candidates: [chosen], score: chosen.toolCalls.length > 0 ? 1 : 0, because: 'There is no text to verify; the form alone is judged.' };
  const question = followedBy(prompt, chosen.text, verdictQuestion, prompt.veil);
  const verdicts = await together(context, (signal) => Array.from({ length: samples }, () => askWhole(context, member, question, { signal, purpose: 'verify', sampling: verdictSampling(context, member) })));
  const yes = verdicts.filter(({ text }) => saysYes(text)).length;
  return { chosen, candidates: [chosen], score: yes / samples, because: `${yes} of ${samples} verdicts call the answer right.` };
}

/** Asks for one verdict after another, until the rule is satisfied. */
async function byVerifier(context: Context, member: AnyMember, prompt: Veiled, threshold: number): Promise<Scored> {
  const { samples, verifier = fail('knob_invalid', { message: 'The test verifier needs the knob "verifier": how often the verifier says yes to right and to wrong answers.', param: 'tandem.knobs.verifier' }) } = context.knobs;
  requireSampling(member, 'verifier');
  const chosen = await askWhole(context, member, prompt);
  if (chosen.toolCalls.length > 0 || chosen.text.trim() === '') return { chosen, candidates: [chosen], score: chosen.toolCalls.length > 0 ? 1 : 0, because: 'There is no text to verify; the form alone is judged.' };
  const question = followedBy(prompt, chosen.text, verdictQuestion, prompt.veil);
  const rule = ruleOf(verifier, threshold, samples);
  let [yes, no] = [0, 0];
  let action = rule(yes, no);
  for (; action === 'verify'; action = rule(yes, no)) {
    const { text } = await askWhole(context, member, question, { purpose: 'verify', sampling: verdictSampling(context, member) });
    if (saysYes(text)) yes++;
    else no++;
  }
  const because = `${yes} of ${yes + no} verdicts call the answer right; by the rule ${verifier.rule} it is ${action === 'accept' ? 'accepted' : 'escalated'}.`;
  return { chosen, candidates: [chosen], score: beliefAfter(verifier, yes, no), because, decided: action === 'accept' };
}

function ruleOf(verifier: VerifierKnob, threshold: number, verdictsMax: number): (yes: number, no: number) => VerifierAction {
  const { rule, sureFrom, doubtTo } = verifier;
  if (rule === 'threshold') return singleThreshold(verifier, { acceptFrom: threshold, verdictsMax });
  if (rule === 'double') return doubleThreshold(verifier, { sureFrom, doubtTo, verdictsMax });
  const policy = solveVerifier(verifier, { ...verifier, verdictsMax });
  return (yes, no) => policy.action(yes, no);
}

async function byScorer(context: Context, member: AnyMember, prompt: Veiled, scorer: LoadedScorer | undefined): Promise<Scored> {
  if (scorer === undefined) return fail('knob_invalid', { message: 'The test learned needs the knob "scorer": a name under "cascades" in the configuration, whose file is a scorer.', param: 'tandem.knobs.scorer' });
  const chosen = await askWhole(context, member, prompt);
  if (chosen.toolCalls.length > 0) return { chosen, candidates: [chosen], score: 1, because: 'A tool call is not scored; its form alone is judged.' };
  const score = scorer.probability({ prompt: promptText(prompt.raw), answer: chosen.text, helpers: [] });
  return { chosen, candidates: [chosen], score, because: `The scorer of ${scorer.date}, trained on ${scorer.rows} answers of "${scorer.member}", read request and answer.` };
}

async function byContent(context: Context, member: AnyMember, prompt: Veiled, test: 'label' | 'schema'): Promise<Scored> {
  const chosen = await askWhole(context, member, prompt);
  if (test === 'schema') return { chosen, candidates: [chosen], score: 1, because: 'The answer has the form that was asked for.' };
  const answer = essence(chosen.text);
  const found = context.knobs.labels.some((label) => answer === essence(label) || answer.startsWith(`${essence(label)} `));
  return { chosen, candidates: [chosen], score: found ? 1 : 0, because: found ? 'The answer begins with an accepted label.' : 'The answer begins with no accepted label.' };
}

/** Runs calls side by side; when one fails, the others are stopped. */
async function together(context: Context, start: (signal: AbortSignal) => Promise<Whole>[]): Promise<Whole[]> {
  const own = stoppable(context.signal);
  try {
    return await Promise.all(start(own.signal));
  } finally {
    own.stop();
  }
}

const verdictQuestion = 'Is the answer above right and complete? Reply with one word, yes or no.';

function saysYes(verdict: string): boolean {
  return /^\W*(yes|true|correct|right)\b/i.test(verdict);
}

function requireSampling(member: AnyMember, test: AcceptanceTest): void {
  if (member.model.abilities.sampling.includes('temperature')) return;
  fail('ability_missing', { message: `The acceptance test "${test}" draws several answers, and "${member.id}" has no temperature.`, member: member.id, param: 'tandem.knobs.test' });
}

function varied({ sampling, knobs, random }: Context, member: AnyMember): Sampling {
  const { seed: _, ...rest } = sampling;
  const drawn = { ...rest, temperature: knobs.temperature };
  return member.model.abilities.sampling.includes('seed') ? { ...drawn, seed: Math.floor(random.next() * 2 ** 31) } : drawn;
}

function verdictSampling(context: Context, member: AnyMember): Sampling {
  const { temperature, seed } = varied(context, member);
  return { tokensMax: 5, ...(temperature === undefined ? {} : { temperature }), ...(seed === undefined ? {} : { seed }) };
}

function styled(prompt: Veiled, style: 'direct' | 'steps' | undefined): View {
  return style === 'steps' ? adding(prompt, 'Think step by step. End with a line that begins with "Answer:" and holds only the result.', prompt.veil) : prompt;
}
