/**
 * Keys and other secrets: strings with a maker's known prefix, private keys in PEM, JSON web tokens, passwords in URLs,
 * and what follows a word such as `password:` or `Bearer` and looks random enough to be one.
 */
import type { Detector, Found } from './detector.ts';
import { keyHint } from './key-hint.ts';

/** Prefixes that their makers give out so that leaked keys can be found. */
const prefixed: readonly RegExp[] = [
  /sk-(?:proj-|svcacct-|admin-|ant-(?:api\d\d-|admin\d\d-)?|or-v1-)?[A-Za-z0-9_-]{20,512}/, // OpenAI, Anthropic, OpenRouter, DeepSeek
  /(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,512}/, // Stripe
  /whsec_[A-Za-z0-9+/=]{16,128}/, // Stripe, Svix webhooks
  /gh[pousr]_[A-Za-z0-9]{36,255}/, // GitHub
  /github_pat_[A-Za-z0-9_]{22,255}/, // GitHub
  /gl(?:pat|ptt|rt|dt|ft|soat|cbt|agent)-[A-Za-z0-9_-]{20,64}/, // GitLab
  /(?:AKIA|ASIA|AIDA|AROA)[A-Z2-7]{16}/, // AWS
  /AIza[A-Za-z0-9_-]{35}/, // Google
  /ya29\.[A-Za-z0-9_-]{20,512}/, // Google
  /GOCSPX-[A-Za-z0-9_-]{28}/, // Google
  /xox[abeoprs]-[A-Za-z0-9-]{10,256}/, // Slack
  /xapp-\d-[A-Za-z0-9-]{10,256}/, // Slack
  /hf_[A-Za-z0-9]{30,64}/, // Hugging Face
  /npm_[A-Za-z0-9]{36}/, // npm
  /pypi-[A-Za-z0-9_-]{50,512}/, // PyPI
  /SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}/, // SendGrid
  /key-[0-9a-f]{32}/, // Mailgun
  /dop_v1_[0-9a-f]{64}/, // DigitalOcean
  /shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}/, // Shopify
  /(?:AC|SK)[0-9a-f]{32}/, // Twilio
  /gsk_[A-Za-z0-9]{40,64}/, // Groq
  /xai-[A-Za-z0-9]{60,100}/, // xAI
  /r8_[A-Za-z0-9]{37}/, // Replicate
  /nvapi-[A-Za-z0-9_-]{40,80}/, // NVIDIA
  /lin_api_[A-Za-z0-9]{40}/, // Linear
  /ntn_[A-Za-z0-9]{40,60}/, // Notion
  /(?:age-secret-key|AGE-SECRET-KEY)-1[A-Za-z0-9]{50,64}/, // age
  /eyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,1024}/, // JSON web token
];
const vendors = new RegExp(`(?<![A-Za-z0-9])(?:${prefixed.map(({ source }) => source).join('|')})(?![A-Za-z0-9])`, 'g');
const pemBegin = /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
const pemEnd = /-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g;
/** Armour's own lines, such as `Version: 2`, and the key's letters; a line may end with `\n` as two characters. */
const pemBody = /(?:(?:\s|\\[rn]){0,8}[A-Za-z][A-Za-z-]{0,31}: [^\n\\]{0,256}(?:\n|(?:\\r)?\\n)){0,8}[A-Za-z0-9+/=\s\\]{0,16384}/y;
const inUrl = /(?<=[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@]{0,128}:)[^\s/]{1,256}(?=@)/gi;

