"""Prints what pyproject.toml wants at least, of everything that it names, as constraints for pip.

`aioice>=0.13` becomes `aioice==0.13`; of a package that several extras want, the highest bound counts, as for pip.
A requirement without a lower bound is an error: nobody could say what it was tested with.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*>=\s*([0-9][0-9.]*)\s*")


def lowest_bounds(pyproject: str) -> dict[str, str]:
    """Returns the lower bound of each package; raises ValueError for a requirement that has another form."""
    read = tomllib.loads(pyproject)
    project = read["project"]
    lists = [read["build-system"]["requires"], project["dependencies"], *project["optional-dependencies"].values()]
    bounds: dict[str, str] = {}
    for requirement in (one for requirements in lists for one in requirements):
        found = _REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r} in pyproject.toml is not of the form name>=version")
        name, bound = found[1].lower(), found[2]
        bounds[name] = max(bounds.get(name, "0"), bound, key=_release)
    return bounds


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
    sys.stdout.writelines(f"{name}=={bound}\n" for name, bound in sorted(lowest_bounds(text).items()))
