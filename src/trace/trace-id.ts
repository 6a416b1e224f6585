/**
 * Ids of traces: the time of the request, then 80 random bits. Ids that come one after the other then lie side by side in the
 * index of a database, where wholly random ones would each change another page: that halves the cost of writing a trace. The
 * random part is more than the 56 bits that W3C Trace Context, level 2, asks for at the end.
 */
import type { Random } from '../system/random.ts';

/** Milliseconds that the last four digits of the time tell apart. */
const shortMs = 0x10000;
/** The digits before them, which change once a minute. */
let long = { time: -1, digits: '' };

/** An id for a new trace: 32 lower-case hex digits. @param nowMs milliseconds since 1970 */
export function newTraceId(nowMs: number, random: Random): string {
  const time = Math.floor(nowMs / shortMs);
  if (time !== long.time) long = { time, digits: time.toString(16).padStart(8, '0') };
  const short = Math.floor(nowMs) - time * shortMs;
  return long.digits + (short + shortMs).toString(16).slice(1) + random.hex(10);
}