/** A word that announces a secret, at most a few words, `:` or `=` or "is", perhaps a quote, and the secret. */
const named = /(?<![A-Za-z])(?:api[ _-]?key|(?:access|secret|private|auth|refresh|bearer|client|signing|encryption|account|session|webhook)[ _-]?(?:key|token|secret)|secret|token|passw(?:or)?d|passphrase|pwd|passwort|kennwort|credentials?|bearer|authorization|[a-z0-9]{1,24}_(?:key|pass))(?:["'`]?[ \t]{0,3}(?:[:=]|:=|=>|\bis\b)[ \t]{0,3}(?:Bearer|Basic|Token)?[ \t]{0,2}|[ \t]{1,2})["'`]?([^\s"'`,;<>(){}[\]]{6,512})/gi;
const wordAlone = /(?:bearer|authorization)$/i;
/** `DB_KEY=`, but also `primary_key=`: what follows must look random. */
const vague = /^(?!api|access|secret|private|auth|signing|encryption|account|session)[a-z0-9]{1,24}_(?:key|pass)\b/i;

/** Finds keys and other secrets. */
export const key: Detector = {
  kind: 'key',
  hint: keyHint,
  find: (text) => {
    const found: Found[] = [];
    const add = (start: number, end: number): void => void found.push({ kind: 'key', start, end });
    for (const pattern of [vendors, inUrl]) for (const match of text.matchAll(pattern)) add(match.index, match.index + match[0].length);
    for (const { start, end } of pemBlocks(text)) add(start, end);
    for (const match of text.matchAll(named)) {
      const value = (match[1] ?? '').replace(/[.:]+$/, '');
      const end = match.index + match[0].length - (match[1] ?? '').length + value.length;
      const announced = !vague.test(match[0]) && /[:=]|\bis\b/i.test(match[0].slice(0, match[0].length - (match[1] ?? '').length)) || wordAlone.test(match[0].split(/\s/)[0] ?? '');
      if (isSecret(value, announced)) add(end - value.length, end);
    }
    return merged(found);
  },
};

/** From each BEGIN to the next END; where that was cut off, as far as the key's letters go. */
function pemBlocks(text: string): { readonly start: number; readonly end: number }[] {
  const ends = [...text.matchAll(pemEnd)].map((match) => match.index + match[0].length);
  const blocks: { readonly start: number; readonly end: number }[] = [];
  let nextEnd = 0;
  for (const match of text.matchAll(pemBegin)) {
    const bodyAt = match.index + match[0].length;
    if (match.index < (blocks.at(-1)?.end ?? 0)) continue;
    while (nextEnd < ends.length && (ends[nextEnd] ?? 0) < bodyAt) nextEnd++;
    const end = ends[nextEnd];
    pemBody.lastIndex = bodyAt;
    blocks.push({ start: match.index, end: end !== undefined && end - bodyAt < 16_384 ? end : bodyAt + (pemBody.exec(text)?.[0].trimEnd().length ?? 0) });
  }
  return blocks;
}

/** Announced by `:` or `=`: six characters with a digit or a sign are enough. Otherwise it must look random. */
function isSecret(value: string, announced: boolean): boolean {
  if (/^(?:true|false|null|none|undefined|required|optional|process\.env.*|\$\{?\w+\}?|%\w+%|\*+|x+|\.+|<.*>|https?:.*)$/i.test(value)) return false;
  if (placeholderLike.test(value)) return false;
  const classes = Number(/[a-z]/.test(value)) + Number(/[A-Z]/.test(value)) + Number(/\d/.test(value)) + Number(/[^A-Za-z0-9]/.test(value));
  if (announced) return (classes >= 2 && /\d|[^A-Za-z0-9_.-]/.test(value)) || (value.length >= 20 && entropyBits(value) >= 3.2);
  return value.length >= 16 && classes >= 2 && /\d/.test(value) && entropyBits(value) >= 3.2;
}

/** Already masked. */
const placeholderLike = /^[<[{(]?(?:EMAIL|PHONE|CARD|IBAN|KEY)[_ -]\d+[>\]})]?$/i;

/** Shannon entropy of the text's characters, in bits a character. */
function entropyBits(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

function merged(found: readonly Found[]): Found[] {
  const result: Found[] = [];
  for (const one of found.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = result.at(-1);
    if (last !== undefined && one.start < last.end) result[result.length - 1] = { ...last, end: Math.max(last.end, one.end) };
    else result.push(one);
  }
  return result;
}
