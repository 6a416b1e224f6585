/**
 * What a run may still spend. Every call reserves its worst case before it starts and settles what it really cost, so
 * that calls under way at the same time cannot overspend together, and no retry or fallback can either. What cannot be bounded (a
 * member in the cloud whose price is not known, a file of any length) is refused where dollars are limited.
 *
 * Prompt tokens are not known beforehand (`prompt-size.ts`). For the limit of a request they are taken as one for three bytes. For the
 * cap on all requests (`policy/purse.ts`) they are taken as one for each byte: a prompt of digits or rare letters must not be able to
 * pass a hard cap. Of a key's day one for each byte is set aside too, but where less is left, a call takes that if one for three bytes
 * fits: so a lone request is not refused for what it will hardly use, and nothing runs beside a call that could cost more than is left.
 */
import { fail } from '../errors.ts';
import type { KeyPurse, Prompt, Sampling } from '../exchange.ts';
import type { AnyMember, Price } from '../models/team.ts';
import { attachmentTokensMax, attachmentTokensOf, promptTokensMax, promptTokensOf } from './prompt-size.ts';

/** What all requests together may still spend. */
export interface SharedPurse {
  /** Dollars that can be set aside now. */
  readonly heldUsd: number;
  /** What a dollar is worth beyond itself while money is short, at least 0; default 0. */
  readonly price?: number;
  /** Sets dollars aside. @throws {TandemError} budget_exhausted */
  take(costUsd: number): Taken;
  /** The call has ended and cost this much. */
  settle(taken: Taken, costUsd: number): void;
}

/** Dollars that were set aside. */
export interface Taken {
  readonly costUsd: number;
}

/** What a call may use. Give it back with `settle`. */
export interface Reservation {
  /** What was set aside of the cap on all requests. */
  readonly taken?: Taken;
  /** Dollars set aside. */
  readonly costUsd: number;
  /** Dollars that were set aside of the key's day. */
  readonly keyUsd?: number;
  /** Answer tokens that the remaining money pays for, when fewer than were asked for. */
  readonly tokensMax?: number;
}

const nothing: Reservation = { costUsd: 0 };
/** Tokens that an answer of open length is taken to have at most. */
export const answerTokensWithoutLimit = 4_096;

/** The money of one run. */
export class Budget {
  readonly #limitUsd: number | undefined;
  readonly #purse: SharedPurse | undefined;
  readonly #keyPurse: KeyPurse | undefined;
  #spentUsd = 0;
  #reservedUsd = 0;

  /** @param limitUsd dollars at most; undefined is unlimited @param purse of all requests, where they are capped @param keyPurse of the caller's key, where its day is limited */
  constructor(limitUsd: number | undefined, purse?: SharedPurse, keyPurse?: KeyPurse) {
    this.#limitUsd = limitUsd;
    this.#purse = purse;
    this.#keyPurse = keyPurse;
  }

  /** Dollars spent by calls that have ended. */
  get spentUsd(): number {
    return this.#spentUsd;
  }

  /** What a dollar is worth beyond itself now, at least 0. */
  get price(): number {
    return this.#purse?.price ?? 0;
  }

  /** Dollars that are neither spent nor set aside, by the run or by others under the same key; `Infinity` without a limit. */
  get leftUsd(): number {
    return this.#keyPurse === undefined ? this.#ownLeftUsd : Math.min(this.#ownLeftUsd, this.#keyPurse.leftUsd);
  }

