/** POST /v1/chat/completions: bodies, replies and events in the form that OpenAI's clients expect. */
import type { Part } from '../../exchange.ts';
import { fail, type TandemError } from '../../errors.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Collected, CollectedAnswer } from '../collect.ts';
import type { About, Endpoint, EventWriter } from '../endpoint.ts';
import { explanation, shortExplanation } from '../explanation.ts';
import { tokenLogprobs } from '../logprobs.ts';
import { newDraft } from '../parameters/draft.ts';
import { readParameters } from '../parameters/parameter.ts';
import { wrong, type JsonObject } from '../parameters/reading.ts';
import { chatUsage } from '../usage.ts';
import { chatParameters, type ChatDraft } from './parameters.ts';

/** The chat endpoint. */
export const chatEndpoint: Endpoint<ChatDraft> = { surface: 'chat', read: readChat, reply: chatReply, events: (about, draft) => new ChatEvents(about, draft) };

function readChat(body: JsonObject): ChatDraft {
  const draft: ChatDraft = { ...newDraft(), logprobs: false, topLogprobs: undefined };
  if (body.messages === undefined || body.messages === null) fail('parameter_missing', { message: 'messages is required.', param: 'messages' });
  readParameters(body, chatParameters, draft);
  if (draft.logprobs) draft.sampling.topLogprobs = draft.topLogprobs ?? 0;
  else if (draft.topLogprobs !== undefined) wrong('top_logprobs', 'logprobs to be true', draft.topLogprobs);
  return draft;
}

/** Written by hand around what varies, as the events are. */
function chatReply(answers: Collected, about: About, draft: ChatDraft, trace: Trace, explained: object | undefined): string {
  const choices = answers.map((answer, index) => choiceJson(answer, index, draft)).join(',');
  const metadata = draft.metadata === undefined ? '' : `,"metadata":${JSON.stringify(draft.metadata)}`;
  const tandem = explained === undefined ? '' : `,"tandem":${JSON.stringify(explained)}`;
  return `{"id":"chatcmpl-${about.id}","object":"chat.completion","created":${about.createdS},"model":${JSON.stringify(about.model)},"choices":[${choices}],"usage":${JSON.stringify(chatUsage(trace))}${metadata}${tandem}}`;
}

function choiceJson(answer: CollectedAnswer, index: number, draft: ChatDraft): string {
  const plain = answer.reasoning === '' && answer.calls.length === 0 && answer.refusal === '';
  const message = plain ? `{"role":"assistant","content":${JSON.stringify(answer.text)},"refusal":null}` : JSON.stringify(messageOf(answer));
  const logprobs = draft.logprobs ? JSON.stringify({ content: tokenLogprobs(answer.tokens, draft.topLogprobs ?? 0), refusal: null }) : 'null';
  return `{"index":${index},"message":${message},"logprobs":${logprobs},"finish_reason":"${answer.finish}"}`;
}

function messageOf(answer: CollectedAnswer): object {
  const calls = answer.calls.filter((call) => call !== undefined);
  return {
    role: 'assistant',
    content: answer.text === '' && (calls.length > 0 || answer.refusal !== '') ? null : answer.text,
    refusal: answer.refusal === '' ? null : answer.refusal,
    ...(answer.reasoning === '' ? {} : { reasoning_content: answer.reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } })) }),
  };
}

class ChatEvents implements EventWriter {
  readonly #draft: ChatDraft;
  /** Everything of a chunk before its choices; the same for the whole stream. */
  readonly #head: string;
  readonly #tail: string;
  readonly #roleSent = new Set<number>();

  constructor(about: About, draft: ChatDraft) {
    this.#draft = draft;
    this.#head = `data: {"id":"chatcmpl-${about.id}","object":"chat.completion.chunk","created":${about.createdS},"model":${JSON.stringify(about.model)},"choices":[`;
    this.#tail = draft.includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  }

  begin(): string {
    return '';
  }

  part(part: Part): string {
    if (this.#roleSent.has(part.answer)) return this.#chunk(part);
    this.#roleSent.add(part.answer);
    return this.#choice(part.answer, '{"role":"assistant","content":"","refusal":null}') + this.#chunk(part);
  }

  end(trace: Trace): string {
    const { includeUsage, explain } = this.#draft;
    if (!includeUsage && !explain) return 'data: [DONE]\n\n';
    const usage = includeUsage ? `,"usage":${JSON.stringify(chatUsage(trace))}` : '';
    return `${this.#head}]${usage},"tandem":${JSON.stringify(explain ? explanation(trace) : shortExplanation(trace))}}\n\ndata: [DONE]\n\n`;
  }

  error(error: TandemError): string {
    return `data: ${JSON.stringify(error.toOpenAi())}\n\n`;
  }

  #chunk(part: Part): string {
    switch (part.type) {
      case 'text': {
        if (part.delta === '' && part.tokens === undefined) return '';
        if (part.refusal === true) return this.#choice(part.answer, `{"refusal":${JSON.stringify(part.delta)}}`);
        const { logprobs, topLogprobs } = this.#draft;
        const tokens = logprobs && part.tokens !== undefined ? `{"content":${JSON.stringify(tokenLogprobs(part.tokens, topLogprobs ?? 0))},"refusal":null}` : 'null';
        return this.#choice(part.answer, `{"content":${JSON.stringify(part.delta)}}`, tokens);
      }
      case 'reasoning':
        return this.#choice(part.answer, `{"reasoning_content":${JSON.stringify(part.delta)}}`);
      case 'tool-call': {
        const named = part.id === undefined && part.name === undefined ? { index: part.call, function: { arguments: part.argumentsDelta } } : { index: part.call, id: part.id, type: 'function', function: { name: part.name, arguments: part.argumentsDelta } };
        return this.#choice(part.answer, `{"tool_calls":[${JSON.stringify(named)}]}`);
      }
      case 'finish':
        return this.#choice(part.answer, '{}', 'null', `"${part.reason}"`);
    }
  }

  #choice(index: number, delta: string, logprobs = 'null', finish = 'null'): string {
    return `${this.#head}{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${finish}}${this.#tail}`;
  }
}
