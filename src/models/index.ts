/** The model port and the team, for those who write an engine or build a team in code. */
export type { Abilities, Call, EmbedRequest, Embedded, GenerateRequest, Level, Model, ModelPart, Scored, ScoreRequest, Session, TokenUsage, Traffic } from './port.ts';
export type { EngineContext } from './context.ts';
export { offers, Team, type AnyMember, type EnergyProfile, type Member, type Price } from './team.ts';
export { openModel, openTeam } from './load.ts';
export { listPriceOf, listPrices, type ListPrice } from './prices.ts';
