/** What the trainer says while it works: one JSON object a line on its standard output. */
import { z } from 'zod';

const count = z.number().min(0);

/** The events that the commands understand. Other lines and events are passed on as they are. */
const known = z.discriminatedUnion('event', [
  z.object({ event: z.literal('start'), name: z.string(), steps: count, fromStep: count, parameters: count.optional(), tokens: count.optional() }),
  z.object({ event: z.literal('step'), step: count, loss: z.number(), tokensPerSecond: count, etaS: count, crossEntropy: z.number().optional() }),
  z.object({ event: z.literal('checkpoint'), step: count, path: z.string() }),
  z.object({ event: z.literal('stopped'), step: count }),
  z.object({ event: z.literal('end'), step: count, seconds: count }),
  z.object({ event: z.literal('error'), code: z.string(), message: z.string(), remedy: z.string().optional() }),
]);

/** An event that the commands understand. `etaS` is seconds to the end, `loss` in nats a token. */
export type TrainerEvent = z.infer<typeof known>;

/** A line of the trainer: as it came, and the event in it where it is one of those above. */
export interface TrainerLine {
  readonly line: string;
  readonly event?: TrainerEvent;
}

/** Reads one line. */
export function readLine(line: string): TrainerLine {
  try {
    const { success, data } = known.safeParse(JSON.parse(line));
    return success ? { line, event: data } : { line };
  } catch {
    return { line };
  }
}
