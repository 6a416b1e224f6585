/** Traces, prices, energy and their ways out. `tandem/trace`. */
export { createMeter, costOf, type MeterSettings } from './create-meter.ts';
export { openEnergyCounter, profileOf, type EnergyCounter, type EnergyMark } from './energy.ts';
export { createExporter, type Exporter, type ExporterContext } from './exporter.ts';
export type { CallFacts, EnergyReading, Meter } from './meter.ts';
export { renderTrace, type RenderSettings } from './render.ts';
export { sumUsage, Trace, type AttributeValue, type CallUsage, type Decision, type Span, type SpanFields, type SpanRecord, type TraceRecord } from './trace.ts';
export { formatTraceparent, parseTraceparent, type Traceparent } from './traceparent.ts';
