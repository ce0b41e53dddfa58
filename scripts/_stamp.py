"""Whether .venv is what a lock file asks for: the quick question ./posthouse asks on every start.

Must parse on any Python 3 and import nothing but os.
"""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def python_of(venv):
    """Where a virtual environment keeps its Python."""
    return os.path.join(
        venv, *(["Scripts", "python.exe"] if os.name == "nt" else ["bin", "python"])
    )


def path(lock, venv):
    """The stamp file of one lock."""
    return os.path.join(venv, lock + ".stamp")


def content(lock, venv):
    """What the stamp must hold: the real Python behind venv's, then the lock file's own bytes."""
    with open(os.path.join(ROOT, lock), "rb") as file:
        return os.fsencode(os.path.realpath(python_of(venv))) + b"\n" + file.read()


def is_ready(lock, venv):
    """Whether venv was made for exactly this lock, and its Python is there and still the same."""
    try:
        with open(path(lock, venv), "rb") as file:
            return file.read() == content(lock, venv) and os.path.exists(python_of(venv))
    except OSError:
        return False
