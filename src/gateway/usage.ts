/** Token usage in OpenAI's forms. It sums every call of the request: what was used, not only what the last member used. */
import type { Trace } from '../trace/trace.ts';

/** Usage as the chat and completions endpoints report it. */
export function chatUsage(trace: Trace): object {
  const { promptTokens, cachedPromptTokens, completionTokens, reasoningTokens } = trace.usage();
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
    ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  };
}

/** Usage as the Responses endpoint reports it. */
export function responsesUsage(trace: Trace): object {
  const { promptTokens, cachedPromptTokens, completionTokens, reasoningTokens = 0 } = trace.usage();
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedPromptTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}
