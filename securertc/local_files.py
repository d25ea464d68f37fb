"""Files of the user's: whether others can read his secrets, and new ones that take no other file's place."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rtp import write_wav

from .media.stream import Samples


def exposure(path: str | Path) -> str | None:
    """Returns in words that users of this machine who are neither owner nor of his group can read or write a file.

    None when they cannot, or there is no such file.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    can = [word for bit, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH, "written")) if mode & bit]
    return f"{path} can be {' and '.join(can)} by others, and should not: chmod o= {path}" if can else None


@dataclass(frozen=True, slots=True)
class NewFile:
    """Where to write what a command has made; with `force` a file that is there is replaced."""

    path: Path
    force: bool = False

    def check(self) -> None:
        """Raises OSError where write() would, as far as that can be known before."""
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise OSError(f"the directory {str(self.path.parent)!r} cannot be written to")
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            raise OSError(f"{str(self.path)!r} is there and no ordinary file")
        if not self.force:
            raise OSError(f"{str(self.path)!r} is there already; --force replaces it")

    def write_audio(self, samples: Samples, sample_rate: int) -> None:
        """Writes a WAV file for its owner alone; raises OSError.

        No link is followed, neither symbolic nor hard: with `force` a new file takes the name.
        """
        self.check()
        if not self.force:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            write_wav(descriptor, samples, sample_rate=sample_rate)
            return
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            write_wav(descriptor, samples, sample_rate=sample_rate)
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise
