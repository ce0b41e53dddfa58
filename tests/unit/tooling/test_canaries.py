"""The search for secrets finds each of them in each form, and fails the run that leaked one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

import canaries

TESTS = Path(__file__).parents[2]


def plain_response(value: str) -> str:
    return base64.b64encode(b"\0alice@example.test\0" + value.encode()).decode()


FORMS = {
    "plain": lambda v: f"password is {v}!",
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64, one before": lambda v: base64.b64encode(b"x" + v.encode() + b"yz").decode(),
    "base64, two before": lambda v: base64.b64encode(b"xx" + v.encode() + b"y").decode(),
    "AUTH PLAIN": lambda v: f"AUTH PLAIN {plain_response(v)}",
    "base64 in a URL": lambda v: base64.urlsafe_b64encode(b"\0" + v.encode()).decode(),
    "folded base64": lambda v: "\n".join(textwrap.wrap(plain_response(v), 10)),
    "folded base64 in a transcript": lambda v: "\n -> ".join(textwrap.wrap(plain_response(v), 9)),
    "URL": lambda v: f"smtp://alice:{quote(v, safe='')}@mail.test",
    "form": lambda v: f"password={quote_plus(v)}&x=1",
    "JSON": lambda v: json.dumps({"password": v}),
    "repr of bytes": lambda v: repr(v.encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", canaries.SECRETS)
def test_each_secret_is_found_in_each_form(name: str, form: str) -> None:
    leaked = FORMS[form](canaries.SECRETS[name])
    found = canaries.find_leaks(f"before\n{leaked}\nafter")
    assert any(leak.startswith(f"{name} as ") for leak in found)
    assert canaries.find_leaks(leaked.encode()) == canaries.find_leaks(leaked)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AUTH PLAIN ****",
        "535 5.7.8 Error: authentication failed: password",
        base64.b64encode(b"\0alice@example.test\0something else").decode(),
        "the length of the password is 23",
    ],
)
def test_masked_output_is_clean(text: str) -> None:
    assert canaries.find_leaks(text) == []


LEAKY = {
    "print": "print(PASSWORD)",
    "log": "import logging; logging.getLogger('x').warning('%s', PASSWORD)",
    "capsys": "capsys = request.getfixturevalue('capsys'); print(PASSWORD); capsys.readouterr()",
    "child": "subprocess.run([sys.executable, '-c', f'print({PASSWORD!r})'], capture_output=True)",
    "report": "(tmp_path / 'posthouse.log').write_text(PASSWORD)",
    "given": "secret_sweep('text ' + PASSWORD)",
    "click": "CliRunner().invoke(click.command()(lambda: click.echo(PASSWORD)))",
}
HARMLESS = {
    "none": "print('AUTH PLAIN ****')",
    "input": "(tmp_path / 'netrc').write_text(PASSWORD)",
}


INNER = """\
import subprocess, sys
import click
from click.testing import CliRunner
from canaries import PASSWORD

def test_inner(request, tmp_path, secret_sweep):
    """


@pytest.mark.parametrize(("body", "code"), [(b, 1) for b in LEAKY] + [(b, 0) for b in HARMLESS])
def test_a_run_that_leaks_fails(tmp_path: Path, body: str, code: int) -> None:
    (tmp_path / "test_inner.py").write_text(INNER + (LEAKY | HARMLESS)[body] + "\n")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, "--confcutdir", tmp_path, tmp_path],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == code, done.stdout
    assert ("SECRET IN OUTPUT: PASSWORD as plain text" in done.stdout) is bool(code)
