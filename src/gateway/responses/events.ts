/**
 * An answer as the events of the Responses endpoint. Items open when their first part comes; thoughts and text close when
 * something else begins, calls when the answer ends.
 */
import type { EmittedToken, FinishReason, Part } from '../../exchange.ts';
import type { TandemError } from '../../errors.ts';
import type { Trace } from '../../trace/trace.ts';
import type { About, EventWriter } from '../endpoint.ts';
import { explanation } from '../explanation.ts';
import { tokenLogprobs } from '../logprobs.ts';
import { responsesUsage } from '../usage.ts';
import { callItem, completedAt, endOf, messageItem, reasoningItem, refusalPart, responseObject, textPart } from './output.ts';
import type { ResponsesDraft } from './parameters.ts';

interface OpenItem {
  readonly kind: 'message' | 'refusal' | 'reasoning';
  readonly id: string;
  readonly index: number;
  text: string;
  readonly tokens: EmittedToken[];
}

interface OpenCall {
  readonly itemId: string;
  readonly index: number;
  id: string;
  name: string;
  arguments: string;
}

/** Writes the events of one answer. */
export class ResponsesEvents implements EventWriter {
  readonly #about: About;
  readonly #draft: ResponsesDraft;
  readonly #output: object[] = [];
  readonly #calls = new Map<number, OpenCall>();
  #open: OpenItem | undefined;
  #sequence = 0;
  #reason: FinishReason = 'stop';

  constructor(about: About, draft: ResponsesDraft) {
    this.#about = about;
    this.#draft = draft;
  }

  begin(): string {
    const response = responseObject(this.#about, this.#draft, 'in_progress', [], {});
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response });
  }

  part(part: Part): string {
    switch (part.type) {
      case 'text':
        return part.refusal === true ? this.#refusal(part.delta) : this.#text(part.delta, part.tokens);
      case 'reasoning':
        return this.#reasoning(part.delta);
      case 'tool-call':
        return this.#call(part);
      case 'finish':
        this.#reason = part.reason;
        return '';
    }
  }

  end(trace: Trace): string {
    const closing = this.#closeAll(endOf(this.#reason).status);
    const { status, incomplete_details } = endOf(this.#reason);
    const more = { incomplete_details, usage: responsesUsage(trace), completed_at: completedAt(status, this.#about, trace), ...(this.#draft.explain ? { tandem: explanation(trace) } : {}) };
    const response = responseObject(this.#about, this.#draft, status, this.#output, more);
    return closing + this.#event(`response.${status}`, { response });
  }

  error(error: TandemError): string {
    const closing = this.#closeAll('incomplete');
    const code = error.code === 'rate_limited' || error.code === 'upstream_rate_limited' ? 'rate_limit_exceeded' : 'server_error';
    const response = responseObject(this.#about, this.#draft, 'failed', this.#output, { error: { code, message: error.message } });
    const told = { code: error.code, message: error.message, param: error.param ?? null };
    return closing + this.#event('response.failed', { response }) + this.#event('error', { ...told, error: error.toOpenAi().error });
  }

  #text(delta: string, tokens: readonly EmittedToken[] | undefined): string {
    if (delta === '' && tokens === undefined) return '';
    const [item, opening] = this.#item('message');
    item.text += delta;
    if (tokens !== undefined) item.tokens.push(...tokens);
    const logprobs = this.#draft.logprobs && tokens !== undefined ? tokenLogprobs(tokens, this.#draft.topLogprobs ?? 0) : [];
    return opening + this.#event('response.output_text.delta', { item_id: item.id, output_index: item.index, content_index: 0, delta, logprobs });
  }

  #refusal(delta: string): string {
    const [item, opening] = this.#item('refusal');
    item.text += delta;
    return opening + this.#event('response.refusal.delta', { item_id: item.id, output_index: item.index, content_index: 0, delta });
  }

  #reasoning(delta: string): string {
    const [item, opening] = this.#item('reasoning');
    item.text += delta;
    return opening + this.#event('response.reasoning_text.delta', { item_id: item.id, output_index: item.index, content_index: 0, delta });
  }

  #call(part: Extract<Part, { type: 'tool-call' }>): string {
    let events = this.#close('completed');
    let call = this.#calls.get(part.call);
    if (call === undefined) {
      const index = this.#output.length;
      call = { itemId: `fc_${this.#about.id}_${index}`, index, id: part.id ?? `call_${this.#about.id}_${index}`, name: part.name ?? '', arguments: '' };
      this.#calls.set(part.call, call);
      const item = callItem(call.itemId, 'in_progress', call);
      this.#output.push(item);
      events += this.#event('response.output_item.added', { output_index: index, item });
    }
    if (part.argumentsDelta === '') return events;
    call.arguments += part.argumentsDelta;
    return events + this.#event('response.function_call_arguments.delta', { item_id: call.itemId, output_index: call.index, delta: part.argumentsDelta });
  }

  #item(kind: OpenItem['kind']): [OpenItem, string] {
    if (this.#open?.kind === kind) return [this.#open, ''];
    let events = this.#close('completed');
    const index = this.#output.length;
    const item: OpenItem = { kind, id: `${kind === 'reasoning' ? 'rs' : 'msg'}_${this.#about.id}_${index}`, index, text: '', tokens: [] };
    this.#open = item;
    const shown = kind === 'reasoning' ? reasoningItem(item.id, '') : messageItem(item.id, 'in_progress', []);
    this.#output.push(shown);
    events += this.#event('response.output_item.added', { output_index: index, item: shown });
    return [item, events + this.#event('response.content_part.added', { item_id: item.id, output_index: index, content_index: 0, part: this.#partOf(item) })];
  }

  /** Closes the text or thoughts that are open. */
  #close(status: 'completed' | 'incomplete'): string {
    const item = this.#open;
    if (item === undefined) return '';
    this.#open = undefined;
    const at = { item_id: item.id, output_index: item.index, content_index: 0 };
    const part = this.#partOf(item);
    const done = item.kind === 'reasoning' ? reasoningItem(item.id, item.text) : messageItem(item.id, status, [part]);
    this.#output[item.index] = done;
    return this.#said(item, at) + this.#event('response.content_part.done', { ...at, part }) + this.#event('response.output_item.done', { output_index: item.index, item: done });
  }

  #partOf({ kind, text, tokens }: OpenItem): object {
    if (kind === 'reasoning') return { type: 'reasoning_text', text };
    return kind === 'refusal' ? refusalPart(text) : textPart(text, tokens, this.#draft);
  }

  /** The event that gives the whole text of an item. */
  #said({ kind, text, tokens }: OpenItem, at: object): string {
    if (kind === 'reasoning') return this.#event('response.reasoning_text.done', { ...at, text });
    if (kind === 'refusal') return this.#event('response.refusal.done', { ...at, refusal: text });
    const logprobs = this.#draft.logprobs ? tokenLogprobs(tokens, this.#draft.topLogprobs ?? 0) : [];
    return this.#event('response.output_text.done', { ...at, text, logprobs });
  }

  #closeAll(status: 'completed' | 'incomplete'): string {
    let events = this.#close(status);
    for (const call of this.#calls.values()) {
      const item = callItem(call.itemId, status, call);
      this.#output[call.index] = item;
      events += this.#event('response.function_call_arguments.done', { item_id: call.itemId, output_index: call.index, name: call.name, arguments: call.arguments });
      events += this.#event('response.output_item.done', { output_index: call.index, item });
    }
    this.#calls.clear();
    return events;
  }

  #event(type: string, fields: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...fields })}\n\n`;
  }
}
