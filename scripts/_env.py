"""Make and keep .venv: the one place that knows how, for ./posthouse and scripts/check.

Enters: the name of a lock file. Leaves: the path of .venv's Python, with everything in that lock
installed (every file checked against its hash) and src/ importable. Called by the bootstrap
``posthouse`` when its stamp does not fit, and by scripts/check. What can fail is told as one
``SetupError`` whose words are already for people: no network, no room, no venv module.
Standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import _stamp

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
DEV_LOCK = "requirements-dev.lock"
RUN_LOCK = "requirements.lock"

# The catalogues belong to the package, which is not importable before this file has done its work.
WORDS = {
    "start": (
        "Posthouse: setting up .venv (first use, or something changed). Takes about {seconds} s...",
        "驿站：正在准备 .venv（首次使用或依赖有变），约需 {seconds} 秒……",
    ),
    "package": ("  {done}/{total} {name}", "  {done}/{total} {name}"),
    "done": ("Posthouse: ready ({seconds:.0f} s).", "驿站：准备完毕（{seconds:.0f} 秒）。"),
    "too_old": (
        "Python 3.11 or newer is needed; this is {have}.",
        "需要 Python 3.11 或更新版本，当前是 {have}。",
    ),
    "no_venv": (
        "this Python has neither pip nor a way to get it. Install one package and run again: "
        "sudo apt install python{have}-venv (Debian, Ubuntu), or `virtualenv` elsewhere.",
        "当前 Python 既没有 pip，也无法自动装上。请先安装再重试：Debian/Ubuntu 执行 "
        "sudo apt install python{have}-venv，其他系统安装 virtualenv。",
    ),
    "no_network": (
        "the packages could not be downloaded. Check the network (or pip's proxy and index "
        "settings), then run again: what is there already is kept.",
        "依赖包下载失败。请检查网络（或 pip 的代理、镜像设置）后重试，已装好的部分会保留。",
    ),
    "hash": (
        "a downloaded package is not the one in {lock}: its hash differs. Nothing of it was "
        "installed. A mirror may be altering files; try another one.",
        "下载的包与 {lock} 记录的哈希值不一致，未安装。可能是镜像源改动了文件，请换一个源再试。",
    ),
    "no_wheel": (
        "a package has no build for this system and Python {have}. Try another Python version.",
        "有依赖包没有适合本系统和 Python {have} 的版本，请换一个 Python 版本再试。",
    ),
    "no_room": ("the disk is full.", "磁盘空间不足。"),
    "not_writable": (
        "{path} cannot be written. Copy the folder to a place you own, then run again.",
        "无法写入 {path}。请把整个目录复制到您有写权限的位置后再运行。",
    ),
    "not_ours": (
        "{venv} does not fit, or is closed to this user, who may not change it. As its owner run "
        "{command} --version. Where that does not help: rm -r {venv}; umask 022; "
        "/usr/bin/python3 {command} --version, for its Python ({python}) must not stand in "
        "somebody's home.",
        "{venv} 与当前代码不符，或者当前用户无权读取，也无权修改。请以它的属主运行 "
        "{command} --version；还不行，就执行 rm -r {venv}; umask 022; "
        "/usr/bin/python3 {command} --version：它所用的 Python（{python}）"
        "不能放在某个用户的主目录里。",
    ),
    "pip": ("pip failed: {line}", "pip 出错：{line}"),
}
EXIT_NO_NETWORK = 3  # as everywhere in Posthouse: could not be determined
EXIT_SETUP = 1


class SetupError(Exception):
    """Setting up failed for a reason the user can act on; ``str`` of it is for people."""

    def __init__(self, key: str, **params: object) -> None:
        super().__init__(words(key, **params))
        self.exit_code = EXIT_NO_NETWORK if key == "no_network" else EXIT_SETUP


def words(key: str, **params: object) -> str:
    """One text of WORDS in the language of the environment."""
    setting = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), "")
    return WORDS[key][setting.startswith("zh")].format(**params)


def say(text: str, *, end: str = "\n") -> None:
    """Progress goes to stderr; a terminal that lacks the characters gets what it can show."""
    encoding = sys.stderr.encoding or "ascii"
    sys.stderr.write(text.encode(encoding, "replace").decode(encoding) + end)
    sys.stderr.flush()


def ensure_or_exit(lock: str) -> str:
    """``ensure`` for a command: one line and an exit code instead of an exception."""
    try:
        return str(ensure(lock))
    except SetupError as error:
        say(f"posthouse: {error}")
        raise SystemExit(error.exit_code) from None


def ensure(lock: str, venv: Path = VENV) -> Path:
    """Return venv's Python, after making or mending venv so that ``lock`` is installed in it."""
    have = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.version_info < OLDEST:
        raise SetupError("too_old", have=have)
    python = python_of(venv)
    try:
        with _alone():
            if not _stamp.is_ready(lock, venv):
                if venv.exists() and not os.access(venv, os.W_OK):
                    raise _not_ours(venv)
                began = time.monotonic()
                say(words("start", seconds=60 if lock == DEV_LOCK else 30))
                _make(venv, have)
                _install(lock, venv, have)
                _link_source(python)
                _write_stamps(lock, venv)
                say(words("done", seconds=time.monotonic() - began))
    except PermissionError as error:
        raise SetupError("not_writable", path=error.filename or venv) from None
    except OSError as error:
        raise SetupError("pip", line=error) from None
    return python