  /** Dollars that the run alone could still spend. */
  get #ownLeftUsd(): number {
    return this.#limitUsd === undefined ? Infinity : this.#limitUsd - this.#spentUsd - this.#reservedUsd;
  }

  /** Whether dollars are limited at all. */
  get #limited(): boolean {
    return this.#limitUsd !== undefined || this.#purse !== undefined || this.#keyPurse !== undefined;
  }

  /**
   * Sets money aside for a call. Free members can always be called. A call that could cost more than is left gets fewer
   * answer tokens; one whose prompt alone costs more is refused.
   * @throws {TandemError} budget_exhausted; cost_unknown where dollars are limited and the call's cost has no bound
   */
  reserve(member: AnyMember, prompt: Prompt<string>, sampling: Sampling): Reservation {
    if (!this.#limited) return nothing;
    const price = priceUnderLimit(member);
    if (price === undefined) return nothing;
    const attached = price.inputUsdPerMillionTokens === 0 ? 0 : attachmentTokensMax(member, prompt);
    if (attached === Infinity) return fail('cost_unknown', { message: `Dollars are limited, and how many tokens a sound or a file comes to for "${member.id}" is not known; set attachmentTokensMax for the member.`, member: member.id });
    const own = this.#limitUsd === undefined && this.#keyPurse === undefined ? nothing : this.#reserveOwn(member, price, promptTokensOf(prompt, sampling), attached, sampling);
    return this.#purse === undefined ? own : this.#reserveShared(this.#purse, own, price, promptTokensMax(prompt, sampling) + attached, sampling);
  }

  /**
   * Prompt tokens of a call whose count never came, estimated high: never more than were set aside for it.
   */
  promptTokens(member: AnyMember, prompt: Prompt<string>, sampling: Sampling): number {
    const most = this.#limited ? attachmentTokensMax(member, prompt) : Infinity;
    return promptTokensOf(prompt, sampling) + (most === Infinity ? attachmentTokensOf(prompt) : most);
  }

  /** Of the cap on all requests: the worst case, with fewer answer tokens where the money asks for it. */
  #reserveShared(purse: SharedPurse, own: Reservation, price: Price, promptTokens: number, sampling: Sampling): Reservation {
    const promptUsd = (promptTokens * price.inputUsdPerMillionTokens) / 1e6;
    const tokenUsd = price.outputUsdPerMillionTokens / 1e6;
    const wanted = own.tokensMax ?? sampling.tokensMax ?? answerTokensWithoutLimit;
    const affordable = tokenUsd === 0 ? wanted : Math.min(wanted, Math.floor((purse.heldUsd - promptUsd) / tokenUsd));
    try {
      const taken = purse.take(promptUsd + Math.max(1, affordable) * tokenUsd);
      return { ...own, taken, ...(affordable < wanted || sampling.tokensMax === undefined ? { tokensMax: affordable } : {}) };
    } catch (error) {
      this.settle(own, 0);
      throw error;
    }
  }

  #reserveOwn(member: AnyMember, price: Price, textTokens: number, attachedTokens: number, sampling: Sampling): Reservation {
    const promptUsd = ((textTokens + attachedTokens) * price.inputUsdPerMillionTokens) / 1e6;
    const tokenUsd = price.outputUsdPerMillionTokens / 1e6;
    const wanted = sampling.tokensMax ?? answerTokensWithoutLimit;
    const ownLeftUsd = this.#ownLeftUsd;
    const affordable = tokenUsd === 0 ? (promptUsd <= ownLeftUsd ? wanted : 0) : Math.floor((ownLeftUsd - promptUsd) / tokenUsd);
    if (affordable < 1) return this.#refuse(member);
    let tokensMax = Math.min(wanted, affordable);
    let costUsd = promptUsd + tokensMax * tokenUsd;
    let keyUsd: number | undefined;
    if (this.#keyPurse !== undefined) {
      const byBytesUsd = (2 * textTokens * price.inputUsdPerMillionTokens) / 1e6; // three times as many tokens are one for each byte
      keyUsd = this.#keyPurse.take(promptUsd + tokenUsd, costUsd + byBytesUsd);
      if (keyUsd === undefined) return this.#refuse(member);
      if (keyUsd < costUsd) {
        tokensMax = Math.max(1, Math.floor((keyUsd - promptUsd) / tokenUsd)); // one is paid for, whatever rounding says
        costUsd = keyUsd;
      }
    }
    this.#reservedUsd += costUsd;
    const capped = tokensMax < wanted || sampling.tokensMax === undefined;
    if (keyUsd !== undefined) return capped ? { costUsd, keyUsd, tokensMax } : { costUsd, keyUsd };
    return capped ? { costUsd, tokensMax } : { costUsd };
  }

  /** The call has ended and cost this much. */
  settle(reservation: Reservation, costUsd: number): void {
    this.#reservedUsd -= reservation.costUsd;
    this.#spentUsd += costUsd;
    if (reservation.taken !== undefined) this.#purse?.settle(reservation.taken, costUsd);
    this.#keyPurse?.settle(reservation.keyUsd ?? 0, costUsd);
  }

  #refuse(member: AnyMember): never {
    return fail('budget_exhausted', {
      message: `The request may cost ${this.#limitUsd} dollars (the smallest of limits.costUsdMax, policy.costUsdMaxPerRequest and what the key has left of its day); ${Math.max(0, this.leftUsd)} are neither spent nor set aside by calls under way, too few for a call of "${member.id}".`,
      member: member.id,
    });
  }
}

/** The price of a member where dollars are limited; undefined for a free one. @throws {TandemError} cost_unknown */
function priceUnderLimit({ id, price, model: { place } }: AnyMember): Price | undefined {
  if (price === undefined && place === 'cloud') fail('cost_unknown', { message: `Dollars are limited, and the price of "${id}" is not known; set price for the member.`, member: id });
  return price === undefined || (price.inputUsdPerMillionTokens === 0 && price.outputUsdPerMillionTokens === 0) ? undefined : price;
}
