"""Every fuzz target, for a short while."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.mutate import TOKENS, Edit, Op, damaged, generate
from fuzz.targets import TARGETS, Target

EDITS = st.lists(
    st.builds(
        Edit,
        st.sampled_from(Op),
        st.integers(0, 65_535),
        st.integers(0, 255),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6)),
    ),
    min_size=1,
    max_size=8,
)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    seeds = list(target.seeds)
    broken = st.builds(
        lambda seed, edits: damaged(seed, edits, seeds), st.sampled_from(seeds), EDITS
    )
    return st.one_of(broken, broken, st.binary(max_size=200))


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name](seed)
    TARGETS[name](b"")


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=target.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target))
    def run(data: bytes) -> None:
        target(data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_more_damaged_inputs(name: str) -> None:
    """The generator of scripts/fuzz, always the same inputs."""
    target = TARGETS[name]
    for number in range(target.examples):
        data = generate(target.seeds, f"posthouse:{number}")
        try:
            target(data)
        except Exception as error:
            error.add_note(f"input {number} of {name}: {data[:500]!r}")
            raise
