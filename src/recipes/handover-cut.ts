/**
 * Where a text is handed over from one model to another. Engines join what comes fast, so one part can hold a whole answer: it is cut
 * in two after as many tokens as are wanted and the word that they end in. Where tokens are not known they are taken as four characters each.
 */
import type { Part } from '../exchange.ts';

type TextPart = Extract<Part, { type: 'text' }>;

const charactersAToken = 4;

/** Tokens of a text part, by their number or their usual length. */
export function tokensOf({ delta, tokens }: Pick<TextPart, 'delta' | 'tokens'>): number {
  return tokens?.length ?? delta.length / charactersAToken;
}

/** The same parts, of which the one that crosses the border is cut in two where that can be done. @param tokensMax tokens before the border */
export async function* cutAfter(parts: AsyncIterable<Part>, tokensMax: number): AsyncGenerator<Part> {
  let written = 0;
  for await (const part of parts) {
    const left = tokensMax - written;
    if (part.type === 'text') written += tokensOf(part);
    if (part.type === 'text' && left > 0 && written > tokensMax) yield* cut(part, left);
    else yield part;
  }
}

/** A part as two, or as it is where there is no good place to cut. @param tokensMax of the first, above 0 */
function cut(part: TextPart, tokensMax: number): readonly TextPart[] {
  const { delta, tokens } = part;
  if (tokens === undefined) {
    const at = delta.slice(Math.ceil(tokensMax * charactersAToken)).search(/\s/);
    return at < 0 ? [part] : halves(part, Math.ceil(tokensMax * charactersAToken) + at);
  }
  const wanted = Math.ceil(tokensMax);
  const wordEnd = tokens.findIndex(({ text }, at) => at >= wanted && /^\s/.test(text));
  const head = tokens.slice(0, wordEnd < 0 ? wanted : wordEnd);
  const text = head.reduce((joined, token) => joined + token.text, '');
  if (head.length === tokens.length || !delta.startsWith(text)) return [part]; // a character can lie across tokens
  const [first, second] = halves(part, text.length);
  return [{ ...first, tokens: head }, { ...second, tokens: tokens.slice(head.length) }];
}

function halves(part: TextPart, at: number): readonly [TextPart, TextPart] {
  return [{ ...part, delta: part.delta.slice(0, at) }, { ...part, delta: part.delta.slice(at) }];
}
