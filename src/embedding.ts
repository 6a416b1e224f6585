/**
 * The way of an embedding request: the same admission, input guard and masking as any request, then one call to a member
 * that offers vectors. A cloud member sees masked texts only.
 */
import { fail, TandemError } from './errors.ts';
import type { MaskedText, Received } from './exchange.ts';
import type { AnyMember, Team } from './models/team.ts';
import { offers } from './models/team.ts';
import { embedModelId } from './policy/resolve-model.ts';
import type { TokenUsage } from './models/port.ts';
import type { Journey, Stages } from './pipeline.ts';
import type { Meter } from './trace/index.ts';
import type { Clock } from './system/clock.ts';

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

interface Kitchenware {
  readonly stages: Stages;
  readonly team: Team;
  readonly meter: Meter;
  readonly clock: Clock;
}

/** Takes texts through the stages to a member's vectors. @throws {TandemError} what the stages and the member throw; ability_missing */
export async function embedTexts(ware: Kitchenware, request: EmbeddingRequest, journey: Journey): Promise<EmbeddingAnswer> {
  const { stages, meter, clock } = ware;
  const { root } = journey.trace;
  const received: Received = {
    surface: 'embeddings',
    model: request.model,
    prompt: { messages: request.texts.map((content) => ({ role: 'user' as const, content })) },
    sampling: { tokensMax: 1 },
    answers: 1,
    policy: {},
    knobs: {},
    explain: false,
    key: request.key,
    ...(request.user === undefined ? {} : { user: request.user }),
  };
  const admitted = await stages.admit(received, journey, root);
  const guarded = await stages.guardInput(admitted, root);
  const { veiled } = await stages.mask(guarded, root);
  const { places } = admitted.policy.limits;
  const member = admitted.model === embedModelId ? await anyEmbedder(ware.team, places) : embedderFor(ware.team, admitted.model, places);
  journey.trace.runs('embed');
  const span = root.child(`call ${member.id}`, 'call', { member: member.id, place: member.model.place });
  const reading = meter.start(member);
  const startMs = clock.monotonicMs();
  try {
    const embedded = await call(member, veiled.raw.messages.map(({ content }) => content), veiled.masked.messages.map(({ content }) => content), request.dimensions, journey.signal);
    const usage = meter.measure({ member, usage: embedded.usage, bytesUp: 0, bytesDown: 0, elapsedMs: clock.monotonicMs() - startMs }, reading);
    span.use(usage);
    span.end();
    return { member: member.id, vectors: embedded.vectors, usage: embedded.usage, traceId: journey.trace.id, costUsd: usage.costUsd };
  } catch (error) {
    span.end(TandemError.from(error).code);
    throw error;
  }
}

async function call(member: AnyMember, raw: readonly string[], masked: readonly MaskedText[], dimensions: number | undefined, signal: AbortSignal): ReturnType<NonNullable<AnyMember['model']['embed']>> {
  const { model } = member;
  const size = dimensions === undefined ? {} : { dimensions };
  if (model.embed === undefined) fail('ability_missing', `Member ${member.id} does not offer vectors (level Emb).`);
  return model.place === 'cloud' ? model.embed({ texts: masked, ...size }, { signal }) : model.embed({ texts: raw, ...size }, { signal });
}

/** The first member in the role `embed` that may be asked, else the bundled table, which every deployment has. */
async function anyEmbedder(team: Team, places: readonly string[] | undefined): Promise<AnyMember> {
  const found = team.inRole('embed').find((member) => offers(member, 'Emb') && (places === undefined || places.includes(member.model.place)));
  if (found !== undefined) return found;
  if (places !== undefined && !places.includes('device')) fail('ability_missing', { message: 'No member that the policy allows offers vectors (level Emb).', param: 'model' });
  return (await import('./models/static/bundled-member.ts')).bundledEmbedMember(embedModelId);
}

function embedderFor(team: Team, model: string, places: readonly string[] | undefined): AnyMember {
  const allowed = (member: AnyMember): boolean => places === undefined || places.includes(member.model.place);
  const named = team.get(model);
  if (named !== undefined) {
    if (!offers(named, 'Emb')) fail('ability_missing', { message: `Member ${model} does not offer vectors (level Emb).`, param: 'model' });
    if (!allowed(named)) fail('policy_violated', { message: `Member ${model} is at the place ${named.model.place}, which the policy forbids.`, param: 'model' });
    return named;
  }
  const found = [...team.inRole('embed'), ...team.members].find((member) => offers(member, 'Emb') && allowed(member));
  return found ?? fail('ability_missing', { message: 'No member that the policy allows offers vectors (level Emb).', param: 'model' });
}
