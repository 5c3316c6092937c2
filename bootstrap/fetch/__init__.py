"""The child process that fetches from the hub: `python -m bootstrap.fetch`, an order on stdin.

Only here is huggingface_hub imported. A download in a thread cannot be ended, and a process can:
so it runs in one, which the parent kills when it is cancelled, and which ends by itself when the
parent is gone. What has arrived stays, and the next run goes on from there.

    __main__.py   the order, the messages to the parent, the end
    work.py       look at what is there, count the space, fetch in parallel, link
    listing.py    which files, by the hub's word and the plan's
    transfer.py   the bytes of one file: resumed, verified, synced
    reasons.py    what an error means, whether it may pass, what to do about it
    xet.py        the hub's faster transfer, where it is asked for
"""
