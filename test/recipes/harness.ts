/** Runs a recipe on fake members the way the pipeline would: kitchen, trace, virtual time. */
import { TandemError } from '../../src/errors.ts';
import type { Guarded, MaskedText, Part, Policy, Prompt, Received, Sampling, Veiled } from '../../src/exchange.ts';
import { Team, type AnyMember } from '../../src/models/team.ts';
import { createKitchen, registry } from '../../src/recipes/index.ts';
import type { Recipe } from '../../src/recipes/recipe.ts';
import type { Clock } from '../../src/system/clock.ts';
import { seededRandom } from '../../src/system/random.ts';
import type { Meter } from '../../src/trace/meter.ts';
import { Trace, type TraceRecord } from '../../src/trace/trace.ts';

/** Time that jumps to the next sleeper when nothing else happens. */
export function virtualClock(): Clock {
  let now = 1_000;
  let scheduled = false;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  const schedule = (): void => {
    if (scheduled || sleepers.size === 0) return;
    scheduled = true;
    setImmediate(() =>
      setImmediate(() => {
        scheduled = false;
        const next = [...sleepers].sort((a, b) => a.at - b.at)[0];
        if (next !== undefined) {
          now = Math.max(now, next.at);
          sleepers.delete(next);
          next.wake();
        }
        schedule();
      }),
    );
  };
  return {
    wallMs: () => now,
    monotonicMs: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = { at: now + ms, wake: () => resolve() };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
        schedule();
      }),
  };
}

/** Prices from the member, nothing measured. */
export const meter: Meter = {
  start: () => ({ joules: undefined }),
  measure: ({ member, usage, bytesUp, bytesDown }) => ({
    promptTokens: usage.promptTokens,
    cachedPromptTokens: usage.cachedPromptTokens ?? 0,
    completionTokens: usage.completionTokens,
    costUsd: (usage.promptTokens * (member.price?.inputUsdPerMillionTokens ?? 0) + usage.completionTokens * (member.price?.outputUsdPerMillionTokens ?? 0)) / 1e6,
    energyJ: 0,
    energySource: 'unknown',
    bytesUp,
    bytesDown,
  }),
};

/** A request for the kitchen. */
export interface Order {
  readonly model: string;
  readonly ask?: string;
  readonly prompt?: Prompt<string>;
  readonly sampling?: Sampling;
  readonly knobs?: Readonly<Record<string, unknown>>;
  readonly policy?: { readonly objective?: Policy['objective']; readonly limits?: Policy['limits']; readonly privacyClass?: Policy['privacyClass'] };
  readonly answers?: number;
  readonly signal?: AbortSignal;
  readonly recipes?: ReadonlyMap<string, Recipe>;
  readonly configured?: Readonly<Record<string, Record<string, unknown>>>;
}

/** What came of it. */
export interface Served {
  readonly parts: readonly Part[];
  readonly text: string;
  /** Text of each answer. */
  readonly texts: readonly string[];
  readonly error: TandemError | undefined;
  readonly trace: TraceRecord;
  /** Names and choices of all decisions, as `name=chosen`. */
  readonly decisions: readonly string[];
}

/** Masks e-mail addresses, as a stand-in for `privacy/`. */
export const veil = (text: string): MaskedText => text.replace(/[\w.]+@[\w.]+/g, '[EMAIL_1]') as MaskedText;

/** The veiled request of an order. */
export function veiledOf(order: Order): Veiled {
  const raw: Prompt<string> = order.prompt ?? { messages: [{ role: 'user', content: order.ask ?? 'What is the capital of France?' }] };
  const masked = JSON.parse(veil(JSON.stringify(raw))) as Prompt<MaskedText>;
  const received: Omit<Received, 'prompt' | 'policy'> = { surface: 'library', model: order.model, sampling: order.sampling ?? {}, answers: order.answers ?? 1, knobs: order.knobs ?? {}, explain: false, key: undefined };
  const policy: Policy = { objective: order.policy?.objective ?? 'balanced', limits: order.policy?.limits ?? {}, privacyClass: order.policy?.privacyClass ?? 'standard' };
  const request = { ...received, policy, caller: { name: 'test' } } as unknown as Omit<Guarded, 'prompt'>;
  return { request, raw, masked, veil, hidden: {} };
}

/** A kitchen that serves orders. */
export function restaurant(members: readonly AnyMember[], clock: Clock, order: Pick<Order, 'recipes' | 'configured'> = {}): (order: Order) => Promise<Served> {
  const team = new Team(members);
  const cook = createKitchen({ team, registry: order.recipes ?? registry, config: { recipes: { ...order.configured } }, meter, clock, random: seededRandom(7) });
  return async (each) => {
    const trace = new Trace('0'.repeat(32), clock, { surface: 'library', requestedModel: each.model });
    const parts: Part[] = [];
    let error: TandemError | undefined;
    try {
      for await (const part of cook(veiledOf(each), { trace, signal: each.signal ?? new AbortController().signal }, trace.root)) parts.push(part);
    } catch (thrown) {
      error = TandemError.from(thrown);
    }
    const record = trace.finish(error?.code ?? 'ok');
    const texts = Array.from({ length: each.answers ?? 1 }, (_, answer) => parts.map((part) => (part.type === 'text' && part.answer === answer ? part.delta : '')).join(''));
    return { parts, text: texts[0] ?? '', texts, error, trace: record, decisions: record.spans.flatMap((span) => span.decisions.map(({ name, chosen }) => `${name}=${chosen}`)) };
  };
}

/** Serves one order. */
export function serveOne(members: readonly AnyMember[], order: Order, clock: Clock): Promise<Served> {
  return restaurant(members, clock, order)(order);
}

/** Names of call spans in the order in which they began. */
export function calls({ trace }: Served): string[] {
  return trace.spans.filter((span) => span.kind === 'call').map((span) => span.member ?? '');
}
