"""Banter, a realtime voice server. The way of a turn, from microphone to loudspeaker:

websocket       a frame of audio arrives
session         hands it to the ear, slice by slice
ear             24 to 16 kHz, webrtcvad and Silero, one answer a frame
turns           frames to turn events: speech started, the turn is over
whisper         the utterance, batched with those of all other sessions, to words
conversation    the words join the history, the history makes the prompt
llm             the reply is written, delta by delta
sentences       deltas to pieces that can be spoken, the first one early
voice           pieces to audio
outbox          audio, stamped with its response, back to the socket
"""
