/** Which characters end a word or stand alone, for the cutting of texts into pieces. Asked once a character, then remembered. */

/** Part of a word. */
export const letter = 1;
/** Punctuation, an ASCII sign or a Chinese character: a word of its own. */
export const alone = 2;
/** White space, control and format characters. */
export const space = 3;

const spaces = /^[\p{Cc}\p{Cf}\p{Z}]$/u;
const marks = /^[\p{P}\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2fa1f}]$/u;
const known = new Uint8Array(0x10000);

/** The class of a code point. */
export function classOf(code: number): number {
  const found = code < 0x10000 ? (known[code] as number) : 0;
  return found === 0 ? classify(code) : found;
}

function classify(code: number): number {
  const char = String.fromCodePoint(code);
  const found = spaces.test(char) ? space : (code < 128 ? !/[a-z0-9]/i.test(char) : marks.test(char)) ? alone : letter;
  if (code < 0x10000) known[code] = found;
  return found;
}
