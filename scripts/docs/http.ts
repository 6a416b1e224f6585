/** docs/http.md: the HTTP interface, with the tables by which the gateway itself reads bodies. */
import { chatTable } from '../../src/gateway/chat/parameters.ts';
import { completionsTable } from '../../src/gateway/completions/parameters.ts';
import { embeddingsTable } from '../../src/gateway/embeddings.ts';
import { feedbackTable } from '../../src/gateway/feedback.ts';
import type { ParameterTable } from '../../src/gateway/parameters/parameter.ts';
import { partHints } from '../../src/gateway/parameters/parts.ts';
import { tandemTable } from '../../src/gateway/parameters/tandem.ts';
import { responsesTable } from '../../src/gateway/responses/parameters.ts';
import { generated, table } from './markdown.ts';

function parameters<D>(rows: ParameterTable<D>): string {
  return table(['parameter', 'treatment', 'range, default, or why not'], Object.entries(rows).map(([name, { treatment, about }]) => [`\`${name}\``, treatment, about]));
}

/** The document. */
export function httpDocument(): string {
  return `${generated('the tables in `src/gateway/` by which bodies are read')}
# HTTP

The gateway speaks OpenAI's interface. A parameter is *honoured*, accepted as a *hint* (checked; leaving it out gives the same answer), or *refused* by name
(\`parameter_unsupported\`). One that is in no table is \`parameter_unknown\`. Nothing is dropped in silence. Errors: [errors.md](errors.md).

| method and path | what |
| --- | --- |
| \`POST /v1/chat/completions\` | chat, also as server-sent events |
| \`POST /v1/completions\` | continue plain text |
| \`POST /v1/responses\` | the Responses interface: text, tools, streaming events; without stored conversations |
| \`POST /v1/embeddings\` | vectors, from a member with level Emb |
| \`GET /v1/models\`, \`GET /v1/models/{id}\` | recipes that this team can run, members, aliases |
| \`GET /tandem/traces\` | traces, newest first; query: \`limit\` (1 to 1000, default 50), \`before\` (milliseconds since 1970) and \`beforeId\` (\`nextBefore\` and \`nextBeforeId\` of the page before; without the id, what began in the same millisecond is passed over), \`caller\`, \`recipe\`, \`outcome\` |
| \`GET /tandem/traces/{id}\` | one trace with its spans, decisions and feedback |
| \`POST /tandem/feedback\` | what a user said of an answer |
| \`GET /healthz\` | the process lives |
| \`GET /readyz\` | at least one member can answer and the gateway is not stopping, 503 otherwise; the body tells how each member is |
| \`GET /metrics\` | Prometheus text; with \`gateway.keys\`, for an admin key |
| \`GET /\` | a page that says what runs here |

## Model ids

\`tandem/auto\`, \`tandem/<recipe>\` ([recipes.md](recipes.md)), a member's own id, or an alias of the configuration.

## Keys

With \`gateway.keys\` in the configuration, every path under \`/v1\` and \`/tandem\` asks for \`authorization: Bearer <key>\`. Limits of a key (requests and tokens a minute, dollars a
day) answer 429 with \`retry-after\`. A key sees its own traces; one with \`admin: true\` sees all. Without keys the gateway listens on loopback addresses only.

**Web pages.** A page in a browser on the same machine could call a gateway without keys. Three things keep it out. The header \`Host\` has to be localhost, 127.0.0.1, [::1], \`gateway.host\` or one of
\`gateway.hosts\` (else 403 \`host_refused\`), so a name that was made to point here (DNS rebinding) is of no use. Bodies have to be \`application/json\`, so a browser asks first whether the page may (a preflight), and the answer is
no for every origin that is not one of \`gateway.corsOrigins\`. And what a GET gives, a page of another origin cannot read.

## Traces

Every request to the models whose key was accepted leaves a trace, also one that is refused while its body is read: that trace holds the code of the error and nothing of the body. A model id
that does not exist is written as \`(unknown)\`. None is left by what is refused before: for its key, its host, its path or method, because too many requests are in flight (\`overloaded\`), or because the
gateway stops. Traces hold numbers, names and codes, never text of a request or an answer.

## Headers of a reply

| header | what |
| --- | --- |
| \`x-tandem-trace\` | id of the trace, where there is one; a W3C \`traceparent\` that came in is noted, and exported traces hang under it |
| \`x-tandem-recipe\` | the recipe that ran, such as \`auto:cascade\` |
| \`x-tandem-cost-usd\` | dollars; on streams the cost is known at the end only: it stands in the last chunk when \`stream_options.include_usage\` is on |

## The \`tandem\` object of a request

It may tighten what the configuration allows, never loosen it.

${parameters(tandemTable)}

With \`explain: true\` the reply carries a \`tandem\` object: trace, recipe, decisions with their inputs, the share of the answer that each member wrote, tokens, dollars, joules (and
whether they were measured or estimated), bytes and milliseconds.

## Parts of a message

A message's content is a text or a list of parts. A part may carry the hints ${partHints.map((name) => `\`${name}\``).join(', ')}, which change no answer; any other field that its type does not have is \`parameter_unknown\`. What
stands within \`image_url\`, \`input_audio\` and \`file\` is handed to the member as it is.

A reply may be sent back as it came. What then stands in it beside the answer is taken and not looked at: \`annotations\` and \`reasoning_content\`, and what OpenAI's clients add to what they
parse: \`parsed\` on an assistant's message or an \`output_text\` part, \`parsed_arguments\` on a call of a function.

## POST /v1/chat/completions

${parameters(chatTable)}

## POST /v1/completions

${parameters(completionsTable)}

## POST /v1/responses

${parameters(responsesTable)}

## POST /v1/embeddings

${parameters(embeddingsTable)}

## POST /tandem/feedback

${parameters(feedbackTable)}
`;
}
