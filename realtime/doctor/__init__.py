"""Looks at a machine before, or beside, a server on it: what is there, what is missing, what to do.

    command.py      `banter doctor`: the settings, the list of checks, the report, the exit status
    examination.py  runs the checks side by side; one that hangs or raises is itself a finding
    finding.py      a line of the report, and the report
    needs.py        what each profile needs, as numbers
    machine.py      Python, memory, file descriptors
    gpu.py          what nvidia-smi says
    libraries.py    torch, CTranslate2, webrtcvad, the engines' packages, the watermark
    storage.py      the volume, the models on it, the space left; mounts.py, will it last
    network.py      the port, and who is given the microphone
    voice.py        a folder of Chatterbox's weights that the settings name
    endpoint.py     the language model's endpoint
    child.py        runs probe.py in a process of its own, with an end in time; aside.py, threads
    probe.py        the child: imports what may crash, and says what it saw

In each group one function gathers facts and another judges them; the judge is pure, so that it can
be told of machines that are not here. Nothing is changed on the machine, and the standard library
is enough to run: the doctor has to live where the server's packages do not.
"""
