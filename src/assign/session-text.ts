/**
 * The text of a turn with marks of the session before it, so that a router of texts can decide turn by turn: which turn it is,
 * how long the conversation was, whether the user had to ask again, and the user's turn before. Made alike at training and use.
 *
 * Source of the mark of repetition: users rephrase when an answer failed (Hassan et al., 2015).
 */
import type { Message, Prompt } from '../exchange.ts';
import { promptText } from './prompt-text.ts';

const earlierMax = 400;

/** The user's last message behind marks such as `turn:3 long:2 again`. */
export function sessionText(prompt: Prompt<string>): string {
  return sessionTextOf(promptText(prompt), before(prompt));
}

/** The same from a text and the messages before it. */
export function sessionTextOf(last: string, history: readonly Pick<Message, 'role' | 'content'>[]): string {
  const users = history.filter(({ role }) => role === 'user');
  if (users.length === 0) return last;
  const earlier = users.at(-1)?.content ?? '';
  const characters = history.reduce((sum, { content }) => sum + content.length, 0);
  const again = overlap(last, earlier) > 0.5 ? ['sessionagain'] : [];
  const refused = /\b(?:sorry|cannot|don't know|not sure|unclear)\b/i.test(history.findLast(({ role }) => role === 'assistant')?.content ?? '') ? ['sessionrefused'] : [];
  return [`sessionturn${Math.min(8, users.length + 1)} sessionlong${Math.min(12, Math.floor(Math.log2(1 + characters)))}`, ...again, ...refused, last, earlier.slice(0, earlierMax)].join('\n');
}

function before(prompt: Prompt<string>): readonly Message[] {
  if (prompt.text !== undefined) return [];
  const at = prompt.messages.map(({ role }) => role).lastIndexOf('user');
  return prompt.messages.slice(0, Math.max(0, at));
}

/** Share of the words of one text that occur in the other. */
function overlap(a: string, b: string): number {
  const words = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const [own, other] = [words(a), new Set(words(b))];
  return own.length === 0 ? 0 : own.filter((word) => other.has(word)).length / own.length;
}
