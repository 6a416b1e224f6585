/**
 * How much V8 builds together when it optimises a function. A request passes some three hundred small functions once, and when it is
 * alone the processor has forgotten all of them since the last one: each call then costs more than the code that it saves. With the
 * larger budgets a lone request is answered sooner; with many at once they bring nothing, or cost some, since larger code leaves
 * the caches sooner (`npm run bench:gateway`; the figures stand in the README).
 */
import { setFlagsFromString } from 'node:v8';

/** Bytes of bytecode of one function that is built into another, at most; and of all of them together. V8's own: 460 and 920. */
const budgets = { 'max-inlined-bytecode-size': 1_000, 'max-inlined-bytecode-size-cumulative': 2_000 } as const;

/** Sets the budgets for the whole process, unless whoever started it did. Call it before anything is loaded from the compile cache: flags of V8 are part of its key. */
export function inlineMore(): void {
  if (/inlined[-_]bytecode/.test([...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' '))) return;
  for (const [flag, bytes] of Object.entries(budgets)) setFlagsFromString(`--${flag}=${bytes}`);
}
