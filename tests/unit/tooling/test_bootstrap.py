"""./posthouse on its first use, on every other use, and on machines where it can't be set up."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


def load(path: Path) -> ModuleType:
    loader = SourceFileLoader(f"loaded_{path.stem}", str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def env() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return load(ROOT / "scripts/_env.py")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy with the bootstrap, an empty lock and a package that only tells its arguments."""
    for name in ("posthouse", "scripts/_env.py", "scripts/_stamp.py"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "src/posthouse").mkdir(parents=True)
    told = "import sys; print(sys.argv[1:], sys.prefix)"
    (tmp_path / "src/posthouse/__main__.py").write_text(told)
    return tmp_path


def run(checkout: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, checkout / "posthouse", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", **env},
        check=False,
    )


def test_the_life_of_a_checkout(checkout: Path) -> None:
    """One story, because making .venv takes seconds."""
    lock, own = checkout / "requirements.lock", checkout / ".venv"
    first = run(checkout, "find", "a b")
    assert "setting up .venv" in first.stderr
    assert first.stdout == f"['find', 'a b'] {own}\n"

    second = run(checkout)
    assert (second.stdout, second.stderr) == (f"[] {own}\n", "")

    lock.write_text("# changed\n")
    assert "正在准备 .venv" in run(checkout, LC_ALL="zh_CN.UTF-8").stderr
    assert run(checkout).stderr == ""

    # No index and no links: what a machine without network looks like to pip.
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    lock.write_text(f"click==8.2.1 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):  # the next use tries again
        offline = run(checkout, **nowhere)
        assert (offline.returncode, offline.stdout) == (3, "")
        _, reason = offline.stderr.splitlines()
        assert reason.startswith("posthouse: the packages could not be downloaded")

    lock.write_text("")
    (own / "bin/python").unlink()  # as when its Python was removed from the system
    again = run(checkout)
    assert (again.returncode, again.stdout) == (0, f"[] {own}\n")
    assert "setting up .venv" in again.stderr


@pytest.mark.parametrize("closed", ["Python", ".venv"])
def test_another_user_who_is_shut_out_learns_what_its_owner_has_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """root made it by a Python in root's home, or under umask 077; then the relay's user comes."""
    monkeypatch.syspath_prepend(checkout / "scripts")
    monkeypatch.delitem(sys.modules, "_stamp", raising=False)
    env = load(checkout / "scripts/_env.py")
    home = checkout / "home"
    (checkout / ".venv/bin").mkdir(parents=True)
    home.mkdir()
    (home / "python3").symlink_to(sys.executable)
    (checkout / ".venv/bin/python").symlink_to(home / "python3")
    monkeypatch.setattr(env.os, "access", lambda *_: False)  # as for one who is not root
    shut = home if closed == "Python" else checkout / ".venv"
    shut.chmod(0)
    try:
        with pytest.raises(env.SetupError) as told:
            env.ensure(env.RUN_LOCK)
    finally:
        shut.chmod(0o700)
    assert str(told.value).startswith(f"{checkout / '.venv'} does not fit, or is closed")
    assert f"{checkout / 'posthouse'} --version" in str(told.value)


@pytest.mark.parametrize("name", ["posthouse", "scripts/_stamp.py"])
def test_the_first_steps_parse_on_old_pythons(name: str) -> None:
    """Newer syntax would end in a SyntaxError where the user should read what to install."""
    ast.parse((ROOT / name).read_text(), feature_version=(3, 4))
    assert "f'" not in (text := (ROOT / name).read_text())
    assert 'f"' not in text


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en_US.UTF-8", "needs Python 3.11 or newer; this is"), ("zh_CN.UTF-8", "需要 Python 3.11")],
)
def test_a_python_too_old_is_told(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    lang: str,
    words: str,
) -> None:
    bootstrap = load(checkout / "posthouse")
    monkeypatch.setattr(bootstrap, "OLDEST", (4, 0))
    monkeypatch.setenv("LC_ALL", lang)
    monkeypatch.setenv("PATH", "")
    assert bootstrap.main([]) == 1
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(
    ("output", "key"),
    [
        (
            "WARNING: Retrying (...) after connection broken by 'NewConnectionError(...)'",
            "no_network",
        ),
        ("ERROR: Could not find a version that satisfies x (from versions: none)", "no_network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "hash"),
        ("ERROR: Could not install packages due to an OSError: No space left on device", "no_room"),
        ("ERROR: Ignored\nERROR: No matching distribution found for x==1", "no_wheel"),
        ("something\nERROR: a riddle\nmore", "pip"),
    ],
)
def test_what_pip_says_becomes_one_reason(env: ModuleType, output: str, key: str) -> None:
    error = env._why(output.splitlines(), "requirements.lock", "3.11")
    line = "ERROR: a riddle"
    assert str(error) == env.words(key, lock="requirements.lock", have="3.11", line=line)
    assert error.exit_code == (3 if key == "no_network" else 1)


def test_every_word_exists_in_both_languages(env: ModuleType) -> None:
    for key, (english, chinese) in env.WORDS.items():
        assert english.isascii(), key
        assert key == "package" or not chinese.isascii(), key


def test_the_dev_lock_contains_the_other(env: ModuleType) -> None:
    """So that one .venv serves both ./posthouse and scripts/check."""

    def pins(lock: str) -> set[str]:
        lines = (ROOT / lock).read_text().splitlines()
        return {line.partition(" ")[0] for line in lines if line[:1].isalnum()}

    assert pins(env.RUN_LOCK) <= pins(env.DEV_LOCK)
