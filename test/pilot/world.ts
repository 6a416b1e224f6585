/** A made-up deployment for the pilot: a free small member and a dear large one, on a store that tests choose. */
import { seededRandom } from '../../src/system/random.ts';
import { ask, type AskOptions, type FullAnswer } from '../../src/ask.ts';
import type { ConfigInput } from '../../src/config.ts';
import { Team } from '../../src/models/team.ts';
import type { Store } from '../../src/store/store.ts';
import type { Clock } from '../../src/system/clock.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';
import { fake, priced, type FakeSettings } from '../recipes/fake-model.ts';

export interface WorldOptions {
  readonly config?: ConfigInput;
  readonly store?: Store;
  readonly seed?: number;
  readonly small?: Partial<FakeSettings>;
  readonly large?: Partial<FakeSettings>;
  readonly clock?: Clock & { now: number };
  readonly storePath?: string;
  readonly env?: Record<string, string>;
}

/** Time that tests move. */
export function handClock(wallMs = Date.UTC(2026, 10, 16, 12)): Clock & { now: number } {
  const clock = { now: wallMs, wallMs: () => clock.now, monotonicMs: () => clock.now, sleep: () => Promise.resolve() };
  return clock;
}

/** A running Tandem on fakes: the small member answers S and is unsure, the large one L. */
export async function world({ config = {}, store, seed = 5, small = {}, large = {}, clock = handClock(), storePath = ':memory:', env = {} }: WorldOptions = {}): Promise<Runtime & { readonly hand: Clock & { now: number } }> {
  const team = new Team([
    fake({ id: 'small', answer: { text: 'S' }, ...small }, clock),
    fake({ id: 'large', place: 'cloud', price: priced(10, 100), answer: { text: 'L' }, ...large }, clock),
  ]);
  const runtime = await createTandem({ store: { path: storePath }, ...config }, { team, clock, random: seededRandom(seed), env, ...(store === undefined ? {} : { store }) });
  return Object.assign(runtime, { hand: clock });
}

/** Asks `tandem/auto`; time passes. */
export function asked(runtime: Runtime & { readonly hand: { now: number } }, question: string, options: AskOptions = {}): Promise<FullAnswer> {
  runtime.hand.now += 1_000;
  return ask(runtime, question, { model: 'tandem/auto', sampling: { tokensMax: 8 }, ...options });
}

/** The decision of `auto`. */
export function decisionOf(answer: FullAnswer): { readonly chosen: string; readonly because: string; readonly inputs: Readonly<Record<string, unknown>> } {
  const found = answer.decisions.find(({ name }) => name === 'auto');
  return { chosen: found?.chosen ?? '', because: found?.because ?? '', inputs: found?.inputs ?? {} };
}