def _not_ours(venv: Path) -> SetupError:
    """Made by root, used by the relay's user: root's pyenv or umask keeps him out."""
    python = os.path.realpath(python_of(venv))
    return SetupError("not_ours", venv=venv, command=ROOT / "posthouse", python=python)


def python_of(venv: Path) -> Path:
    """Where a virtual environment keeps its Python."""
    return Path(_stamp.python_of(venv))


def tool(name: str) -> str:
    """The path of a command installed in .venv."""
    return str(python_of(VENV).with_name(name + (".exe" if os.name == "nt" else "")))


def packages(lock: str) -> list[str]:
    """The names in a lock file, in its order."""
    lines = (ROOT / lock).read_text("utf-8").splitlines()
    return [line.split("==")[0] for line in lines if line[:1].isalnum()]


def _write_stamps(lock: str, venv: Path) -> None:
    """Written last, so that an interrupted set-up is taken up again."""
    for name in {lock, RUN_LOCK}:  # scripts/lock makes the dev lock contain the other
        Path(_stamp.path(name, venv)).write_bytes(_stamp.content(name, venv))


@contextmanager
def _alone() -> Iterator[None]:
    """Two first uses at once: the second waits for the first, then finds everything done."""
    with (ROOT / RUN_LOCK).open("rb") as file:
        try:
            import fcntl
        except ImportError:  # Windows: the worst case is the same work done twice
            pass
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(venv: Path, have: str) -> None:
    """Create venv, unless one is there whose Python runs and is new enough."""
    check = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    if python_of(venv).exists() and _runs([python_of(venv), "-c", check]):
        return
    shutil.rmtree(venv, ignore_errors=True)
    # Debian's Python may come without ensurepip: then pip is used from outside of venv.
    bare = importlib.util.find_spec("ensurepip") is None
    if importlib.util.find_spec("venv") and _runs(
        [sys.executable, "-m", "venv", *(["--without-pip"] if bare else []), venv]
    ):
        return
    if not _runs([sys.executable, "-m", "virtualenv", "-q", venv]) and not (
        shutil.which("virtualenv") and _runs(["virtualenv", "-q", "-p", sys.executable, venv])
    ):
        if not os.access(venv.parent, os.W_OK):
            raise SetupError("not_writable", path=venv.parent)
        raise SetupError("no_venv", have=have)


def _runs(command: list[str | Path]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pip(venv: Path, have: str) -> list[str]:
    """The pip that installs into venv: its own, else an outer one that can (pip 22.3 and later)."""
    inner = str(python_of(venv))
    if _runs([inner, "-m", "pip", "--version"]):
        return [inner, "-m", "pip"]
    outer = [sys.executable, "-m", "pip", "--python", inner]
    if _runs([*outer, "--version"]):
        return outer
    raise SetupError("no_venv", have=have)


def _install(lock: str, venv: Path, have: str) -> None:
    command = [*_pip(venv, have), "install", "--require-hashes", "-r", str(ROOT / lock)]
    command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
    command += ["--no-warn-script-location", "--retries", "2"]
    output, done, total, terminal = [], 0, len(packages(lock)), sys.stderr.isatty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout
        for line in pip.stdout:
            output.append(line.strip())
            if line.startswith("Collecting ") and terminal:
                done += 1
                name = line.split()[1].split("==")[0]
                say("\r\x1b[K" + words("package", done=done, total=total, name=name), end="")
    if terminal:
        say("\r\x1b[K", end="")
    if pip.returncode:
        raise _why(output, lock, have)


def _why(output: list[str], lock: str, have: str) -> SetupError:
    """Turn pip's output into one reason."""
    text = "\n".join(output)
    for key, signs in (
        ("no_room", ("No space left on device",)),
        ("hash", ("DO NOT MATCH THE HASHES",)),
        ("no_network", ("after connection broken by", "ConnectionError", "Max retries exceeded")),
        ("no_network", ("ReadTimeout", "ProxyError", "SSLError", "(from versions: none)")),
        ("no_wheel", ("No matching distribution", "Failed to build", "Could not build wheels")),
    ):
        if any(sign in text for sign in signs):
            return SetupError(key, lock=lock, have=have)
    errors = [line for line in output if "ERROR" in line] or output[-1:] or ["?"]
    return SetupError("pip", line=errors[0])


def _link_source(python: Path) -> None:
    """A .pth file, relative so that the checkout may be moved as a whole."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    packages = Path(answer.stdout.strip())
    link = os.path.relpath(ROOT / "src", packages)
    (packages / "posthouse.pth").write_text(link + "\n", encoding="utf-8")
