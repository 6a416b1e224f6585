/**
 * Speculate: the small model drafts a few tokens, the large one checks them in one pass. The output law is exactly the
 * large model's (greedy output token for token), only sooner. The work is done by the token program `speculate`
 * (`decoding/speculate.ts`) beside the models; this file prepares it, keeps its books and refuses pairs that do not fit.
 * The program stops drafting where the draft model becomes unsure and learns how many tokens pay off.
 */
import { z } from 'zod';
import type { AnswerEvent, SpeculateArgs } from '../decoding/index.ts';
import { fail } from '../errors.ts';
import { veilSampling, type Sampling, type Veiled } from '../exchange.ts';
import type { Call, ModelPart } from '../models/port.ts';
import type { AnyMember } from '../models/team.ts';
import { CallStream } from './call.ts';
import { paired, type Recipe, type RecipeContext } from './recipe.ts';

const knobs = z.strictObject({
  draftTokensMax: z.number().int().min(1).max(32).default(24).describe('Tokens drafted at most before each check, 1 to 32.'),
  confidenceMin: z.number().min(0).max(1).default(0.6).describe('Draft only where the draft model gives its likeliest token at least this probability, 0 to 1, and further tokens while all of a draft together are one half likely; 0 drafts always.'),
});

type Knobs = z.infer<typeof knobs>;
type Context = RecipeContext<Knobs>;

/** `tandem/speculate`. */
export const speculate: Recipe<Knobs> = {
  id: 'speculate',
  summary: 'The small model drafts, the large one verifies: exactly the large model\'s answers, sooner.',
  sources: [
    { title: 'Fast Inference from Transformers via Speculative Decoding', ref: 'arXiv:2211.17192' },
    { title: 'Accelerating Large Language Model Decoding with Speculative Sampling', ref: 'arXiv:2302.01318' },
    { title: 'Dynamic Speculation Lookahead Accelerates Speculative Decoding of Large Language Models', ref: 'arXiv:2405.04304' },
  ],
  rows: [91, 107],
  primitives: ['P05'],
  needs: [
    { role: 'small', levels: ['L3'], pairedWith: 'large' },
    { role: 'large', levels: ['L3'] },
  ],
  knobs,
  carries: { tools: false, formats: true, logprobs: true, attachments: false },
  run,
};

function run(prompt: Veiled, context: Context): CallStream {
  const target = context.team.first('large');
  const drafter = context.team.inRole('draft').find((member) => paired(member, target)) ?? context.team.first('small');
  const { model } = target;
  const view = model.place === 'cloud' ? prompt.masked : prompt.raw;
  return new CallStream(context, {
    member: target,
    sampling: context.sampling,
    signal: context.signal,
    purpose: 'verify',
    inPieces: true,
    replaceable: false,
    promptTokens: () => context.budget.promptTokens(target, view, context.sampling),
    reserve: () => context.budget.reserve(target, view, context.sampling),
    start: (sampling, call) => drafted(prompt, target, drafter, sampling, call, context),
  });
}

async function* drafted(prompt: Veiled, target: AnyMember, drafter: AnyMember, sampling: Sampling, call: Call, context: Context): AsyncGenerator<ModelPart> {
  const { host } = target.model;
  if (host === undefined || !paired(target, drafter)) fail('recipe_unavailable', { message: `"${drafter.id}" and "${target.id}" do not share engine and vocabulary.`, member: target.id });
  const { draftTokensMax, confidenceMin } = context.knobs;
  const args: SpeculateArgs = { ...(await answerArgs(prompt, target, sampling, call.signal)), draft: { tokensMax: draftTokensMax, confidenceMin } };
  if (call.traffic !== undefined) call.traffic.work = 'seen';
  const startedMs = context.clock.monotonicMs();
  const span = context.span.child(`call ${drafter.id}`, 'call', { member: drafter.id, place: drafter.model.place, model: drafter.modelName });
  span.set({ purpose: 'draft' });
  const seed = sampling.seed ?? Math.floor(context.random.next() * 2 ** 31);
  try {
    const held = args.prompt.length + args.tokensMax;
    const run = { program: 'speculate', roles: { draft: drafter.id, target: target.id }, args, seed, cells: { draft: held, target: held }, signal: call.signal };
    for await (const event of host.run<SpeculateArgs, AnswerEvent>(run)) {
      if (event.type === 'text') yield event;
      else {
        account(event, drafter, context, span, call, startedMs);
        yield { type: 'finish', reason: event.reason, usage: { promptTokens: event.promptTokens, cachedPromptTokens: event.cachedPromptTokens, completionTokens: event.completionTokens }, bytesUp: 0, bytesDown: 0 };
      }
    }
  } finally {
    span.end();
  }
}

function account(event: Extract<AnswerEvent, { type: 'finish' }>, drafter: AnyMember, context: Context, span: Context['span'], call: Call, startedMs: number): void {
  const { meter, clock, budget, span: recipe } = context;
  const { draftedTokens = 0, acceptedTokens = 0, rounds = 0, promptTokens, cachedPromptTokens } = event;
  const facts = { member: drafter, usage: { promptTokens, cachedPromptTokens, completionTokens: draftedTokens }, bytesUp: 0, bytesDown: 0, elapsedMs: clock.monotonicMs() - startedMs };
  // the machine's counter is read by the target's call, which lasts as long; counting it here would count it twice
  const used = meter.measure(facts, { joules: undefined });
  span.use(used);
  budget.settle({ costUsd: 0 }, used.costUsd);
  const figures = { drafted: draftedTokens, accepted: acceptedTokens, rounds };
  recipe.set(figures);
  call.note?.('speculate', figures);
}

async function answerArgs(prompt: Veiled, { model, id }: AnyMember, sampling: Sampling, signal: AbortSignal): Promise<SpeculateArgs> {
  const args = model.place === 'cloud' ? model.answerArgs?.({ sampling: veilSampling(sampling, prompt.veil), prompt: prompt.masked }, signal) : model.answerArgs?.({ sampling, prompt: prompt.raw }, signal);
  return (await args) ?? fail('ability_missing', { message: `The engine of "${id}" cannot prepare a prompt for a token program.`, member: id });
}
