// OpenAI's agents package for voice: one scenario a run.

import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

import { Log, answer, asked, pieces } from './scenario.mjs';

const weather = tool({
  name: 'get_weather',
  description: 'The weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

const scenarios = { spoken, interrupted, called };
const { session, log, errors } = await open();
const found = await scenarios[asked.scenario]();
session.close();
answer({ errors, ...found });

async function open() {
  const agent = new RealtimeAgent({
    name: 'Banter',
    instructions: asked.scenario === 'interrupted' ? 'Tell a story.' : 'Be brief.',
    tools: asked.scenario === 'called' ? [weather] : [],
  });
  const made = new RealtimeSession(agent, {
    transport: 'websocket',
    model: 'gpt-realtime',
    tracingDisabled: true,
  });
  const seen = new Log();
  const problems = [];
  made.on('error', (problem) => problems.push(JSON.stringify(problem)));
  made.on('audio', (event) => seen.add({ type: 'their.audio', bytes: event.data.byteLength }));
  made.on('audio_interrupted', () => seen.add({ type: 'their.interruption' }));
  made.on('agent_tool_end', (...event) => seen.add({ type: 'their.tool', result: event[3] }));
  made.on('history_updated', () => seen.look());
  made.transport.on('*', (event) => seen.add(event));
  await made.connect({ apiKey: 'none', url: `ws${asked.site.slice(4)}/v1/realtime` });
  return { session: made, log: seen, errors: problems };
}

function say(path) {
  for (const piece of pieces(path)) {
    session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.byteLength));
  }
}

/** The messages of the session's own history: who, and in which words. */
function messages() {
  return session.history
    .filter((item) => item.type === 'message')
    .map((item) => ({
      role: item.role,
      status: item.status,
      text: item.content.map((part) => part.transcript ?? part.text ?? '').join(''),
    }));
}

async function spoken() {
  say(asked.speech[0]);
  await log.count('response.done');
  const history = await log.until(() => `all words in ${JSON.stringify(messages())}`, () => {
    const told = messages();
    return told.length === 2 && told.every((message) => message.text) && told;
  });
  const bytes = log.of('their.audio').reduce((sum, event) => sum + event.bytes, 0);
  return { history, bytes };
}

async function interrupted() {
  say(asked.speech[0]);
  await log.count('their.audio', 24); // of 100 ms, sent as they are played: words were heard
  say(asked.speech[1]);
  const [done] = await log.count('response.done');
  await log.count('conversation.item.input_audio_transcription.completed', 2);
  await log.count('response.created', 2);
  await log.until(() => `all words in ${JSON.stringify(messages())}`, () => {
    const told = messages();
    return told.length >= 3 && told.slice(0, 3).every((message) => message.text);
  });
  return {
    status: done.response.status,
    interruptions: log.of('their.interruption').length,
    truncated: log.of('conversation.item.truncated').length,
    history: messages(),
  };
}

async function called() {
  session.sendMessage('What is the weather?');
  await log.count('response.done', 2);
  const [ended] = await log.count('their.tool');
  return { result: ended.result, history: messages() };
}
