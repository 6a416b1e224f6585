/**
 * List prices of well-known cloud models, in dollars a million tokens, each with the public document it was read in.
 *
 * A list price is not a bill: makers change prices, grant discounts, and add tiers for long prompts or fast service. The
 * configuration's `price` of a member always wins. A member gets its list price when it is made (`load.ts`), so that limits, steering and
 * the meter see the same one. A model in the cloud that is not here has no price: its calls are marked `priceKnown: false`, never
 * counted as free, and refused where dollars are limited. Models whose price depends on the prompt's length or the hour are left out,
 * since one number would be wrong.
 */
import type { Price } from './team.ts';

/** A model's list price. */
export interface ListPrice extends Price {
  /** Name in the maker's API, without date or provider prefix. */
  readonly model: string;
  /** URL of the document. */
  readonly source: string;
}

const anthropicPage = 'https://platform.claude.com/docs/en/about-claude/pricing';
const openAiFigures = 'https://deploybase.ai/articles/openai-pricing';

/** From the maker's own page, read in a stored public copy on this date. */
function anthropic(model: string, input: number, cached: number, output: number): ListPrice {
  return { model, inputUsdPerMillionTokens: input, cachedInputUsdPerMillionTokens: cached, outputUsdPerMillionTokens: output, asOf: '2026-11-20', source: anthropicPage };
}

/** From an article that gives the figures of OpenAI's price page as of this date. It lists no cached prices, so cached tokens count in full. */
function openAi(model: string, input: number, output: number): ListPrice {
  return { model, inputUsdPerMillionTokens: input, outputUsdPerMillionTokens: output, asOf: '2026-03-21', source: openAiFigures };
}

/** The built-in prices. */
export const listPrices: readonly ListPrice[] = [
  anthropic('claude-opus-5', 5, 0.5, 25),
  anthropic('claude-opus-4-7', 5, 0.5, 25),
  anthropic('claude-opus-4-6', 5, 0.5, 25),
  anthropic('claude-opus-4-5', 5, 0.5, 25),
  anthropic('claude-sonnet-4-6', 3, 0.3, 15),
  anthropic('claude-sonnet-4-5', 3, 0.3, 15),
  anthropic('claude-haiku-4-5', 1, 0.1, 5),
  { model: 'claude-sonnet-5', inputUsdPerMillionTokens: 2, outputUsdPerMillionTokens: 10, asOf: '2026-11-20', source: 'https://platform.claude.com/docs/en/models/sonnet-5/overview' },
  openAi('gpt-5.1', 1.25, 10),
  openAi('gpt-5', 1.25, 10),
  openAi('gpt-5-mini', 0.25, 2),
  openAi('gpt-5-nano', 0.05, 0.4),
  openAi('gpt-4.1', 2, 8),
  openAi('gpt-4.1-mini', 0.4, 1.6),
  openAi('gpt-4.1-nano', 0.1, 0.4),
  openAi('gpt-4o', 2.5, 10),
  openAi('gpt-4o-mini', 0.15, 0.6),
  openAi('o4-mini', 1.1, 4.4),
];

/**
 * A model's list price. A provider before a slash and a date or `latest` at the end do not matter:
 * `openai/gpt-4.1-mini-2025-04-14` is `gpt-4.1-mini`.
 */
export function listPriceOf(modelName: string): ListPrice | undefined {
  const name = modelName.toLowerCase();
  const bare = name.slice(name.lastIndexOf('/') + 1).replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '');
  return listPrices.find(({ model }) => model === name) ?? listPrices.find(({ model }) => model === bare);
}
