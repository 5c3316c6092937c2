"""Engines on other machines, by Ray Serve. Nothing here is imported unless `--engines` asks for it.

An utterance's way, and a line's:

    front end       `RemoteTranscriber`, `RemoteVoice`: the seams, as the session knows them
      `pools.Pools`   numbers what is asked, and keeps the link running
        | a socket pair, `wire`
    link            a process of its own, the only one beside the front end that imports Ray
      `router`        the replica with the least queued audio, by `loads`
        | Serve's gRPC, straight to the replica
    replica         `replica`: the engine and the batcher that the one process has, on a node

The front end outlives the link and the link outlives the cluster: whatever dies beyond a socket
costs the turns that were under way there, never a session.
"""
