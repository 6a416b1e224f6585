/**
 * What must not compile: raw text on its way to a cloud member. `npm run typecheck` compiles this file; each
 * `@ts-expect-error` fails the check when the line below it becomes valid.
 */
import type { Admitted, Answered, Audited, MaskedText, Received, Restored, Veiled } from '../../src/exchange.ts';
import { veilSampling } from '../../src/exchange.ts';
import type { Call, Model } from '../../src/models/port.ts';
import type { AnyMember } from '../../src/models/team.ts';
import type { Stages } from '../../src/pipeline.ts';
import type { Span } from '../../src/trace/trace.ts';

declare const cloud: Model<'cloud'>;
declare const device: Model<'device'>;
declare const somewhere: AnyMember['model'];
declare const edge: Model<'edge'>;
declare const veiled: Veiled;
declare const call: Call;
declare const typed: string;
declare const stages: Stages;
declare const span: Span;
declare const received: Received;
declare const admitted: Admitted;
declare const answered: Answered;
declare const restored: Restored;

// masked text may go anywhere
cloud.generate({ prompt: veiled.masked, sampling: {} }, call);
edge.generate({ prompt: veiled.masked, sampling: {} }, call);
// raw text stays on own machines
device.generate({ prompt: veiled.raw, sampling: {} }, call);
edge.generate({ prompt: veiled.raw, sampling: {} }, call);
// @ts-expect-error a raw prompt does not go to the cloud
cloud.generate({ prompt: veiled.raw, sampling: {} }, call);
// @ts-expect-error nor does a prompt built from a plain string
cloud.generate({ prompt: { messages: [{ role: 'user', content: typed }] }, sampling: {} }, call);
// @ts-expect-error nor a masked prompt with a raw prefix
cloud.generate({ prompt: { ...veiled.masked, prefix: typed }, sampling: {} }, call);
// @ts-expect-error nor a raw text at which the answer is to stop
cloud.generate({ prompt: veiled.masked, sampling: { stop: [typed] } }, call);
cloud.generate({ prompt: veiled.masked, sampling: veilSampling({ stop: [typed] }, veiled.veil) }, call);
// @ts-expect-error nor a raw text to be embedded
cloud.embed?.({ texts: [typed] }, call);
// @ts-expect-error nor a raw continuation to be scored
cloud.score?.({ prompt: veiled.masked, continuation: typed }, call);
// text that arose later is masked with the request's own placeholders
cloud.generate({ prompt: { ...veiled.masked, prefix: veiled.veil(typed) }, sampling: {} }, call);

// a place that is known only at run time must be asked for, as `ask` and `askVectors` do, and gets the view that it may read
// @ts-expect-error it may be in the cloud
somewhere.generate({ prompt: veiled.raw, sampling: {} }, call);
// @ts-expect-error for vectors, too
somewhere.embed?.({ texts: veiled.raw.messages.map(({ content }) => content) }, call);
if (somewhere.place === 'cloud') {
  somewhere.generate({ prompt: veiled.masked, sampling: {} }, call);
  // @ts-expect-error the raw prompt is not for the cloud
  somewhere.generate({ prompt: veiled.raw, sampling: {} }, call);
  somewhere.embed?.({ texts: veiled.masked.messages.map(({ content }) => content) }, call);
  // @ts-expect-error nor are raw texts
  somewhere.embed?.({ texts: veiled.raw.messages.map(({ content }) => content) }, call);
} else somewhere.generate({ prompt: veiled.raw, sampling: {} }, call);
// @ts-expect-error a plain string is not masked text
const claimed: MaskedText = typed;

// no stage can be left out or moved
// @ts-expect-error a request that was not admitted cannot be guarded
stages.guardInput(received, span);
// @ts-expect-error a request that was not guarded cannot be masked
stages.mask(admitted, span);
// @ts-expect-error an answer with placeholders cannot be audited
stages.guardOutput(answered, span);
// @ts-expect-error an answer that the output guard has not seen cannot be sent
const sent: Audited = restored;

export { claimed, sent };
