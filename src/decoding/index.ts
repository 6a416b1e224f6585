/** Token arithmetic: programs, sampling, drafts and their checks, grammars. No I/O. */
export * from './program.ts';
export { argmax, largest, summarise, topTokens, type LawSummary } from './law.ts';
export { Answer, type AnswerArgs, type AnswerEvent } from './answer.ts';
export { draw, probability, Shaper, type Distribution } from './shape.ts';
export { plainSettings, shapeSettings, type ShapeSettings } from './settings.ts';
export { Occurrences } from './occurrences.ts';
export { cutBytes, PieceJoiner, pieceText, shownToken } from './pieces.ts';
export { StopFinder } from './stops.ts';
export { Residual } from './residual.ts';
export { DraftLength, draftDefaults, type DraftSettings } from './draft-length.ts';
export { generate } from './generate.ts';
export { score, type ScoreArgs, type ScoreEvent } from './score.ts';
export { speculate, type SpeculateArgs } from './speculate.ts';
export { checkGbnf, GrammarConstraint } from './grammar/constraint.ts';
export { jsonGrammar, schemaGrammar, SchemaGrammar, literal, quoted } from './json-schema.ts';
export { programs, type ProgramName } from './programs.ts';
