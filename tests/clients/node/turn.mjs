export default async ({ url, protocols, audio }) => {
  // One spoken turn over a browser's own WebSocket. Chromium runs this function, and so does Node.
  const socket = new WebSocket(url, protocols);
  const found = { heard: null, said: null, deltas: 0, errors: [] };
  await new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error('the socket failed'));
    socket.onclose = (event) => reject(new Error(`the socket was closed: ${event.code}`));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === 'session.created') {
        const session = { audio: { input: { transcription: { model: 'whisper-1' } } } };
        socket.send(JSON.stringify({ type: 'session.update', session }));
        socket.send(JSON.stringify({ type: 'input_audio_buffer.append', audio }));
      }
      if (event.type === 'error') found.errors.push(event.error.message);
      if (event.type.endsWith('transcription.completed')) found.heard = event.transcript;
      if (event.type === 'response.output_audio.delta') found.deltas += 1;
      if (event.type === 'response.output_audio_transcript.done') found.said = event.transcript;
      if (event.type === 'response.done') resolve();
    };
  });
  const { protocol } = socket;
  socket.onclose = null;
  socket.close();
  return { protocol, ...found };
};
