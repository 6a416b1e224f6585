/**
 * The mask: makes the view of a request that cloud members may read, and the function that undoes it on the way back.
 *
 * Most requests hide nothing. The detectors' hints tell quickly; then the masked view is the raw prompt itself. Attachments
 * are never looked into. In the class `open` nothing is masked.
 */
import type { Config } from '../config.ts';
import type { Answered, Guarded, MaskedText, Prompt, Restored, Veiled } from '../exchange.ts';
import { mapTexts, reached } from '../exchange.ts';
import type { Span } from '../trace/trace.ts';
import { searchFor, type Search } from './detect/index.ts';
import { TextMask } from './mask-text.ts';
import { restoreParts } from './restore.ts';
import { Vault } from './vault.ts';

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
  const view = holdsAny(prompt, mask) ? maskedView(prompt, mask) : (prompt as Prompt<MaskedText>);
  if (vault.size > 0) span.set({ hidden: vault.size });
  const attachments = prompt.messages.reduce((sum, message) => sum + (message.attachments?.length ?? 0), 0);
  if (attachments > 0) span.set({ attachmentsNotMasked: attachments });
  return {
    veiled: { request: guarded, raw: prompt, masked: view, veil: (text) => veil(text, mask), hidden: vault.counts },
    restore: (answered) => reached<'restored', ReturnType<typeof restoreParts>>(restoreParts(answered, vault)),
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
function maskedView(prompt: Prompt<string>, mask: TextMask): Prompt<MaskedText> {
  mapTexts(prompt, (text) => {
    mask.reserve(text);
    return text;
  });
  mapTexts(prompt, (text, field) => {
    if (field === 'arguments') mask.json(text);
    else mask.learn(text);
    return text;
  });
  return mapTexts(prompt, (text, field) => (field === 'arguments' ? mask.json(text) : field === 'name' ? mask.name(text) : mask.plain(text)));
}

function veil(text: string, mask: TextMask): MaskedText {
  mask.reserve(text);
  mask.learn(text);
  return mask.plain(text);
}
