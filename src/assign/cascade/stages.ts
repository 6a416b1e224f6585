/**
 * A budget over the stages of one task (row 153 of the list of systems): each stage offers ways (a member, a number of
 * samples) with a chance to succeed and a cost; the choice for all stages that makes the whole most likely to succeed within
 * the budget. Exact: partial choices are kept as long as no other is both cheaper and better.
 *
 * Source: AgentTTS (arXiv:2508.00890) for the problem; it searches with a model, which is not needed when the ways are measured.
 */

/** A way to do a stage. */
export interface Way {
  readonly name: string;
  /** Chance that the stage succeeds, 0 to 1. */
  readonly quality: number;
  readonly cost: number;
}

/** A choice for every stage. */
export interface Allocation {
  /** Number of the chosen way, stage by stage. */
  readonly ways: readonly number[];
  /** Product of the chances: stages are taken to fail independently. */
  readonly quality: number;
  readonly cost: number;
}

/** The best choice within the budget; undefined when even the cheapest ways cost more. */
export function allocate(stages: readonly (readonly Way[])[], budget: number): Allocation | undefined {
  let kept: Allocation[] = [{ ways: [], quality: 1, cost: 0 }];
  for (const ways of stages) {
    const grown = kept.flatMap((each) => ways.map((way, i) => ({ ways: [...each.ways, i], quality: each.quality * way.quality, cost: each.cost + way.cost })));
    kept = undominated(grown.filter(({ cost }) => cost <= budget * (1 + 1e-12)));
  }
  return kept.at(-1);
}

/** The choices that no other beats in both, cheapest first; qualities rise. */
export function undominated(all: readonly Allocation[]): Allocation[] {
  const kept: Allocation[] = [];
  for (const each of [...all].sort((a, b) => a.cost - b.cost || b.quality - a.quality)) if (each.quality > (kept.at(-1)?.quality ?? -1)) kept.push(each);
  return kept;
}
