/**
 * Route: the request's features decide, before anything is generated, whether the small or the large model answers. The
 * score is transparent (`assign/difficulty.ts`); every input stands in the trace.
 *
 * A trained router (`assign/trained.ts`) scores with a probability, and its card can promise a threshold for a greatest loss. The
 * trace then shows the set that the promise rests on, when it was made, when it expires, and, for another set (knob `set`), the
 * test on labelled rows of that set that allows it there; without such a test the large model answers.
 *
 * A router trained on several members can choose among all of them (knob `choose`, `route-members.ts`): by utility under the
 * live state, the cheapest that is good enough, or a gate whose experts' answers are weighed.
 *
 * The objective of the policy moves the threshold: `quality` lowers it by 0.2, `cost` and `latency` raise it by 0.2. A prompt
 * that does not fit in the small model's context goes to the large one. If the chosen member fails before anything was
 * streamed, the other answers (knob `fallback`).
 */
import { z } from 'zod';
import { difficulty } from '../assign/difficulty.ts';
import type { Router } from '../assign/router.ts';
import { TandemError } from '../errors.ts';
import type { Part, Policy, Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import { ask } from './ask.ts';
import { mayMoveOn } from './member-order.ts';
import { promptTokensOf } from './prompt-size.ts';
import type { Need, Recipe, RecipeContext } from './recipe.ts';

const knobs = z.strictObject({
  router: z.string().max(64).default('difficulty').describe('How the request is scored: "difficulty", or a name under "routers" in the configuration (a file by `tandem train router`).'),
  lossMax: z.number().min(0).max(1).optional().describe('Trained routers only, instead of the threshold: greatest loss of quality against always asking the large model, 0.01 is one point of a hundred. The threshold is the one that the router promises it for; without a standing promise the large model answers.'),
  set: z.string().max(128).optional().describe('With lossMax: name of the data that the requests are like, when it is not the router\'s own; the promise holds there only after a test (tandem train router --transfer).'),
  choose: z.enum(['pair', 'utility', 'adequate', 'gate']).default('pair').describe('Among whom: pair (small or large), or all members that the trained router knows: utility (greatest), adequate (the cheapest within `gap` of the best), gate (asks the `kept` best and weighs their answers).'),
  worth: z.strictObject({ usd: z.number().min(0).default(10), second: z.number().min(0).default(0.01), joule: z.number().min(0).default(0) }).prefault({}).describe('Quality, 0 to 1, that a dollar, a second and a joule of this device are worth; a joule is the dearer the emptier the battery.'),
  gap: z.number().min(0).max(1).default(0.05).describe('Loss of expected quality, 0 to 1, that choose=adequate accepts.'),
  kept: z.number().int().min(1).max(8).default(2).describe('Experts that choose=gate asks, 1 to 8.'),
  state: z.strictObject({ queue: z.record(z.string(), z.number().min(0)).optional(), linkMbps: z.number().min(0).optional(), linkRttMs: z.number().min(0).optional(), batteryShare: z.number().min(0).max(1).optional() }).prefault({}).describe('What the caller knows of this moment: requests waiting by member, megabits a second (0: no link) and round trip in milliseconds to the cloud, charge of the battery 0 to 1. It goes before what this process sees itself.'),
  live: z.boolean().default(true).describe('Whether what this process sees of the moment counts among members: calls under way on this device, recent times and failures, the price of a dollar under a cap, the battery (Linux).'),
  threshold: z.number().min(0).max(1).default(0.5).describe('Score, 0 to 1, from which the large model answers; 0 sends everything to it, 1 almost nothing.'),
  fallback: z.boolean().default(true).describe('When the chosen member fails before it has begun, ask the other one.'),
});

type Knobs = z.infer<typeof knobs>;

/** Scores requests, and knows which threshold keeps which promise. */
export interface RouteRouter extends Router {
  /** The promise that stands at a time for a greatest loss; undefined when there is none. */
  readonly promise?: (lossMax: number, now: number, set?: string) => Promised | undefined;
}

/** What the trace shows of a promise. */
export interface Promised {
  readonly threshold: number;
  readonly lossMax: number;
  readonly confidence: number;
  readonly rows: number;
  /** Name of the data that it rests on. */
  readonly set: string;
  readonly madeAt: string;
  readonly expiresAt: string;
  /** The test that allows it on another set. */
  readonly transfer?: { readonly set: string; readonly rows: number; readonly lossSeen: number; readonly distance: number; readonly sameScores: boolean } | undefined;
}

const shifts: Readonly<Record<Policy['objective'], number>> = { quality: -0.2, balanced: 0, private: 0, cost: 0.2, latency: 0.2 };

/** `tandem/route` with trained routers beside the transparent one. @param trained by the names of the configuration */
export function routeWith(trained: ReadonlyMap<string, RouteRouter> = new Map()): Recipe<Knobs> {
  const routers = new Map<string, RouteRouter>([...trained, [difficulty.id, difficulty]]);
  const known = knobs.extend({ router: knobs.shape.router.refine((name) => routers.has(name), { error: `There is no such router; there are: ${[...routers.keys()].join(', ')}` }) });
  return { ...description, knobs: known, run: (prompt, context) => run(prompt, context, routers) };
}

const pairNeeds: Need[] = [
  { role: 'small', levels: ['L0'] },
  { role: 'large', levels: ['L0'] },
];

const description = {
  id: 'route',
  summary: 'Features of the request decide whether the small or the large model answers, before either is asked.',
  sources: [
    { title: 'Hybrid LLM: Cost-Efficient and Quality-Aware Query Routing', ref: 'arXiv:2404.14618' },
    { title: 'RouteLLM: Learning to Route LLMs with Preference Data', ref: 'arXiv:2406.18665' },
    { title: 'Zooter: Routing to the Expert', ref: 'arXiv:2311.08692' },
    { title: 'RouterDC: Query-Based Router by Dual Contrastive Learning', ref: 'arXiv:2409.19886' },
    { title: 'LLM Bandit: Cost-Efficient LLM Generation via Preference-Conditioned Dynamic Routing', ref: 'arXiv:2502.02743' },
    { title: 'Smoothie: Label Free Language Model Routing', ref: 'arXiv:2412.04692' },
    { title: 'Confident or Seek Stronger: Exploring Uncertainty-Based On-device LLM Routing From Benchmarking to Generalization', ref: 'arXiv:2502.04428' },
  ],
  rows: [10, 32, 33, 34, 35, 36, 38, 39, 40, 42, 53, 67, 264, 271, 278],
  primitives: ['P01', 'P02', 'P09'],
  needs: pairNeeds,
  needsWith: ({ choose }: Knobs): Need[] => (choose === 'pair' ? pairNeeds : []),
  carries: { tools: true, formats: true, logprobs: true, attachments: true },
} satisfies Omit<Recipe<Knobs>, 'knobs' | 'run'>;

/** `tandem/route`. */
export const route: Recipe<Knobs> = routeWith();

function promiseInputs({ lossMax, confidence, rows, set, madeAt, expiresAt, transfer }: Promised): Record<string, string | number | boolean> {
  const moved = transfer === undefined ? {} : { transferSet: transfer.set, transferRows: transfer.rows, transferLoss: transfer.lossSeen, transferDistance: transfer.distance, transferSameScores: transfer.sameScores };
  return { lossMax, confidence, promiseSet: set, promiseRows: rows, promiseMade: madeAt, promiseExpires: expiresAt, ...moved };
}

async function* run(prompt: Veiled, context: RecipeContext<Knobs>, routers: ReadonlyMap<string, RouteRouter>): AsyncGenerator<Part> {
  if (context.knobs.choose !== 'pair') {
    const { runMembers } = await import('./route-members.ts');
    return yield* runMembers(prompt, context, routers.get(context.knobs.router) ?? difficulty);
  }
  const small = context.team.first('small');
  const large = context.team.first('large');
  const chosen = (await goesToLarge(prompt, small, context, routers)) ? large : small;
  let begun = false;
  try {
    for await (const part of ask(context, chosen, prompt, { replaceable: context.knobs.fallback })) {
      begun = true;
      yield part;
    }
  } catch (thrown) {
    const failure = TandemError.from(thrown);
    if (begun || !context.knobs.fallback || !mayMoveOn(failure)) throw failure;
    const other = chosen === large ? small : large;
    context.span.decide('route.fallback', other.id, 'The chosen member failed before it had begun.', { failure: failure.code });
    yield* ask(context, other, prompt);
  }
}

async function goesToLarge(prompt: Veiled, small: AnyMember, context: RecipeContext<Knobs>, routers: ReadonlyMap<string, RouteRouter>): Promise<boolean> {
  const { knobs: { router, threshold, lossMax, set }, sampling, policy, span, team, clock } = context;
  const large = team.first('large').id;
  const contextTokensMax = small.model.abilities.contextTokensMax ?? Infinity;
  const promptTokens = Math.ceil(promptTokensOf(prompt.raw, sampling) * 0.75);
  if (promptTokens > contextTokensMax) {
    span.decide('route', large, 'The prompt does not fit in the context of the small member.', { promptTokens, contextTokensMax });
    return true;
  }
  const chosen: RouteRouter = routers.get(router) ?? difficulty;
  const { score, inputs } = await chosen.estimate({ prompt: prompt.raw, sampling });
  const promised = lossMax === undefined ? undefined : chosen.promise?.(lossMax, clock.wallMs(), set);
  if (lossMax !== undefined && promised === undefined) {
    span.decide('route', large, 'No promise of the router stands for the loss that is allowed.', { router, score, lossMax, ...(set === undefined ? {} : { set }), ...inputs });
    return true;
  }
  const level = promised?.threshold ?? (threshold <= 0 || threshold >= 1 ? threshold : Math.min(0.99, Math.max(0.01, threshold + shifts[policy.objective])));
  const toLarge = score >= level;
  const promise = promised === undefined ? {} : promiseInputs(promised);
  span.decide('route', team.first(toLarge ? 'large' : 'small').id, toLarge ? 'The score reaches the threshold.' : 'The score is below the threshold.', { router, score, threshold: level, objective: policy.objective, ...promise, ...inputs });
  return toLarge;
}
