/** The legacy POST /v1/completions: bodies, replies and events. */
import type { FinishReason, Part } from '../../exchange.ts';
import { fail, type TandemError } from '../../errors.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Collected } from '../collect.ts';
import type { About, Endpoint, EventWriter } from '../endpoint.ts';
import { explanation, shortExplanation } from '../explanation.ts';
import { legacyLogprobs } from '../logprobs.ts';
import { newDraft } from '../parameters/draft.ts';
import { readParameters } from '../parameters/parameter.ts';
import { unsupported, type JsonObject } from '../parameters/reading.ts';
import { chatUsage } from '../usage.ts';
import { completionsParameters, type CompletionDraft } from './parameters.ts';

/** The completions endpoint. */
export const completionsEndpoint: Endpoint<CompletionDraft> = { surface: 'completions', read: readCompletion, reply: completionReply, events: (about, draft) => new CompletionEvents(about, draft) };

function readCompletion(body: JsonObject): CompletionDraft {
  const draft: CompletionDraft = Object.assign(newDraft(), { echo: false, alternatives: undefined, bestOf: undefined });
  if (body.prompt === undefined || body.prompt === null) fail('parameter_missing', { message: 'prompt is required.', param: 'prompt' });
  readParameters(body, completionsParameters, draft);
  if (draft.alternatives !== undefined) draft.sampling.topLogprobs = draft.alternatives;
  if (draft.echo && draft.alternatives !== undefined) unsupported('echo', 'the prompt is not scored; leave logprobs out');
  if (draft.bestOf !== undefined && draft.bestOf !== draft.answers) unsupported('best_of', 'only as many answers are made as n asks for');
  return draft;
}

function completionReply(answers: Collected, about: About, draft: CompletionDraft, trace: Trace, explained: object | undefined): string {
  return JSON.stringify({
    id: `cmpl-${about.id}`,
    object: 'text_completion',
    created: about.createdS,
    model: about.model,
    choices: answers.map((answer, index) => ({
      index,
      // This endpoint knows no refusals: they are what was said.
      text: (draft.echo ? (draft.text ?? '') : '') + answer.text + answer.refusal,
      logprobs: draft.alternatives === undefined ? null : legacyLogprobs(answer.tokens, draft.alternatives, 0),
      finish_reason: legacyReason(answer.finish),
    })),
    usage: chatUsage(trace),
    tandem: explained,
  });
}

/** This endpoint knows no tools, so it knows no such reason either. */
function legacyReason(reason: FinishReason): string {
  return reason === 'tool_calls' ? 'stop' : reason;
}

class CompletionEvents implements EventWriter {
  readonly #draft: CompletionDraft;
  readonly #head: string;
  readonly #tail: string;
  /** Characters sent so far, by answer: where the next token begins. */
  readonly #sent: number[] = [];
  readonly #echoed = new Set<number>();

  constructor(about: About, draft: CompletionDraft) {
    this.#draft = draft;
    this.#head = `data: {"id":"cmpl-${about.id}","object":"text_completion","created":${about.createdS},"model":${JSON.stringify(about.model)},"choices":[`;
    this.#tail = draft.includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  }

  begin(): string {
    return '';
  }

  part(part: Part): string {
    if (part.type !== 'text' && part.type !== 'finish') return '';
    const echo = this.#draft.echo && !this.#echoed.has(part.answer) ? this.#choice(part.answer, this.#draft.text ?? '') : '';
    this.#echoed.add(part.answer);
    if (part.type === 'finish') return echo + this.#choice(part.answer, '', 'null', `"${legacyReason(part.reason)}"`);
    const at = this.#sent[part.answer] ?? 0;
    this.#sent[part.answer] = at + part.delta.length;
    const { alternatives } = this.#draft;
    const logprobs = alternatives !== undefined && part.tokens !== undefined ? JSON.stringify(legacyLogprobs(part.tokens, alternatives, at)) : 'null';
    return echo + this.#choice(part.answer, part.delta, logprobs);
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

  #choice(index: number, text: string, logprobs = 'null', finish = 'null'): string {
    return `${this.#head}{"index":${index},"text":${JSON.stringify(text)},"logprobs":${logprobs},"finish_reason":${finish}}${this.#tail}`;
  }
}
