"""The scenes of the scenarios, for attacks."""

from __future__ import annotations

from scenarios.conftest import authority, scene

__all__ = ["authority", "scene"]
