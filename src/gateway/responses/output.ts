/** The Response object and the items of its output, in OpenAI's form. */
import type { EmittedToken, FinishReason } from '../../exchange.ts';
import type { Trace } from '../../trace/trace.ts';
import type { About } from '../endpoint.ts';
import { tokenLogprobs } from '../logprobs.ts';
import type { ResponsesDraft } from './parameters.ts';

/** State of a response or an item. */
export type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed';

/** The Response object without its output. */
export function responseObject(about: About, draft: ResponsesDraft, status: Status, output: readonly object[], more: object): object {
  const { sampling, echo } = draft;
  return {
    id: `resp_${about.id}`,
    object: 'response',
    created_at: about.createdS,
    completed_at: null,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: draft.instructions ?? null,
    max_output_tokens: sampling.tokensMax ?? null,
    model: about.model,
    output,
    parallel_tool_calls: draft.parallelToolCalls ?? true,
    previous_response_id: null,
    reasoning: { effort: echo.effort ?? null, summary: null },
    service_tier: 'default',
    store: false,
    temperature: sampling.temperature ?? null,
    text: { format: echo.format ?? { type: 'text' } },
    tool_choice: echo.toolChoice ?? 'auto',
    tools: echo.tools ?? [],
    top_logprobs: draft.topLogprobs ?? 0,
    top_p: sampling.topP ?? null,
    truncation: 'disabled',
    usage: null,
    user: draft.user ?? null,
    metadata: draft.metadata ?? {},
    ...more,
  };
}

/** Status of a response that ended for this reason, and why it is incomplete. */
export function endOf(reason: FinishReason): { readonly status: 'completed' | 'incomplete'; readonly incomplete_details: object | null } {
  if (reason === 'length') return { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
  if (reason === 'content_filter') return { status: 'incomplete', incomplete_details: { reason: 'content_filter' } };
  return { status: 'completed', incomplete_details: null };
}

/** When a response was completed, in seconds since 1970; null for one that is incomplete. */
export function completedAt(status: Status, about: About, trace: Trace): number | null {
  return status === 'completed' ? about.createdS + Math.ceil(trace.elapsedMs() / 1000) : null;
}

/** A text part of a message. */
export function textPart(text: string, tokens: readonly EmittedToken[], draft: ResponsesDraft): object {
  return { type: 'output_text', annotations: [], logprobs: draft.logprobs ? tokenLogprobs(tokens, draft.topLogprobs ?? 0) : [], text };
}

/** What a message holds of a model that will not answer. */
export function refusalPart(refusal: string): object {
  return { type: 'refusal', refusal };
}

/** A message item. */
export function messageItem(id: string, status: Status, content: readonly object[]): object {
  return { id, type: 'message', status, role: 'assistant', content };
}

/** A function call item. */
export function callItem(id: string, status: Status, call: { readonly id: string; readonly name: string; readonly arguments: string }): object {
  return { id, type: 'function_call', status, call_id: call.id, name: call.name, arguments: call.arguments };
}

/** An item of thoughts. */
export function reasoningItem(id: string, text: string): object {
  return { id, type: 'reasoning', summary: [], content: text === '' ? [] : [{ type: 'reasoning_text', text }] };
}
