/**
 * Reads a server's reply, whole or event by event, and writes the parts of an answer.
 *
 * Text that arrived together leaves as one part. Bridges what servers do differently: reasoning under two names, tool
 * calls without an index, `stop` after tool calls, log-probabilities in two forms, usage left out.
 */
import type { EmittedToken, FinishReason } from '../../exchange.ts';
import type { Call, ModelPart, TokenUsage, Traffic } from '../port.ts';
import { EventTemplate } from './event-template.ts';
import { fromErrorObject, malformed, truncated } from './failure.ts';
import type { ServerError } from './failure.ts';
import type { SseEvent } from './sse.ts';
import { finishReason, parseReply, tokensOf, usageOf } from './wire.ts';
import type { WireChoice, WireMessage, WireReply, WireToolCall } from './wire.ts';

/** Characters a token, for servers that count none. */
const CHARACTERS_PER_TOKEN = 4;

/** Collects the parts of one answer. */
export class AnswerReader {
  /** Whether any event has come. */
  begun = false;
  /** Whether the final event has come. */
  done = false;
  readonly #member: string;
  readonly #events = new EventTemplate();
  #reason: FinishReason | undefined;
  #usage: TokenUsage | undefined;
  #characters = 0;
  #tokens = 0;
  #text = '';
  #textTokens: EmittedToken[] | undefined;
  readonly #calls: { readonly index: unknown; readonly id: string | undefined }[] = [];

  /** The prefix that the answer continues, while it may still turn out to be repeated; and what has come of it. */
  #prefix: string;
  #held = '';

  /** @param prefix a text that the server may repeat before it continues it; the repetition is dropped. Default none. */
  constructor(member: string, prefix = '') {
    this.#member = member;
    this.#prefix = prefix;
  }

