/** The report of a run as text: table, Markdown, and one HTML page with the frontier drawn in it. JSON is the report itself. */
import type { Estimate, Frontier, LiveReport, RecipeSummary } from './summary.ts';

/** Lines of the table, one a recipe. */
export function tableOf({ recipes, reference, frontier }: LiveReport): { readonly head: string[]; readonly rows: string[][] } {
  const best = new Set(frontier.points.filter((point) => point.best).map(({ recipe }) => recipe));
  return {
    head: ['recipe', 'quality', '95 %', `against ${reference}`, '$ per 1,000', 'p50 ms', 'p99 ms', 'joules', 'cloud bytes', 'disclosed', 'asks large', 'tokens by large', 'failed'],
    rows: recipes.map((row) => [
      `${row.recipe}${best.has(row.recipe) ? ' *' : ''}`,
      percent(row.quality.value),
      `${percent(row.quality.low)} to ${percent(row.quality.high)}`,
      row.qualityDifference === null ? '' : differenceText(row.qualityDifference),
      `${dollars(row.costUsdPer1000.value)}${row.priceKnown ? '' : ' +?'}`,
      row.latencyP50Ms.value.toFixed(0),
      row.latencyP99Ms.toFixed(0),
      energyText(row),
      row.cloudBytes.value.toFixed(0),
      percent(row.disclosedShare),
      row.largeShare === null ? '' : percent(row.largeShare.value),
      row.largeTokenShare === null ? '' : percent(row.largeTokenShare),
      String(row.failed),
    ]),
  };
}

/** What the columns mean, and what was measured on what. One sentence a line. */
export function notesOf(report: LiveReport): string[] {
  const { header, tasks, kinds, recipes, machine, finishedAt, frontier, reference } = report;
  const failures = recipes.filter(({ failed }) => failed > 0).map(({ recipe, errors }) => `${recipe}: ${Object.entries(errors).map(([code, n]) => `${code} ${n}`).join(', ')}`);
  const cut = recipes.filter(({ cutOff }) => cutOff > 0).map(({ recipe, cutOff }) => `${recipe} ${cutOff}`);
  return [
    `${tasks} tasks of ${Object.keys(kinds).length} kinds (${header.tasks.source}), the same for every recipe; members ${header.team.members.map(({ id, place, engine }) => `${id} (${engine}, ${place})`).join(', ')}.`,
    `Quality is the mean of the tasks' own checks; intervals are 95 %, tasks resampled; "against ${reference}" is the difference on the same tasks. A failed request and an answer cut off by the length limit count as wrong${cut.length === 0 ? '' : ` (cut off: ${cut.join(', ')})`}.`,
    `* on the frontier: no other recipe, and no mixture of two, is better at its ${unitNames[frontier.unit]}.`,
    `Joules a request: ${[...new Set(recipes.map(({ energySource }) => energySource))].join(' and ')}${recipes.some(({ energySource }) => energySource === 'estimated') ? ' (m measured, e estimated from a profile, no meter was read)' : ''}.${recipes.some(({ priceKnown }) => !priceKnown) ? ' "+?": a member has no known price, and its calls are left out.' : ''}`,
    `"Disclosed" is the share of requests of which any text reached a member in the cloud${recipes.some(({ hiddenValues }) => hiddenValues > 0) ? `; private values masked before: ${recipes.map(({ recipe, hiddenValues }) => `${recipe} ${hiddenValues}`).join(', ')}` : ''}.`,
    ...(failures.length === 0 ? [] : [`Failed: ${failures.join('; ')}.`]),
    `Temperature ${header.sampling.temperature}, at most ${header.sampling.tokensMax} answer tokens, seed ${header.seed}, ${header.concurrency} request${header.concurrency === 1 ? '' : 's'} at once. ${machine}; ${finishedAt}.`,
  ];
}

/** The report in Markdown. */
export function markdownOf(report: LiveReport): string {
  const { head, rows } = tableOf(report);
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const kinds = kindsTable(report);
  return [
    '# Live benchmark', '', line(head), line(head.map(() => '---')), ...rows.map(line), '', ...notesOf(report).map((note) => `- ${note.replace(/^\* /, '\\* ')}`), '',
    '## Quality by kind of task', '', line(kinds.head), line(kinds.head.map(() => '---')), ...kinds.rows.map(line), '',
  ].join('\n');
}

/** Quality of every recipe on every kind of task. */
export function kindsTable({ kinds, recipes }: LiveReport): { readonly head: string[]; readonly rows: string[][] } {
  return {
    head: ['kind', 'tasks', ...recipes.map(({ recipe }) => recipe)],
    rows: Object.entries(kinds).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, n]) => [kind, String(n), ...recipes.map(({ byTask }) => percent(byTask[kind] ?? NaN))]),
  };
}

