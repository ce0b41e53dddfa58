"""Who may run a relay on a data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posthouse.daemon.lock import lock
from posthouse.daemon.ports import StartError
from posthouse.explain import catalogue
from unit.daemon.installed import config


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_root_starts_no_relay_in_another_users_folder(tmp_path: Path, lang: str) -> None:
    """Its user could start none there afterwards: what root wrote is root's."""
    at = config(tmp_path)
    data = at.server.data
    data.mkdir(exist_ok=True)
    victim = tmp_path / "root's own"
    victim.write_text("kept")
    (data / "lock").symlink_to(victim)
    os.chown(data, 60_001, 60_001)
    with pytest.raises(StartError) as failed:
        lock(at, lambda _kind, **_facts: None)
    assert failed.value.reason == "owner"
    assert "60001" in failed.value.told(catalogue(lang))
    assert victim.read_text() == "kept"
