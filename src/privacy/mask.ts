/**
 * The mask: makes the view of a request that cloud members may read, and the function that undoes it on the way back.
 *
 * Most requests hide nothing. The detectors' hints tell quickly; then the masked view is the raw prompt itself. Attachments
 * are never looked into. In the class `open` nothing is masked.
 */
import type { Config } from '../config.ts';
import type { AnswerFormat, Answered, Guarded, MaskedText, Prompt, Restored, Sampling, Veiled } from '../exchange.ts';
import { mapTexts, reached } from '../exchange.ts';
import type { Span } from '../trace/trace.ts';
import { searchFor, type Search } from './detect/index.ts';
import { TextMask } from './mask-text.ts';
import { restoreParts } from './restore.ts';
import { Vault } from './vault.ts';

/** Levels of nesting that are searched for what looks like a placeholder; a schema may have 256. */
const depthMax = 264;

/** Both views, and the way back. */
export interface Masked {
  readonly veiled: Veiled;
  /** Puts the private values back into an answer. */
  readonly restore: (answered: Answered) => Restored;
}

/**
 * Makes the stage. It throws nothing of its own: what no detector finds is not masked. Placeholders are numbered, so the
 * same request is masked the same way every time.
 */
export function createMask(settings: Config['privacy']): (guarded: Guarded, span: Span) => Masked {
  const search = searchFor(settings.detect);
  return (guarded, span) => (guarded.policy.privacyClass === 'open' ? unmasked(guarded) : masked(guarded, search, span));
}

function unmasked(guarded: Guarded): Masked {
  const { prompt } = guarded;
  return {
    veiled: { request: guarded, raw: prompt, masked: prompt as Prompt<MaskedText>, veil: (text) => text as MaskedText, hidden: {} },
    restore: (answered) => answered as unknown as Restored,
  };
}

function masked(guarded: Guarded, search: Search, span: Span): Masked {
  const { prompt } = guarded;
  const vault = new Vault();
  const mask = new TextMask(search, vault);
  const view = holdsAny(prompt, mask) ? maskedView(guarded, mask) : (prompt as Prompt<MaskedText>);
  if (vault.size > 0) span.set({ hidden: vault.size });
  const attachments = prompt.messages.reduce((sum, message) => sum + (message.attachments?.length ?? 0), 0);
  if (attachments > 0) span.set({ attachmentsNotMasked: attachments });
  return {
    veiled: { request: guarded, raw: prompt, masked: view, veil: (text) => veil(text, mask, vault, guarded), hidden: vault.counts },
    restore: (answered) => reached<'restored', ReturnType<typeof restoreParts>>(restoreParts(answered, vault, isJson(guarded.sampling.format))),
  };
}

/** Whether any text holds something to hide. */
function holdsAny(prompt: Prompt<string>, mask: TextMask): boolean {
  let any = false;
  mapTexts(prompt, (text, field) => {
    any ||= mask.mayHide(text, field === 'arguments');
    return text;
  });
  return any;
}

/** Three passes: what looks like a placeholder, what is to be hidden, and hiding it everywhere. */
function maskedView({ prompt, sampling }: Guarded, mask: TextMask): Prompt<MaskedText> {
  reserveShown(prompt, sampling, mask);
  mapTexts(prompt, (text, field) => {
    if (field === 'arguments') mask.json(text);
    else mask.learn(text);
    return text;
  });
  return mapTexts(prompt, (text, field) => (field === 'arguments' ? mask.json(text) : field === 'name' ? mask.name(text) : mask.plain(text)));
}

/** Keeps the numbers that a request shows anywhere from being given out, also in what is not masked, such as the names of tools and properties. */
function reserveShown(prompt: Prompt<string>, { stop, format }: Sampling, mask: TextMask): void {
  mapTexts(prompt, (text) => {
    mask.reserve(text);
    return text;
  });
  for (const value of [prompt.tools, stop, format]) reserveIn(value, mask, depthMax);
}

/** Texts and names in JSON, down to `depth` levels. */
function reserveIn(value: unknown, mask: TextMask, depth: number): void {
  if (typeof value === 'string') mask.reserve(value);
  if (typeof value !== 'object' || value === null || depth === 0) return;
  for (const [name, inner] of Object.entries(value)) {
    mask.reserve(name);
    reserveIn(inner, mask, depth - 1);
  }
}

function isJson(format: AnswerFormat | undefined): boolean {
  return format?.type === 'json' || format?.type === 'json-schema';
}

function veil(text: string, mask: TextMask, vault: Vault, { prompt, sampling }: Guarded): MaskedText {
  // The first that is to be hidden, so no number is given out yet.
  if (vault.size === 0 && mask.mayHide(text, false)) reserveShown(prompt, sampling, mask);
  mask.reserve(text);
  mask.learn(text);
  return mask.plain(text);
}
