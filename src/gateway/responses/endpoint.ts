/** POST /v1/responses: bodies and replies; events lie in `events.ts`. Stateless: nothing of an answer is kept. */
import { fail } from '../../errors.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Collected, CollectedAnswer } from '../collect.ts';
import type { About, Endpoint } from '../endpoint.ts';
import { newDraft } from '../parameters/draft.ts';
import { readParameters } from '../parameters/parameter.ts';
import { wrong, type JsonObject } from '../parameters/reading.ts';
import { responsesUsage } from '../usage.ts';
import { ResponsesEvents } from './events.ts';
import { callItem, completedAt, endOf, messageItem, reasoningItem, refusalPart, responseObject, textPart, type Status } from './output.ts';
import { responsesParameters, type ResponsesDraft } from './parameters.ts';

/** The Responses endpoint. */
export const responsesEndpoint: Endpoint<ResponsesDraft> = { surface: 'responses', read: readResponses, reply: responsesReply, events: (about, draft) => new ResponsesEvents(about, draft) };

function readResponses(body: JsonObject): ResponsesDraft {
  const draft: ResponsesDraft = Object.assign(newDraft(), {
    input: [],
    instructions: undefined,
    echo: { tools: undefined, toolChoice: undefined, format: undefined, effort: undefined },
    topLogprobs: undefined,
    logprobs: false,
  });
  if (body.input === undefined || body.input === null) fail('parameter_missing', { message: 'input is required.', param: 'input' });
  readParameters(body, responsesParameters, draft);
  draft.messages = [...(draft.instructions === undefined ? [] : [{ role: 'system' as const, content: draft.instructions }]), ...draft.input];
  if (draft.topLogprobs !== undefined && draft.topLogprobs > 0 && !draft.logprobs) wrong('top_logprobs', 'include to hold message.output_text.logprobs', draft.topLogprobs);
  if (draft.logprobs) draft.sampling.topLogprobs = draft.topLogprobs ?? 0;
  return draft;
}

function responsesReply(answers: Collected, about: About, draft: ResponsesDraft, trace: Trace, explained: object | undefined): string {
  const answer = answers[0] as CollectedAnswer;
  const { status, incomplete_details } = endOf(answer.finish);
  const more = { incomplete_details, usage: responsesUsage(trace), completed_at: completedAt(status, about, trace) };
  return JSON.stringify({ ...responseObject(about, draft, status, outputOf(answer, about, draft, status), more), tandem: explained });
}

function outputOf(answer: CollectedAnswer, about: About, draft: ResponsesDraft, status: Status): object[] {
  const output: object[] = [];
  const id = (kind: string): string => `${kind}_${about.id}_${output.length}`;
  if (answer.reasoning !== '') output.push(reasoningItem(id('rs'), answer.reasoning));
  const calls = answer.calls.filter((call) => call !== undefined);
  if (answer.text !== '' || (calls.length === 0 && answer.refusal === '')) output.push(messageItem(id('msg'), status, [textPart(answer.text, answer.tokens, draft)]));
  if (answer.refusal !== '') output.push(messageItem(id('msg'), status, [refusalPart(answer.refusal)]));
  for (const call of calls) output.push(callItem(id('fc'), status, call));
  return output;
}
