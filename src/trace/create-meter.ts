/** The meter: prices calls by the member's price, and accounts for their energy. */
import type { AnyMember, EnergyProfile, Price } from '../models/team.ts';
import type { Clock } from '../system/clock.ts';
import { openEnergyCounter, profileOf, type EnergyCounter, type EnergyMark } from './energy.ts';
import type { CallFacts, EnergyReading, Meter } from './meter.ts';
import type { CallUsage } from './trace.ts';

/** What a meter is made of. */
export interface MeterSettings {
  readonly clock: Clock;
  /** The machine's energy counter; `null` for none. Default: RAPL, where it can be read. */
  readonly energy?: EnergyCounter | null;
}

const unread: EnergyReading = Object.freeze({ joules: undefined });

/** Makes a meter. Its cost is a map look-up a call, and one small read of a file where the machine counts energy. */
export function createMeter(settings: MeterSettings): Meter {
  const { clock } = settings;
  const counter = settings.energy === undefined ? openEnergyCounter(clock) : (settings.energy ?? undefined);
  const known = new WeakMap<AnyMember, { readonly price: Price | undefined; readonly profile: EnergyProfile }>();
  const termsOf = (member: AnyMember): { readonly price: Price | undefined; readonly profile: EnergyProfile } => {
    let terms = known.get(member);
    if (terms === undefined) {
      terms = { price: member.price ?? (member.model.place === 'cloud' ? undefined : free), profile: profileOf(member) };
      known.set(member, terms);
    }
    return terms;
  };
  return {
    start: (member) => (counter === undefined || member.model.place !== 'device' ? unread : (counter.begin() ?? unread)),
    measure: (facts, reading) => {
      const { price, profile } = termsOf(facts.member);
      return usageOf(facts, price, reading.joules === undefined ? undefined : counter?.end(reading as EnergyMark), profile);
    },
  };
}

const free: Price = { inputUsdPerMillionTokens: 0, outputUsdPerMillionTokens: 0, asOf: '1970-01-01' };

function usageOf(facts: CallFacts, price: Price | undefined, measuredJ: number | undefined, profile: EnergyProfile): CallUsage {
  const { promptTokens, completionTokens, reasoningTokens } = facts.usage;
  const cached = Math.min(facts.usage.cachedPromptTokens ?? 0, promptTokens);
  const usage: { -readonly [K in keyof CallUsage]: CallUsage[K] } = {
    promptTokens,
    cachedPromptTokens: cached,
    completionTokens,
    costUsd: price === undefined ? 0 : costOf(price, promptTokens - cached, cached, completionTokens),
    energyJ: measuredJ ?? (promptTokens - cached) * profile.joulePerInputToken + completionTokens * profile.joulePerOutputToken,
    energySource: measuredJ === undefined ? 'estimated' : 'measured',
    bytesUp: facts.bytesUp,
    bytesDown: facts.bytesDown,
  };
  if (reasoningTokens !== undefined) usage.reasoningTokens = reasoningTokens;
  if (price === undefined) usage.priceKnown = false;
  return usage;
}

/** Dollars for tokens at a price. */
export function costOf(price: Price, freshPromptTokens: number, cachedPromptTokens: number, completionTokens: number): number {
  const cachedPrice = price.cachedInputUsdPerMillionTokens ?? price.inputUsdPerMillionTokens;
  return (freshPromptTokens * price.inputUsdPerMillionTokens + cachedPromptTokens * cachedPrice + completionTokens * price.outputUsdPerMillionTokens) / 1e6;
}
