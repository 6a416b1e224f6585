/** From the events of a token program to the parts of a model's answer: joins what came together, and finds tool calls. */
import type { AnswerEvent } from '../../decoding/answer.ts';
import type { EmittedToken, Prompt } from '../../exchange.ts';
import type { ModelPart } from '../port.ts';
import { CallFinder, forcesCall, type CallPart } from './tool-calls.ts';

/** Turns the events of one answer into parts. */
export class AnswerParts {
  readonly #finder: CallFinder | undefined;
  readonly #callId: () => string;
  readonly #callsMax: number;
  /** Whether a grammar lets the model write calls and nothing else. */
  readonly #forced: boolean;
  #calls = 0;

  /** @param prompt whose tools may be called; without parallel calls, those after the first are left out @param callId makes an id for a call */
  constructor(prompt: Pick<Prompt, 'tools' | 'toolChoice' | 'parallelToolCalls'>, callId: () => string) {
    this.#callId = callId;
    this.#callsMax = prompt.parallelToolCalls === false ? 1 : Infinity;
    const { tools = [], toolChoice } = prompt;
    this.#forced = forcesCall(toolChoice);
    this.#finder = tools.length > 0 && toolChoice !== 'none' ? new CallFinder(tools) : undefined;
  }

  /** The parts that these events make. */
  take(events: readonly AnswerEvent[]): ModelPart[] {
    const parts: ModelPart[] = [];
    let delta = '';
    let tokens: EmittedToken[] | undefined;
    for (const event of events) {
      if (event.type !== 'text') continue;
      delta += event.delta;
      if (event.tokens !== undefined) (tokens ??= []).push(...event.tokens);
    }
    if (delta !== '' || tokens !== undefined) this.#text(delta, tokens, parts);
    const last = events.at(-1);
    if (last?.type === 'finish') this.#finish(last, parts);
    return parts;
  }

  #text(delta: string, tokens: EmittedToken[] | undefined, parts: ModelPart[]): void {
    if (this.#finder === undefined) {
      parts.push(tokens === undefined ? { type: 'text', delta } : { type: 'text', delta, tokens });
      return;
    }
    this.#found(this.#finder.push(delta), parts);
    // reports go out although their text may be part of a call
    if (tokens !== undefined) parts.push({ type: 'text', delta: '', tokens });
  }

  #found(found: readonly CallPart[], parts: ModelPart[]): void {
    for (const part of found) {
      if (part.type === 'text') {
        // the line break between calls belongs to neither
        if (this.#calls === 0 || part.delta.trim() !== '') parts.push(part);
        continue;
      }
      if (this.#calls === this.#callsMax) continue;
      const call = this.#calls++;
      parts.push({ type: 'tool-call', call, id: this.#callId(), name: part.name, argumentsDelta: part.arguments });
    }
  }

  #finish(event: Extract<AnswerEvent, { type: 'finish' }>, parts: ModelPart[]): void {
    const left = this.#finder?.end() ?? [];
    // where nothing but calls may be written, text that is left is a call that was cut, no words for the reader
    const kept = this.#forced ? left.filter(({ type }) => type === 'call') : left;
    this.#found(kept, parts);
    // a call that was left out is not hidden behind the whole ones before it
    const cut = event.reason === 'length' && kept.length < left.length;
    const { promptTokens, cachedPromptTokens, completionTokens } = event;
    parts.push({ type: 'finish', reason: this.#calls > 0 && !cut ? 'tool_calls' : event.reason, usage: { promptTokens, cachedPromptTokens, completionTokens }, bytesUp: 0, bytesDown: 0 });
  }
}