/** One page that needs nothing else: no script, no style sheet, no picture from outside. */
export function htmlOf(report: LiveReport): string {
  const { header, reference, recipes } = report;
  const table = ({ head, rows }: { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }): string =>
    `<div class="wide"><table><thead><tr>${head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join('')}</tr></thead><tbody>${rows.map(([first = '', ...rest]) => `<tr><th scope="row">${escaped(first)}</th>${rest.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`).join('')}</tbody></table></div>`;
  const best = [...recipes].sort((a, b) => b.quality.value - a.quality.value)[0];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Live benchmark</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#d0d4da, #444b55); --accent: light-dark(#0b62c4, #6db1ff); --dim: light-dark(#5b6470, #9aa4b2); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th[scope=row], th:first-child { text-align: left; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; }
li { color: var(--dim); margin: .25rem 0; }
</style></head><body>
<h1>Live benchmark</h1>
<p>${escaped(`${report.tasks} tasks, ${recipes.length} recipes, ${header.team.members.length} members. Best quality: ${best?.recipe ?? 'none'} with ${percent(best?.quality.value ?? NaN)}. Differences are taken from ${reference}.`)}</p>
${table(tableOf(report))}
<h2>Quality and ${escaped(unitNames[report.frontier.unit])}</h2>
${svgOf(report.frontier)}
<h2>Quality by kind of task</h2>
${table(kindsTable(report))}
<h2>How to read this</h2>
<ul>${notesOf(report).map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>
</body></html>
`;
}

/** What the horizontal axis counts. */
export const unitNames: Readonly<Record<Frontier['unit'], string>> = { 'usd-per-1000': 'dollars per 1,000 requests', joule: 'joules a request', millisecond: 'milliseconds a request (p50)' };

const size = { width: 640, height: 380, left: 56, right: 90, top: 16, bottom: 48 } as const;

/** Quality with its interval over cost; the hull of the best recipes as a line. */
export function svgOf({ points, unit }: Frontier): string {
  const costs = points.map(({ cost }) => cost);
  const [costMax, low, high] = [Math.max(1e-9, ...costs) * 1.05, Math.min(1, ...points.map((point) => point.low)), Math.max(0, ...points.map((point) => point.high))];
  const x = (cost: number): number => size.left + (cost / costMax) * (size.width - size.left - size.right);
  const y = (quality: number): number => size.height - size.bottom - ((quality - low) / Math.max(1e-9, high - low)) * (size.height - size.top - size.bottom);
  const hull = points.filter(({ best }) => best).sort((a, b) => a.cost - b.cost);
  const at = (value: number): string => value.toFixed(1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Quality over ${unitNames[unit]}">`,
    ...[0, 0.25, 0.5, 0.75, 1].map((share) => share * costMax).map((cost) => `<line x1="${at(x(cost))}" x2="${at(x(cost))}" y1="${at(y(low))}" y2="${at(y(high))}" stroke="currentColor" stroke-opacity="0.12"/><text x="${at(x(cost))}" y="${size.height - 28}" text-anchor="middle">${tick(cost)}</text>`),
    ...[low, (low + high) / 2, high].map((quality) => `<line x1="${at(x(0))}" x2="${at(x(costMax))}" y1="${at(y(quality))}" y2="${at(y(quality))}" stroke="currentColor" stroke-opacity="0.12"/><text x="${size.left - 6}" y="${at(y(quality))}" text-anchor="end" dominant-baseline="middle">${percent(quality)}</text>`),
    `<polyline points="${hull.map(({ cost, quality }) => `${at(x(cost))},${at(y(quality))}`).join(' ')}" fill="none" stroke="#0b62c4" stroke-width="1.5" stroke-dasharray="5 4"/>`,
    ...points.map(({ cost, quality, low: from, high: to, best }) => `<line x1="${at(x(cost))}" x2="${at(x(cost))}" y1="${at(y(from))}" y2="${at(y(to))}" stroke="#0b62c4" stroke-opacity="0.45"/><circle cx="${at(x(cost))}" cy="${at(y(quality))}" r="4.5" fill="${best ? '#0b62c4' : 'none'}" stroke="#0b62c4" stroke-width="1.5"/>`),
    ...labelled(points.map(({ recipe, cost, quality }) => ({ text: recipe, x: x(cost) + 8, y: y(quality) - 6 }))).map((label) => `<text x="${at(label.x)}" y="${at(label.y)}">${escaped(label.text)}</text>`),
    `<text x="${at((size.left + size.width - size.right) / 2)}" y="${size.height - 8}" text-anchor="middle">${unitNames[unit]}; filled: on the frontier; bars: 95 %</text>`,
    '</svg>',
  ].join('\n');
}

interface Label {
  readonly text: string;
  readonly x: number;
  readonly y: number;
}

/** The labels, moved down where they would cover another one. */
function labelled(labels: readonly Label[]): Label[] {
  const placed: Label[] = [];
  for (const label of [...labels].sort((a, b) => a.y - b.y)) {
    let { y } = label;
    while (placed.some((other) => Math.abs(other.y - y) < 13 && label.x < other.x + 7 * other.text.length && other.x < label.x + 7 * label.text.length)) y += 13;
    placed.push({ ...label, y });
  }
  return placed;
}

function tick(cost: number): string {
  return cost === 0 ? '0' : cost >= 100 ? cost.toFixed(0) : Number(cost.toPrecision(2)).toString();
}

function percent(value: number): string {
  return Number.isNaN(value) ? '-' : `${(100 * value).toFixed(1)} %`;
}

function differenceText({ value, low, high }: Estimate): string {
  const signed = (each: number): string => `${each > 0 ? '+' : ''}${(100 * each).toFixed(1)}`;
  return `${signed(value)} (${signed(low)} to ${signed(high)})`;
}

function dollars(value: number): string {
  return value === 0 ? '0' : value >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

function energyText({ energyJ, energySource }: RecipeSummary): string {
  return energySource === 'unknown' ? '-' : `${energyJ.value < 10 ? energyJ.value.toPrecision(2) : energyJ.value.toFixed(0)} ${energySource === 'measured' ? 'm' : 'e'}`;
}

function escaped(text: string): string {
  return text.replace(/[<&>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
