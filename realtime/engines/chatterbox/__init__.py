"""Chatterbox behind the `Voice` seam: streamed inside a sentence, batched over sessions.

variant       what sets the three models apart
model         the package's own models, loaded from a folder
conditionals  one voice as the models hear it, kept beside its clip on the volume
decoder       T3, text to speech tokens: rows join and leave a running batch between two steps
synthesizer   S3Gen, speech tokens to sound: chunk by chunk, without a seam
watermark     what says that a machine made it
worker        the thread that owns them and decides what runs next
voice         the seam itself
"""
