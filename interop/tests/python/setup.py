"""Makes a virtual environment that holds pyzmq, once.

usage: setup.py FOLDER

Test binaries run side by side and each may ask first: a lock beside the folder lets one of them build while
the others wait, and a marker inside it tells a finished environment from one whose making was interrupted.
"""

import fcntl
import pathlib
import shutil
import subprocess
import sys
import venv

REQUIREMENT = "pyzmq>=26,<28"


def main():
    folder = pathlib.Path(sys.argv[1])
    marker = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text() == REQUIREMENT:
            return
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", REQUIREMENT]
        subprocess.run(install, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        marker.write_text(REQUIREMENT)


main()