  /** Reads one event. @throws {TandemError} upstream_malformed, or what an error event says */
  event({ event, data }: SseEvent, out: ModelPart[]): void {
    if (this.done) return;
    this.begun = true;
    if (data === '[DONE]') {
      this.done = true;
      return;
    }
    const reply = this.#events.read(data);
    if (reply === undefined) throw malformed(this.#member, 'an event that is not a JSON object');
    this.#reply(event === 'error' && reply.error == null ? { error: reply as ServerError } : reply, out);
  }

  /** Reads a whole reply. @throws {TandemError} upstream_malformed, or what an error object says */
  whole(body: string, out: ModelPart[]): void {
    const reply = parseReply(body);
    if (reply === undefined) throw malformed(this.#member, 'a body that is not a JSON object');
    if (reply.error == null && (reply.choices?.length ?? 0) === 0) throw malformed(this.#member, 'JSON without choices');
    this.#reply(reply, out);
    this.done = true;
  }

  /** Writes the text that is waiting. Call it when nothing more has arrived for now. */
  flush(out: ModelPart[]): void {
    if (this.#text === '' && this.#textTokens === undefined) return;
    out.push(this.#textTokens === undefined ? { type: 'text', delta: this.#text } : { type: 'text', delta: this.#text, tokens: this.#textTokens });
    this.#text = '';
    this.#textTokens = undefined;
  }

  /** Writes what is left. Call it once the reply has ended. */
  settle(out: ModelPart[]): void {
    this.#text += this.#held;
    this.#held = '';
    this.#prefix = '';
    this.flush(out);
  }

  /** Whether the answer is complete: the final event or a finish reason has come. */
  get complete(): boolean {
    return this.done || this.#reason !== undefined;
  }

  /** The finish part. @throws {TandemError} upstream_truncated when the answer is not complete */
  finish(promptCharacters: number, { bytesUp, bytesDown }: Pick<Traffic, 'bytesUp' | 'bytesDown'>, call: Call): ModelPart {
    if (!this.complete) throw truncated(this.#member);
    let usage = this.#usage;
    if (usage === undefined) {
      const completionTokens = this.#tokens > 0 ? this.#tokens : Math.ceil(this.#characters / CHARACTERS_PER_TOKEN);
      usage = { promptTokens: Math.ceil(promptCharacters / CHARACTERS_PER_TOKEN), completionTokens };
      call.note?.('usage-estimated', { promptTokens: usage.promptTokens, completionTokens });
    }
    const reason = this.#calls.length > 0 && (this.#reason ?? 'stop') === 'stop' ? 'tool_calls' : (this.#reason ?? 'stop');
    return { type: 'finish', reason, usage, bytesUp, bytesDown };
  }

  #reply(reply: WireReply, out: ModelPart[]): void {
    if (reply.error != null) {
      this.flush(out);
      throw fromErrorObject(this.#member, typeof reply.error === 'object' ? reply.error : {});
    }
    const usage = usageOf(reply.usage);
    if (usage !== undefined) this.#usage = usage;
    if (!Array.isArray(reply.choices)) {
      if (reply.usage == null) throw malformed(this.#member, 'JSON without choices');
      return;
    }
    for (const choice of reply.choices as readonly WireChoice[]) this.#choice(choice, out);
  }

  #choice(choice: WireChoice, out: ModelPart[]): void {
    const message = choice.delta ?? choice.message;
    if (typeof message === 'object' && message !== null) this.#message(message, choice, out);
    else this.#say(choice.text, choice, out);
    if (typeof choice.finish_reason === 'string') this.#reason = finishReason(choice.finish_reason);
  }

  #message(message: WireMessage, choice: WireChoice, out: ModelPart[]): void {
    const reasoning = message.reasoning_content ?? message.reasoning;
    if (typeof reasoning === 'string' && reasoning !== '') {
      this.flush(out);
      this.#characters += reasoning.length;
      out.push({ type: 'reasoning', delta: reasoning });
    }
    this.#say(message.content, choice, out);
    if (typeof message.refusal === 'string' && message.refusal !== '') {
      this.flush(out);
      this.#characters += message.refusal.length;
      out.push({ type: 'text', delta: message.refusal, refusal: true });
    }
    if (!Array.isArray(message.tool_calls)) return;
    this.flush(out);
    for (const call of message.tool_calls as readonly WireToolCall[]) this.#toolCall(call, out);
  }

  #say(content: unknown, choice: WireChoice, out: ModelPart[]): void {
    const tokens = choice.logprobs == null ? undefined : tokensOf(choice.logprobs);
    if (tokens !== undefined && tokens.length > 0) {
      this.#tokens += tokens.length;
      if (this.#textTokens === undefined) this.flush(out);
      this.#textTokens = this.#textTokens === undefined ? tokens : this.#textTokens.concat(tokens);
    }
    const text = typeof content === 'string' ? content : Array.isArray(content) ? joined(content) : '';
    this.#text += this.#prefix === '' ? text : this.#beyondPrefix(text);
    this.#characters += text.length;
  }

  /** Holds text back while it spells the prefix; gives what goes beyond it, or all of it when it is something else. */
  #beyondPrefix(text: string): string {
    const held = this.#held + text;
    if (held.length < this.#prefix.length && this.#prefix.startsWith(held)) {
      this.#held = held;
      return '';
    }
    const beyond = held.startsWith(this.#prefix) ? held.slice(this.#prefix.length) : held;
    this.#held = '';
    this.#prefix = '';
    return beyond;
  }

  #toolCall(wire: WireToolCall, out: ModelPart[]): void {
    const id = typeof wire.id === 'string' && wire.id !== '' ? wire.id : undefined;
    const name = typeof wire.function?.name === 'string' && wire.function.name !== '' ? wire.function.name : undefined;
    const argumentsDelta = typeof wire.function?.arguments === 'string' ? wire.function.arguments : wire.function?.arguments == null ? '' : JSON.stringify(wire.function.arguments);
    this.#characters += argumentsDelta.length;
    let call = this.#calls.findLastIndex((known) => (wire.index == null || known.index === wire.index) && (id === undefined || known.id === undefined || known.id === id));
    if (call === -1) {
      call = this.#calls.push({ index: wire.index, id }) - 1;
      if (name === undefined) throw malformed(this.#member, 'a tool call without a name');
      out.push({ type: 'tool-call', call, id: id ?? `call_${call}`, name, argumentsDelta });
    } else if (argumentsDelta !== '') {
      out.push({ type: 'tool-call', call, argumentsDelta });
    }
  }
}

function joined(content: readonly unknown[]): string {
  return content.map((part) => (typeof part === 'object' && part !== null && 'text' in part && typeof part.text === 'string' ? part.text : '')).join('');
}
