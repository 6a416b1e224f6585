/**
 * What a run may still spend. Every call reserves its worst case before it starts and settles what it really cost, so
 * that calls under way at the same time cannot overspend together, and no retry or fallback can either.
 *
 * Prompt tokens are not known beforehand. For the limit of a request they are taken as one for three bytes, which over-estimates
 * common tokenizers on common text. For the cap on all requests (`policy/purse.ts`) they are taken as one for each byte, which
 * no byte-level tokenizer exceeds: a prompt of digits or rare letters must not be able to pass a hard cap.
 */
import { fail } from '../errors.ts';
import type { Prompt, Sampling } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';

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
  /** Answer tokens that the remaining money pays for, when fewer than were asked for. */
  readonly tokensMax?: number;
}

const nothing: Reservation = { costUsd: 0 };
const tokensWithoutLimit = 4_096;

/** The money of one run. */
export class Budget {
  readonly #limitUsd: number | undefined;
  readonly #purse: SharedPurse | undefined;
  #spentUsd = 0;
  #reservedUsd = 0;

  /** @param limitUsd dollars at most; undefined is unlimited @param purse of all requests, where they are capped */
  constructor(limitUsd: number | undefined, purse?: SharedPurse) {
    this.#limitUsd = limitUsd;
    this.#purse = purse;
  }

  /** Dollars spent by calls that have ended. */
  get spentUsd(): number {
    return this.#spentUsd;
  }

  /** What a dollar is worth beyond itself now, at least 0. */
  get price(): number {
    return this.#purse?.price ?? 0;
  }

  /** Dollars that are neither spent nor set aside; `Infinity` without a limit. */
  get leftUsd(): number {
    return this.#limitUsd === undefined ? Infinity : this.#limitUsd - this.#spentUsd - this.#reservedUsd;
  }

  /**
   * Sets money aside for a call. Free members can always be called. A call that could cost more than is left gets fewer
   * answer tokens; one whose prompt alone costs more is refused.
   * @throws {TandemError} budget_exhausted
   */
  reserve(member: AnyMember, prompt: Prompt<string>, sampling: Sampling): Reservation {
    const own = this.#reserveOwn(member, prompt, sampling);
    return this.#purse === undefined ? own : this.#reserveShared(this.#purse, own, member, prompt, sampling);
  }

  /** Of the cap on all requests: the worst case, with fewer answer tokens where the money asks for it. */
  #reserveShared(purse: SharedPurse, own: Reservation, member: AnyMember, prompt: Prompt<string>, sampling: Sampling): Reservation {
    const { price } = member;
    if (price === undefined) {
      if (member.model.place !== 'cloud') return own;
      this.settle(own, 0);
      return fail('budget_exhausted', { message: `All models together have a cap on dollars, and the price of "${member.id}" is not known; set price for the member.`, member: member.id });
    }
    const promptUsd = (promptTokensMax(prompt) * price.inputUsdPerMillionTokens) / 1e6;
    const tokenUsd = price.outputUsdPerMillionTokens / 1e6;
    if (promptUsd + tokenUsd === 0) return own;
    const wanted = own.tokensMax ?? sampling.tokensMax ?? tokensWithoutLimit;
    const affordable = tokenUsd === 0 ? wanted : Math.min(wanted, Math.floor((purse.heldUsd - promptUsd) / tokenUsd));
    try {
      const taken = purse.take(promptUsd + Math.max(1, affordable) * tokenUsd);
      return { ...own, taken, ...(affordable < wanted || sampling.tokensMax === undefined ? { tokensMax: affordable } : {}) };
    } catch (error) {
      this.settle(own, 0);
      throw error;
    }
  }

  #reserveOwn(member: AnyMember, prompt: Prompt<string>, sampling: Sampling): Reservation {
    if (this.#limitUsd === undefined) return nothing;
    const { price } = member;
    if (price === undefined) {
      if (member.model.place !== 'cloud' || this.leftUsd > 0) return nothing;
      return this.#refuse(member);
    }
    const promptUsd = (promptTokensOf(prompt) * price.inputUsdPerMillionTokens) / 1e6;
    const tokenUsd = price.outputUsdPerMillionTokens / 1e6;
    const wanted = sampling.tokensMax ?? tokensWithoutLimit;
    if (promptUsd + tokenUsd === 0) return nothing;
    const affordable = tokenUsd === 0 ? (promptUsd <= this.leftUsd ? wanted : 0) : Math.floor((this.leftUsd - promptUsd) / tokenUsd);
    if (affordable < 1) return this.#refuse(member);
    const tokensMax = Math.min(wanted, affordable);
    const costUsd = promptUsd + tokensMax * tokenUsd;
    this.#reservedUsd += costUsd;
    return tokensMax < wanted || sampling.tokensMax === undefined ? { costUsd, tokensMax } : { costUsd };
  }

  /** The call has ended and cost this much. */
  settle(reservation: Reservation, costUsd: number): void {
    this.#reservedUsd -= reservation.costUsd;
    this.#spentUsd += costUsd;
    if (reservation.taken !== undefined) this.#purse?.settle(reservation.taken, costUsd);
  }

  #refuse(member: AnyMember): never {
    return fail('budget_exhausted', {
      message: `The request may cost ${this.#limitUsd} dollars; ${Math.max(0, this.leftUsd)} are left, too few for a call of "${member.id}".`,
      member: member.id,
    });
  }
}

/** Prompt tokens at most: no byte-level tokenizer makes more than one token a byte; 16 more a message for the template. */
export function promptTokensMax(prompt: Prompt<string>): number {
  let bytes = Buffer.byteLength(prompt.text ?? '') + Buffer.byteLength(prompt.prefix ?? '') + 16;
  for (const message of prompt.messages) {
    bytes += Buffer.byteLength(message.content) + Buffer.byteLength(message.name ?? '') + 16;
    for (const call of message.toolCalls ?? []) bytes += Buffer.byteLength(call.name) + Buffer.byteLength(call.arguments) + 16;
  }
  if (prompt.tools !== undefined) bytes += Buffer.byteLength(JSON.stringify(prompt.tools)) + 16 * prompt.tools.length;
  return bytes;
}

/** Prompt tokens, estimated high: one for three bytes of everything that is sent. */
export function promptTokensOf(prompt: Prompt<string>): number {
  let bytes = Buffer.byteLength(prompt.text ?? '') + Buffer.byteLength(prompt.prefix ?? '');
  for (const message of prompt.messages) {
    bytes += Buffer.byteLength(message.content) + 12;
    for (const call of message.toolCalls ?? []) bytes += call.name.length + Buffer.byteLength(call.arguments);
  }
  if (prompt.tools !== undefined) bytes += Buffer.byteLength(JSON.stringify(prompt.tools));
  return Math.ceil(bytes / 3);
}
