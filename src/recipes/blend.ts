/**
 * Blend: every turn of a conversation is answered by a member drawn at random; all of them see the same history, so the
 * conversation takes on something of each. The draw is made with the request's seed, so a turn can be repeated.
 *
 * Lu et al.: Blending Is All You Need: Cheaper, Better Alternative to Trillion-Parameters LLM (arXiv:2401.02994).
 */
import { z } from 'zod';
import { fail } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import { ask } from './ask.ts';
import { memberOrder } from './knobs.ts';
import { membersIn } from './member-order.ts';
import type { Recipe, RecipeContext } from './recipe.ts';

const knobs = z.strictObject({
  members: memberOrder('small', 'large'),
  weights: z.record(z.string(), z.number().min(0)).default({}).describe('How often a member is drawn in relation to the others, by member id, 0 or more. Default: 1 each.'),
});

type Knobs = z.infer<typeof knobs>;

/** `tandem/blend`. */
export const blend: Recipe<Knobs> = {
  id: 'blend',
  summary: 'Each turn of a conversation is answered by a member drawn at random over the shared history.',
  sources: [{ title: 'Blending Is All You Need: Cheaper, Better Alternative to Trillion-Parameters LLM', ref: 'arXiv:2401.02994' }],
  rows: [67],
  primitives: ['P01', 'P13'],
  needs: [],
  knobs,
  carries: { tools: true, formats: true, logprobs: true, attachments: true },
  run,
};

function run(prompt: Veiled, context: RecipeContext<Knobs>): AsyncIterable<Part> {
  const { knobs: { members: named, weights }, team, random, span } = context;
  const members = membersIn(named, team).map((member) => ({ member, weight: weights[member.id] ?? 1 }));
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  let left = random.next() * total;
  const drawn = members.find(({ weight }) => (left -= weight) < 0) ?? fail('recipe_unavailable', 'No member of the team is in the knob `members` with a weight above 0.');
  span.decide('blend', drawn.member.id, 'It was drawn at random.', { share: drawn.weight / total });
  return ask(context, drawn.member, prompt);
}
