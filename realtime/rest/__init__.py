"""OpenAI's HTTP endpoints: files to text, text to speech, the models, and a description of all.

endpoints.py       all of it, put into an application
problem.py         refusals, and the middleware that makes each error OpenAI's
upload.py          a form with a file, streamed to the disk
asked.py           what a form asks of a transcription
transcriptions.py  /v1/audio/transcriptions and /v1/audio/translations
speech.py          /v1/audio/speech
models.py          /v1/models
openapi.py         /openapi.json
gone.py            work that ends when its client does
event_stream.py    server-sent events
"""
