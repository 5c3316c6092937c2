// Every event of a record through the schemas of the agents package; prints those that do not fit.

import { readFileSync } from 'node:fs';

import { answer, asked } from './scenario.mjs';

const dist = './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';
const { realtimeServerEventSchema } = await import(dist);
const known = new Set(realtimeServerEventSchema.options.flatMap((option) => option.def.shape.type.def.values));

let checked = 0;
const unknown = new Set();
const misfits = [];
for (const line of readFileSync(asked.events, 'utf8').split('\n').filter(Boolean)) {
  const event = JSON.parse(line);
  if (!known.has(event.type)) {
    unknown.add(event.type);
    continue;
  }
  checked += 1;
  const parsed = realtimeServerEventSchema.safeParse(event);
  if (!parsed.success) misfits.push({ event, issues: parsed.error.issues });
}
answer({ checked, unknown: [...unknown], misfits });
