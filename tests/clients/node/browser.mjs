// The WebSocket that browsers have, which Node has too: it refuses a handshake that they refuse.

import { readFileSync } from 'node:fs';

import { answer, asked } from './scenario.mjs';
import turn from './turn.mjs';

const audio = readFileSync(asked.speech[0]).toString('base64');
answer(await turn({ url: asked.url, protocols: asked.protocols, audio }));
