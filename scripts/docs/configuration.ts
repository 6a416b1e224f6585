/** docs/configuration.md, from the schema. */
import { bundledMembers, configSchema } from '../../src/config.ts';
import { configText } from '../../src/cli/config-text.ts';
import { configFileNames } from '../../src/config-file.ts';
import { schemaOf, typeText, type Field } from '../../src/cli/knob-rows.ts';
import { code, generated, table } from './markdown.ts';

/** The document. */
export function configurationDocument(): string {
  const schema = schemaOf(configSchema);
  return `${generated('`src/config.ts`')}
# Configuration

${configFileNames.map((name) => `\`${name}\``).join(', ')}: the first of these in the working directory, else in the nearest folder above it; or the file that \`--config\` names. Without one the bundled pair runs:

\`\`\`ts
${configText({ members: bundledMembers }).trimEnd()}
\`\`\`

TypeScript is run directly; nothing needs to be compiled, and \`tandem/config\` is found wherever the file stands. Secrets never stand in it: fields that end in \`Env\` name an environment
variable. Relative paths start from the folder of the file. \`tandem init\` writes a first one, \`tandem doctor\` names every mistake with its path, what was expected and what came. Units stand at
the end of names: \`Ms\` milliseconds, \`Usd\` dollars, \`Bytes\`, \`Tokens\`; \`Max\` and \`Min\` are limits.

${sections(schema)
  .map(({ title, about, rows }) => `## ${title}\n\n${about === '' ? '' : `${about}\n\n`}${table(['setting', 'type and range', 'default', 'what'], rows)}\n`)
  .join('\n')}
## Environment variables

${table(
  ['variable', 'what'],
  [
    ['`DATABASE_URL`', 'A `postgres://` address: records are kept there instead of in the file `store.path`.'],
    ['`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`', 'Where traces are sent when `telemetry.otlpUrl` is not set.'],
    ['`OTEL_EXPORTER_OTLP_ENDPOINT`', 'The same, as a base: `/v1/traces` is added. Read when the one above is not set.'],
    ['`NO_COLOR`, `FORCE_COLOR`', 'Turn the colours of the command line off or on.'],
    ['any name', 'Whatever `apiKeyEnv` and `keyEnv` name.'],
  ],
)}
`;
}

interface Section {
  readonly title: string;
  readonly about: string;
  readonly rows: readonly string[][];
}

function sections(schema: Field): readonly Section[] {
  const all = Object.entries(schema.properties ?? {});
  const plain = all.filter(([, field]) => field.properties === undefined && name(field) === undefined);
  return [
    { title: 'Top level', about: '', rows: all.filter(([, field]) => !plain.some(([, each]) => each === field)).map(([key, field]) => row(key, { ...field, type: 'object' }, schema)).concat(plain.map(([key, field]) => row(key, field, schema))) },
    ...all.flatMap(([key, field]) => named(key, field)),
    ...all.filter(([, field]) => field.properties !== undefined).map(([key, field]) => ({ title: `\`${key}\``, about: field.description ?? '', rows: fields('', field) })),
  ];
}

/** The alternatives of a record by name, such as the engines of `members`. */
function name(field: Field): readonly Field[] | undefined {
  return typeof field.additionalProperties === 'object' ? (field.additionalProperties.oneOf ?? field.additionalProperties.anyOf) : undefined;
}

function named(key: string, field: Field): readonly Section[] {
  return (name(field) ?? []).map((choice) => ({
    title: `\`${key}.<id>\` with engine \`${String(choice.properties?.['engine']?.const)}\``,
    about: choice.description ?? '',
    rows: fields('', choice),
  }));
}

/** Rows of an object, with those of the objects in it. */
function fields(prefix: string, object: Field): string[][] {
  return Object.entries(object.properties ?? {}).flatMap(([key, field]) => {
    const path = `${prefix}${key}`;
    const inner = field.properties !== undefined ? fields(`${path}.`, field) : field.items?.properties !== undefined ? fields(`${path}[].`, field.items) : typeof field.additionalProperties === 'object' && field.additionalProperties.properties !== undefined ? fields(`${path}.<name>.`, field.additionalProperties) : [];
    return [row(path, field, object), ...inner];
  });
}

function row(path: string, field: Field, parent: Field): string[] {
  const key = path.split('.').at(-1) ?? path;
  const fallback = field.default === undefined ? (parent.required?.includes(key) === true ? 'required' : '-') : shortDefault(field.default);
  return [`\`${path}\``, typeText(field), fallback, field.description ?? ''];
}

function shortDefault(value: unknown): string {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? '`{}`' : code(JSON.stringify(value));
}
