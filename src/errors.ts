/**
 * The error catalogue: every way a request, a configuration or a command can fail.
 *
 * Each entry fixes the HTTP status, the `type` that OpenAI clients expect, whether trying again can help,
 * and what the reader should do. `docs/errors.md` lists the same entries; a test keeps the two equal.
 * A message states what was expected and what came. It never holds text of a request or an answer.
 */

/** The values of `error.type` that OpenAI's clients map to their exception classes. */
export type OpenAiErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'insufficient_quota'
  | 'api_error'
  | 'overloaded_error'
  | 'timeout_error';

/** What the catalogue fixes for one code. */
export interface ErrorEntry {
  /** HTTP status of the reply when this error ends a request. */
  readonly status: number;
  /** `error.type` of the OpenAI-shaped reply. */
  readonly type: OpenAiErrorType;
  /** Whether the same request can succeed later without being changed. */
  readonly retryable: boolean;
  /** When this happens, one sentence. */
  readonly summary: string;
  /** What the reader should do, one sentence. */
  readonly remedy: string;
}

const entry = (
  status: number,
  type: OpenAiErrorType,
  retryable: boolean,
  summary: string,
  remedy: string,
): ErrorEntry => ({ status, type, retryable, summary, remedy });

/** Every error code of Tandem. Codes are never renamed and never reused. */
export const catalogue = {
  // what the caller sent
  body_malformed: entry(400, 'invalid_request_error', false, 'The body is not valid JSON in UTF-8.', 'Send a JSON object with the content type application/json.'),
  body_too_large: entry(413, 'invalid_request_error', false, 'The body is larger than the gateway accepts.', 'Shorten the request, or raise gateway.bodyBytesMax.'),
  headers_too_large: entry(431, 'invalid_request_error', false, 'The headers are larger than the gateway accepts.', 'Send fewer or shorter headers.'),
  request_malformed: entry(400, 'invalid_request_error', false, 'The bytes on the connection are not a valid HTTP request.', 'Use an HTTP/1.1 client, and https only where a proxy ends it.'),
  media_type_unsupported: entry(415, 'invalid_request_error', false, 'The content type is not application/json.', 'Set the header content-type to application/json.'),
  parameter_invalid: entry(400, 'invalid_request_error', false, 'A parameter has a wrong type or lies outside its range.', 'Correct the parameter that error.param names.'),
  parameter_missing: entry(400, 'invalid_request_error', false, 'A required parameter is absent.', 'Add the parameter that error.param names.'),
  parameter_unsupported: entry(400, 'invalid_request_error', false, 'A parameter is known, but the chosen recipe or member cannot honour it.', 'Remove the parameter, or pick a recipe or member that can (GET /v1/models lists them).'),
  parameter_unknown: entry(400, 'invalid_request_error', false, 'A parameter is not part of the interface.', 'Remove the parameter that error.param names.'),
  knob_invalid: entry(400, 'invalid_request_error', false, 'A recipe knob is unknown or lies outside its range.', 'See `tandem recipes <name>` for the knobs of the recipe.'),
  context_too_long: entry(400, 'invalid_request_error', false, 'Prompt and requested answer do not fit in the context of the model.', 'Shorten the messages or lower max_completion_tokens.'),
  schema_unsupported: entry(400, 'invalid_request_error', false, 'The JSON Schema or grammar uses something that cannot be enforced.', 'Simplify the schema at the path that the message names.'),
  input_refused: entry(400, 'invalid_request_error', false, 'The input guard refused the request.', 'Remove what the message names, such as control characters or an oversized message.'),
  model_not_found: entry(404, 'not_found_error', false, 'No recipe or member has this model id.', 'GET /v1/models lists the ids that this gateway serves.'),
  route_not_found: entry(404, 'not_found_error', false, 'There is nothing at this path.', 'See docs/http.md for the paths.'),
  method_not_allowed: entry(405, 'invalid_request_error', false, 'The path exists, but not for this method.', 'Use the method that the header allow names.'),
  trace_not_found: entry(404, 'not_found_error', false, 'No trace has this id.', 'GET /tandem/traces lists the recent ones; old ones are dropped after store.traceDaysMax.'),
  recipe_unavailable: entry(400, 'invalid_request_error', false, 'The team lacks a member or an ability that the recipe needs.', 'See `tandem recipes` for what the recipe needs and which recipes this team can run.'),
  // who sent it, and how much
  key_missing: entry(401, 'authentication_error', false, 'The gateway asks for a key and none was sent.', 'Send the header authorization: Bearer <key>.'),
  key_invalid: entry(401, 'authentication_error', false, 'The key is not one of the gateway.', 'Check the key, or add it under gateway.keys.'),
  host_refused: entry(403, 'permission_error', false, 'A gateway without keys was called under a name that is not its own.', 'Call it as localhost or 127.0.0.1, name the host under gateway.hosts, or set gateway.keys.'),
  key_forbidden: entry(403, 'permission_error', false, 'The key may not use this recipe or member.', 'Ask for a key whose models list holds it.'),
  rate_limited: entry(429, 'rate_limit_error', true, 'The key has used up its requests or tokens of this minute.', 'Wait as long as the header retry-after says.'),
  budget_exhausted: entry(429, 'insufficient_quota', false, 'The key or the request has used up the money it may spend.', 'Raise the limit, or wait until the next budget period.'),
  cost_unknown: entry(400, 'invalid_request_error', false, 'Dollars are limited, and what a call of the member may cost is not known.', 'Set what the message names for the member, or use a member whose costs are known.'),
  policy_violated: entry(400, 'invalid_request_error', false, 'No member may answer under the limits of the policy.', 'Loosen the limit that the message names, or add a member that meets it.'),
  overloaded: entry(503, 'overloaded_error', true, 'Too many requests are in flight.', 'Try again shortly, or raise gateway.concurrentMax.'),
  shutting_down: entry(503, 'overloaded_error', true, 'The gateway is stopping and takes no new requests.', 'Send the request to another replica, or again after the restart.'),
  request_timeout: entry(408, 'timeout_error', true, 'The client did not finish sending its request in time.', 'Send the request faster, or raise gateway.requestTimeoutMs.'),
  deadline_exceeded: entry(504, 'timeout_error', true, 'The answer was not finished within the time that the request allows.', 'Raise tandem.limits.totalMs, or ask for a shorter answer.'),
  cancelled: entry(499, 'api_error', true, 'The client went away before the answer was finished.', 'Nothing: the work was stopped.'),
  // the models behind
  upstream_unreachable: entry(502, 'api_error', true, 'No connection to the server of a member could be made, or it was lost before the answer began.', 'Check baseUrl and that the server runs.'),
  upstream_timeout: entry(504, 'timeout_error', true, 'The server of a member did not answer in time.', 'Raise the time-out that the message names, or check the server.'),
  upstream_refused: entry(502, 'api_error', false, 'The server of a member rejected the request.', 'The message holds the status; check the member\'s model name, key and abilities.'),
  upstream_auth: entry(502, 'api_error', false, 'The server of a member rejected the credentials.', 'Check the environment variable that apiKeyEnv names.'),
  upstream_rate_limited: entry(429, 'rate_limit_error', true, 'The server of a member answered 429.', 'Wait as long as retry-after says, or add a failover member.'),
  upstream_failed: entry(502, 'api_error', true, 'The server of a member failed (5xx).', 'Try again; if it persists, see the logs of that server.'),
  upstream_malformed: entry(502, 'api_error', true, 'The server of a member sent something that is not the protocol.', 'Check that baseUrl points at an OpenAI-compatible server.'),
  upstream_truncated: entry(502, 'api_error', true, 'The stream of a member ended before its final event.', 'Try again; the text so far was delivered and is incomplete.'),
  answer_unusable: entry(502, 'api_error', true, 'A member answered, but not in the form the recipe or schema needs.', 'Try again, or use a larger member.'),
  output_refused: entry(502, 'api_error', false, 'The output guard refused the answer.', 'Change the request, or the rule that the message names.'),
  // model files and engines
  model_file_missing: entry(500, 'api_error', false, 'The model file does not exist or cannot be read.', 'Check the path, or fetch it with `tandem pull`.'),
  model_file_invalid: entry(500, 'api_error', false, 'The model file is truncated, damaged or not GGUF.', 'Fetch it again with `tandem pull`, which checks size and SHA-256.'),
  model_unsupported: entry(500, 'api_error', false, 'The engine cannot run this architecture, tokenizer or adapter.', 'Use a GGUF of a supported architecture, or another engine.'),
  engine_unavailable: entry(500, 'api_error', false, 'The native library of the engine cannot be loaded on this machine.', 'Install the @node-llama-cpp package of this platform that the message names.'),
  engine_failed: entry(500, 'api_error', true, 'The engine failed while computing.', 'Try again; if it persists, run `tandem doctor`.'),
  engine_out_of_memory: entry(503, 'overloaded_error', true, 'The engine cannot get memory for another sequence or context.', 'Lower contextTokensMax or sequencesMax of the member.'),
  ability_missing: entry(400, 'invalid_request_error', false, 'The member does not offer the level or ability that was asked of it.', 'Use a member whose level includes it (`tandem models`).'),
  recording_missing: entry(404, 'not_found_error', false, 'The recorded member has no answer for this prompt.', 'Use a prompt of the recording, or another member.'),
  // set-up
  config_invalid: entry(500, 'api_error', false, 'The configuration has mistakes.', 'Correct the paths that the message names; `tandem doctor` lists them all.'),
  config_missing: entry(500, 'api_error', false, 'The configuration file does not exist.', 'Check the path, or write one with `tandem init`.'),
  address_in_use: entry(500, 'api_error', false, 'Another process listens on this port.', 'Choose another port with --port.'),
  usage: entry(400, 'invalid_request_error', false, 'The command line has a mistake.', 'See `tandem <command> --help`.'),
  download_failed: entry(502, 'api_error', true, 'The file could not be fetched.', 'Run the command again: it resumes where it stopped.'),
  download_corrupt: entry(502, 'api_error', true, 'The fetched file does not have the expected size or SHA-256.', 'Run the command again; the damaged part was removed.'),
  bench_data_invalid: entry(400, 'invalid_request_error', false, 'Rows for a benchmark or for training are missing or wrong.', 'The message names the row and field; docs/routing.md shows the format.'),
  router_file_invalid: entry(500, 'api_error', false, 'A router file could not be read or was written for other members.', 'Train it again with `tandem train router`.'),
  job_invalid: entry(400, 'invalid_request_error', false, 'The file of a training job cannot be used.', 'Correct the field that the message names; trainer/job.schema.json describes all of them.'),
  trainer_missing: entry(500, 'api_error', false, 'The trainer needs Python with its packages, and they are not there.', 'Run `tandem train --setup`, or name a Python that has the packages in TANDEM_TRAINER_PYTHON.'),
  training_failed: entry(500, 'api_error', true, 'The trainer ended a job early; the last good checkpoint is kept.', 'Do what the message says, then go on with `tandem train <job> --resume`.'),
  store_failed: entry(500, 'api_error', true, 'The store could not be opened, read or written.', 'Check the path and the free disk space of store.path.'),
  dependency_missing: entry(500, 'api_error', false, 'An optional package that this feature needs is not installed.', 'Install the package that the message names.'),
  internal: entry(500, 'api_error', true, 'Tandem itself failed.', 'Report it with the trace id; the log holds the cause.'),
} as const satisfies Record<string, ErrorEntry>;

