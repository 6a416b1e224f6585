/**
 * POST /tandem/feedback: what a user said of an answer, kept with its trace. The first judgement of a request is also a reward
 * for the pilot; `fate` in the reply says what became of it: learned, repeated, unknown (not a request to `tandem/auto`), late,
 * crowded.
 */
import { fail } from '../errors.ts';
import type { Handler } from './http/router.ts';
import { compileTable, honoured, readParameters, type ParameterTable } from './parameters/parameter.ts';
import { numberAt, textAt, wrong } from './parameters/reading.ts';
import type { GatewayRuntime } from './runtime.ts';
import { traceFor } from './traces.ts';

/** A judgement while its body is being read. */
export interface FeedbackDraft {
  traceId: string | undefined;
  score: number | undefined;
  source: string;
}

/** The table of the feedback endpoint. */
export const feedbackTable: ParameterTable<FeedbackDraft> = {
  traceId: honoured('the header x-tandem-trace of the answer', (value, path, draft) => void (draft.traceId = textAt(value, path, 1, 64))),
  score: honoured('0 (bad) to 1 (good)', (value, path, draft) => void (draft.score = numberAt(value, path, 0, 1))),
  source: honoured('kind of judgement, such as thumb, edit, judge; default thumb', (value, path, draft) => {
    draft.source = textAt(value, path, 1, 32);
    if (!/^[a-z][a-z0-9-]*$/.test(draft.source)) wrong(path, 'lower-case letters, digits and "-"', value);
  }),
};

const parameters = compileTable(feedbackTable);

/** The handler of the endpoint. */
export function feedbackHandler(runtime: GatewayRuntime): Handler {
  return async (call) => {
    const caller = runtime.admission.identify(call.key);
    const draft: FeedbackDraft = { traceId: undefined, score: undefined, source: 'thumb' };
    readParameters(await call.readJson(), parameters, draft);
    const { traceId, score, source } = draft;
    if (traceId === undefined) fail('parameter_missing', { message: 'traceId is required.', param: 'traceId' });
    if (score === undefined) fail('parameter_missing', { message: 'score is required.', param: 'score' });
    const trace = await traceFor(runtime, traceId, caller);
    await runtime.store.writeFeedback({ traceId: trace.id, atMs: runtime.clock.wallMs(), caller: caller.name, score, source });
    const fate = await runtime.reward?.(trace.id, score, source);
    call.json(201, { object: 'feedback', traceId: trace.id, score, source, ...(fate === undefined ? {} : { fate }) });
  };
}
