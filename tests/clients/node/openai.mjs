// OpenAI's npm package, version 6 or 7 by the name it is installed under: one scenario a run.

import { createReadStream } from 'node:fs';

import { Log, answer, asked, pieces } from './scenario.mjs';

const { default: OpenAI } = await import(asked.package);
const { OpenAIRealtimeWS } = await import(`${asked.package}/realtime/ws`);

const client = new OpenAI({ apiKey: 'none', baseURL: `${asked.site}/v1` });
const WEATHER = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

const scenarios = { spoken, written, tool, interrupted, history, rest };
answer(await scenarios[asked.scenario]());

async function open(session) {
  const connection = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client);
  const log = new Log();
  const errors = [];
  connection.on('event', (event) => log.add(event));
  connection.on('error', (error) => errors.push(error.message));
  await log.count('session.created');
  connection.send({ type: 'session.update', session: { type: 'realtime', ...session } });
  await log.count('session.updated');
  return { connection, log, errors };
}

function listening(more) {
  return { audio: { input: { transcription: { model: 'whisper-1' } } }, ...more };
}

function say(connection, path) {
  for (const piece of pieces(path)) {
    connection.send({ type: 'input_audio_buffer.append', audio: piece.toString('base64') });
  }
}

function write(connection, text) {
  const content = [{ type: 'input_text', text }];
  connection.send({
    type: 'conversation.item.create',
    item: { type: 'message', role: 'user', content },
  });
  connection.send({ type: 'response.create' });
}

async function spoken() {
  const { connection, log, errors } = await open(listening());
  say(connection, asked.speech[0]);
  const [done] = await log.count('response.done');
  const [heard] = await log.count('conversation.item.input_audio_transcription.completed');
  const sound = log.of('response.output_audio.delta').map((e) => Buffer.from(e.delta, 'base64'));
  connection.close();
  return {
    errors,
    heard: heard.transcript,
    said: log.of('response.output_audio_transcript.done')[0].transcript,
    status: done.response.status,
    bytes: Buffer.concat(sound).length,
  };
}

async function written() {
  const { connection, log, errors } = await open({ output_modalities: ['text'] });
  write(connection, 'Good morning.');
  const [done] = await log.count('response.done');
  connection.close();
  return { errors, said: done.response.output[0].content[0].text };
}

async function tool() {
  const { connection, log, errors } = await open({ output_modalities: ['text'], tools: [WEATHER] });
  write(connection, 'What is the weather?');
  const [done] = await log.count('response.done');
  const [call] = done.response.output;
  connection.send({
    type: 'conversation.item.create',
    item: { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
  });
  connection.send({ type: 'response.create' });
  await log.count('response.done', 2);
  connection.close();
  const said = log.of('response.output_text.done')[0].text;
  return { errors, name: call.name, arguments: call.arguments, said };
}

async function interrupted() {
  const { connection, log, errors } = await open(listening({ instructions: 'Tell a story.' }));
  say(connection, asked.speech[0]);
  await log.count('response.output_audio.delta', 24); // of 100 ms, sent as they are played
  say(connection, asked.speech[1]);
  const [done] = await log.count('response.done');
  await log.count('response.created', 2);
  const heard = await log.count('conversation.item.input_audio_transcription.completed', 2);
  connection.close();
  const { status, status_details: details, output } = done.response;
  return {
    errors,
    status,
    reason: details.reason,
    kept: output[0].content[0].transcript,
    heard: heard[1].transcript,
  };
}

async function history() {
  const { connection, log, errors } = await open({ output_modalities: ['text'] });
  const content = [{ type: 'output_text', text: 'I am here.' }];
  const item = { id: 'mine', type: 'message', role: 'assistant', content };
  connection.send({ type: 'conversation.item.create', item });
  connection.send({ type: 'conversation.item.retrieve', item_id: 'mine' });
  const [retrieved] = await log.count('conversation.item.retrieved');
  connection.send({
    type: 'conversation.item.truncate',
    item_id: 'mine',
    content_index: 0,
    audio_end_ms: 100,
  });
  await log.count('conversation.item.truncated');
  connection.send({ type: 'conversation.item.delete', item_id: 'mine' });
  const [deleted] = await log.count('conversation.item.deleted');
  connection.close();
  return { errors, text: retrieved.item.content[0].text, deleted: deleted.item_id };
}

async function rest() {
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  const speech = await client.audio.speech.create({
    model: 'tts-1',
    voice: 'alloy',
    input: 'Good morning.',
    response_format: 'pcm',
  });
  const heard = await client.audio.transcriptions.create({
    model: 'whisper-1',
    file: createReadStream(asked.wav),
  });
  return { models, bytes: (await speech.arrayBuffer()).byteLength, heard: heard.text };
}