/** A code of the catalogue. */
export type ErrorCode = keyof typeof catalogue;

/** What a particular failure adds to its catalogue entry. */
export interface ErrorDetails {
  /** What happened: what was expected and what came. Never holds text of a request or an answer. */
  readonly message: string;
  /** The field at fault, as a path such as `messages[0].content`. */
  readonly param?: string;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The member whose model failed. */
  readonly member?: string;
  /** The error that led to this one; goes to the log only. */
  readonly cause?: unknown;
}

/** The body of an OpenAI-shaped error reply. */
export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: OpenAiErrorType;
    readonly param: string | null;
    readonly code: ErrorCode;
    readonly remedy: string;
  };
}

const marker: unique symbol = Symbol.for('tandem.error');

/** The only error that Tandem throws on purpose. Test for it with `TandemError.is`, which also works across copies of the package. */
export class TandemError extends Error {
  readonly [marker] = true;
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly member: string | undefined;

  /** @param code the catalogue entry @param details what happened this time */
  constructor(code: ErrorCode, details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TandemError';
    this.code = code;
    this.param = details.param;
    this.retryAfterMs = details.retryAfterMs;
    this.member = details.member;
  }

  /** Whether a value is a Tandem error. */
  static is(value: unknown): value is TandemError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[marker] === true;
  }

  /** Any thrown value as a Tandem error: itself, `cancelled` for an abort, else `internal`. */
  static from(value: unknown): TandemError {
    if (TandemError.is(value)) return value;
    if (value instanceof Error && value.name === 'AbortError') {
      return new TandemError('cancelled', { message: 'The request was cancelled.', cause: value });
    }
    return new TandemError('internal', { message: 'An unexpected failure occurred.', cause: value });
  }

  /** HTTP status of the reply. */
  get status(): number {
    return catalogue[this.code].status;
  }

  /** `error.type` of the reply. */
  get type(): OpenAiErrorType {
    return catalogue[this.code].type;
  }

  /** Whether the same request can succeed later. */
  get retryable(): boolean {
    return catalogue[this.code].retryable;
  }

  /** What the reader should do. */
  get remedy(): string {
    return catalogue[this.code].remedy;
  }

  /** The reply that OpenAI's clients understand, with Tandem's code and remedy. */
  toOpenAi(): OpenAiErrorBody {
    const { message, type, param, code, remedy } = this;
    return { error: { message, type, param: param ?? null, code, remedy } };
  }
}

/**
 * Throws an error of the catalogue.
 * @param code the entry
 * @param details the message, or all details
 * @throws {TandemError} always
 */
export function fail(code: ErrorCode, details: ErrorDetails | string): never {
  throw new TandemError(code, typeof details === 'string' ? { message: details } : details);
}
