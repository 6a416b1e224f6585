/**
 * The way of an embedding request: the stages of any request up to masking, then one call of a member that offers vectors, under the
 * request's limits and in the books like any other. A cloud member sees masked texts only.
 */
import { fail, TandemError } from './errors.ts';
import type { Policy, Received, Veiled } from './exchange.ts';
import type { Embedded, TokenUsage } from './models/port.ts';
import type { AnyMember, Team } from './models/team.ts';
import { offers } from './models/team.ts';
import { veil, type Journey, type Stages } from './pipeline.ts';
import { embedModelId } from './policy/resolve-model.ts';
import { askVectors } from './recipes/ask-vectors.ts';
import { Breakers } from './recipes/breakers.ts';
import { Budget, type SharedPurse } from './recipes/budget.ts';
import { watchTime } from './recipes/deadline.ts';
import { mayAnswer } from './recipes/kitchen.ts';
import { Live } from './recipes/live.ts';
import { Tally } from './recipes/tally.ts';
import { Aborter, offAbort, onAbort } from './system/abort.ts';
import type { Clock } from './system/clock.ts';
import { Deadlines } from './system/deadlines.ts';
import { reasonOf } from './system/waits.ts';
import type { Meter } from './trace/index.ts';

/** What is to be embedded. */
export interface EmbeddingRequest {
  /**
   * A member id; `tandem/embed` for the first member in the role `embed`, else the bundled table; another `tandem/…` id for
   * the first member that offers vectors.
   */
  readonly model: string;
  /** 1 to 2048 texts. */
  readonly texts: readonly string[];
  /** Keep only this many dimensions. */
  readonly dimensions?: number;
  readonly key: string | undefined;
  readonly user?: string;
}

/** Vectors, one a text. */
export interface EmbeddingAnswer {
  readonly member: string;
  readonly vectors: readonly Float32Array[];
  readonly usage: TokenUsage;
  readonly traceId: string;
  readonly costUsd: number;
}

/** What embedding is made of. */
export interface EmbeddingParts {
  readonly stages: Stages;
  readonly team: Team;
  readonly meter: Meter;
  readonly clock: Clock;
  /** What all requests together may still spend, where that is capped. */
  readonly purse?: SharedPurse;
}

/** Answers embedding requests. */
export class Embedding {
  readonly #parts: EmbeddingParts;
  readonly #breakers: Breakers;
  readonly #live: Live;
  readonly #deadlines: Deadlines;

  constructor(parts: EmbeddingParts) {
    this.#parts = parts;
    this.#breakers = new Breakers(parts.clock);
    this.#live = new Live(parts.clock);
    this.#deadlines = new Deadlines(parts.clock);
  }

  /**
   * Takes texts through the stages to a member's vectors.
   * @throws {TandemError} what the stages and the member throw; ability_missing, policy_violated, budget_exhausted, cost_unknown, deadline_exceeded, cancelled
   */
  async embed(request: EmbeddingRequest, journey: Journey): Promise<EmbeddingAnswer> {
    const { stages, team } = this.#parts;
    const { trace } = journey;
    const { veiled } = await veil(stages, receivedOf(request), journey);
    trace.hides(veiled.hidden);
    const { model, policy } = veiled.request;
    const member = model === embedModelId ? await anyEmbedder(team, policy) : embedderFor(team, model, policy);
    trace.runs('embed');
    const span = trace.root.child('embed', 'recipe');
    try {
      const { vectors, usage } = await this.#ask(member, veiled, request.dimensions, journey, span);
      span.end();
      return { member: member.id, vectors, usage, traceId: trace.id, costUsd: trace.usage().costUsd };
    } catch (error) {
      span.end(TandemError.from(error).code);
      throw error;
    }
  }

  async #ask(member: AnyMember, veiled: Veiled, dimensions: number | undefined, journey: Journey, span: Journey['trace']['root']): Promise<Embedded> {
    const { team, meter, clock, purse } = this.#parts;
    const { policy, sampling, keyPurse } = veiled.request;
    const run = new Aborter();
    const leave = (): void => run.abort(reasonOf(journey.signal));
    if (journey.signal.aborted) throw reasonOf(journey.signal);
    const unwatch = watchTime(policy.limits, journey, this.#deadlines, run);
    onAbort(journey.signal, leave);
    const books = { meter, budget: new Budget(policy.limits.costUsdMax, purse, keyPurse), breakers: this.#breakers, live: this.#live, tally: new Tally() };
    try {
      return await askVectors({ team, veil: veiled.veil, sampling, whole: true, answer: 0, span, signal: run.signal, clock, ...books }, member, veiled, dimensions);
    } finally {
      offAbort(journey.signal, leave);
      unwatch?.();
    }
  }
}

function receivedOf({ model, texts, key, user }: EmbeddingRequest): Received {
  return {
    surface: 'embeddings',
    model,
    prompt: { messages: texts.map((content) => ({ role: 'user' as const, content })) },
    sampling: { tokensMax: 1 },
    answers: 1,
    policy: {},
    knobs: {},
    explain: false,
    key,
    ...(user === undefined ? {} : { user }),
  };
}

/** The first member in the role `embed` that may be asked, else the bundled table, which every deployment has. */
async function anyEmbedder(team: Team, policy: Policy): Promise<AnyMember> {
  const found = team.inRole('embed').find((member) => offers(member, 'Emb') && mayAnswer(member, policy));
  if (found !== undefined) return found;
  const { places } = policy.limits;
  if (places !== undefined && !places.includes('device')) fail('ability_missing', { message: 'No member that the policy allows offers vectors (level Emb).', param: 'model' });
  return (await import('./models/static/bundled-member.ts')).bundledEmbedMember(embedModelId);
}

function embedderFor(team: Team, model: string, policy: Policy): AnyMember {
  const named = team.get(model);
  if (named !== undefined) {
    if (!offers(named, 'Emb')) fail('ability_missing', { message: `Member ${model} does not offer vectors (level Emb).`, param: 'model' });
    if (!mayAnswer(named, policy)) fail('policy_violated', { message: `Member ${model} is at the place ${named.model.place}, which the policy forbids.`, param: 'model' });
    return named;
  }
  const found = [...team.inRole('embed'), ...team.members].find((member) => offers(member, 'Emb') && mayAnswer(member, policy));
  return found ?? fail('ability_missing', { message: 'No member that the policy allows offers vectors (level Emb).', param: 'model' });
}
