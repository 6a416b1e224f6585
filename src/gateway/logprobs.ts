/** Log-probabilities of tokens in OpenAI's form. */
import type { EmittedToken } from '../exchange.ts';

/** Stands for a probability of zero or an unknown one, as OpenAI's interface has it. */
const floorLogprob = -9999;

type Reported = Pick<EmittedToken, 'text' | 'bytes' | 'logprob'>;

function entry(token: Reported): { token: string; logprob: number; bytes: readonly number[] } {
  const { text, logprob } = token;
  const cut = fittingBytes(token);
  return { token: cut === undefined ? text : label(cut), logprob: logprob === undefined || !Number.isFinite(logprob) ? floorLogprob : logprob, bytes: cut ?? [...Buffer.from(text)] };
}

/** How a token is shown: its text, or its bytes where they are not whole characters. */
function shown(token: Reported): string {
  const bytes = fittingBytes(token);
  return bytes === undefined ? token.text : label(bytes);
}

/** Bytes of a token that are not whole characters, as long as they fit its text. A guard may have cut or altered the text, and what it took out must not come back as bytes. */
function fittingBytes({ text, bytes }: Reported): readonly number[] | undefined {
  if (bytes === undefined) return undefined;
  const characters = Buffer.from(bytes).toString('utf8').replaceAll('\uFFFD', '');
  return text.includes(characters) || text === label(bytes) ? bytes : undefined;
}

/** Bytes that are not whole characters as OpenAI shows them, such as `bytes:\xe6\x97`. */
function label(bytes: readonly number[]): string {
  return `bytes:${bytes.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)).join('')}`;
}

/** Tokens as the chat and Responses endpoints report them. @param alternatives how many were asked for */
export function tokenLogprobs(tokens: readonly EmittedToken[], alternatives: number): object[] {
  return tokens.map((token) => ({
    ...entry(token),
    top_logprobs: (token.top ?? []).slice(0, alternatives).map(entry),
  }));
}

/** Tokens as the legacy completions endpoint reports them. @param offset characters before the first token */
export function legacyLogprobs(tokens: readonly EmittedToken[], alternatives: number, offset: number): object {
  let at = offset;
  const offsets = tokens.map(({ text }) => {
    const start = at;
    at += text.length;
    return start;
  });
  return {
    tokens: tokens.map(shown),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? floorLogprob),
    top_logprobs: tokens.map((token) => Object.fromEntries((token.top ?? []).slice(0, alternatives).map((other) => [shown(other), Number.isFinite(other.logprob) ? other.logprob : floorLogprob]))),
    text_offset: offsets,
  };
}
