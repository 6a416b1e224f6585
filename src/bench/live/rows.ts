/** From the cells of a run to rows for `tandem bench route`, `bench cascade` and `train router`: every recipe is a "member". */
import type { Row } from '../rows.ts';
import type { Cell } from './journal.ts';
import type { LiveTask } from './tasks.ts';

/** Rows of the tasks that every recipe answered without a failure. The prompt is the user's last message. */
export function rowsOfCells(tasks: readonly LiveTask[], cells: readonly Cell[], recipes: readonly string[]): Row[] {
  const byTask = new Map<string, Map<string, Cell>>();
  for (const cell of cells) byTask.set(cell.task, (byTask.get(cell.task) ?? new Map<string, Cell>()).set(cell.recipe, cell));
  return tasks.flatMap((task): Row[] => {
    const own = recipes.map((recipe) => byTask.get(task.id)?.get(recipe));
    if (own.some((cell) => cell === undefined || cell.error !== undefined)) return [];
    const of = <T>(pick: (cell: Cell) => T): Record<string, T> => Object.fromEntries(recipes.map((recipe, i) => [recipe, pick(own[i] as Cell)]));
    return [
      {
        id: task.id,
        prompt: task.messages.findLast(({ role }) => role === 'user')?.content ?? '',
        correct: of(({ quality }) => quality),
        answers: of(({ text }) => text ?? ''),
        cost: of(({ costUsd }) => costUsd),
        latencyMs: of(({ latencyMs }) => latencyMs),
        ...(own.every((cell) => cell?.score !== undefined) ? { scores: of(({ score }) => score ?? 0) } : {}),
        category: task.task,
      },
    ];
  });
}
