"""Signing in: revoking holds at once, guessing is bounded, names are not told."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.flow import Secret
from posthouse.net.tcp import site
from posthouse.send.submit import login
from posthouse.send.submit import secret as app_secret
from posthouse.send.submit.limits import Ledger
from posthouse.send.submit.login import Denied, Identity
from unit.send.submit.world import ALICE, World

HOME, AWAY = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that was computed."""
    done: list[str] = []
    real = app_secret.verify

    def verify(encoded: str, secret: Secret) -> bool:
        done.append(encoded)
        return real(encoded, secret)

    monkeypatch.setattr(app_secret, "verify", verify)
    return done


async def enter(world: World, name: str = ALICE, secret: str = "", client: str = HOME) -> object:
    return await world.gate.sign_in(name, Secret(secret or world.secret), client)


async def test_the_right_secret_and_a_cheap_second_time(world: World, hashes: list[str]) -> None:
    first = await enter(world)
    assert isinstance(first, Identity)
    assert (first.user, first.label) == (ALICE, "laptop")
    assert await enter(world, "Alice@D.EXAMPLE", world.secret.upper()) == first
    assert len(hashes) == 1
    world.clock.advance(login.REMEMBERED)
    assert isinstance(await enter(world), Identity)
    assert len(hashes) == 2
    assert world.logins() == ["ok"] * 3


async def test_a_failure_is_told_at_one_time_whatever_was_wrong(
    world: World, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody learns who has an account by the time that a hash takes; nor has guesses hashed."""
    for number in range(5):
        world.accounts.make_password(ALICE, str(number), 0.0)
    real = app_secret.verify

    def slow(encoded: str, secret: Secret) -> bool:
        world.clock.advance(0.25)
        return real(encoded, secret)

    monkeypatch.setattr(app_secret, "verify", slow)
    wrong = "k3f9-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa"
    near = world.secret[:-1] + ("x" if world.secret[-1] != "x" else "y")
    for name, secret, computed in [
        ("nobody", wrong, 0),
        (ALICE, wrong, 0),
        (ALICE, near, 1),
        (ALICE, " ", 0),
    ]:
        hashes.clear()
        begun = world.clock.monotonic()
        assert await enter(world, name, secret) is Denied.WRONG
        assert world.clock.monotonic() - begun == pytest.approx(login.DELAY)
        assert len(hashes) == computed
    told = [facts for kind, facts in world.told if kind == "login"]
    assert [facts["user"] for facts in told] == ["", ALICE, ALICE, ALICE]


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.accounts.revoke(ALICE, 0.0, "laptop"),
        lambda w: w.accounts.revoke(ALICE, 0.0),
        lambda w: w.accounts.enable(ALICE, False),
        lambda w: w.accounts.delete(ALICE),
    ],
)
async def test_what_is_taken_away_is_gone_at_once(world: World, change) -> None:
    identity = await enter(world)
    assert isinstance(identity, Identity)
    assert world.gate.still(identity)
    change(world)
    assert await enter(world) is Denied.WRONG
    world.clock.advance(login.FRESH)
    assert not world.gate.still(identity)


async def test_a_new_password_disturbs_nobody(world: World) -> None:
    identity = await enter(world)
    assert isinstance(identity, Identity)
    world.accounts.make_password(ALICE, "phone", 0.0)
    world.clock.advance(login.FRESH)
    assert world.gate.still(identity)


async def test_an_expired_password_ends_also_where_it_is_remembered(world: World) -> None:
    now = world.clock.now().timestamp()
    secret = world.accounts.make_password(ALICE, "short", now, now + 100).reveal()
    assert isinstance(await enter(world, secret=secret), Identity)
    world.clock.advance(99)
    assert isinstance(await enter(world, secret=secret), Identity)
    world.clock.advance(1)
    assert await enter(world, secret=secret) is Denied.WRONG


async def test_networks(world: World) -> None:
    from ipaddress import ip_network

    world.accounts.add("shop", ["*@shop.example"], [ip_network("192.0.2.0/24")], 0.0)
    secret = world.accounts.make_password("shop", "web", 0.0).reveal()
    assert isinstance(await enter(world, "shop", secret, HOME), Identity)
    assert await enter(world, "shop", secret, AWAY) is Denied.WRONG
    assert world.logins() == ["ok", "network"]


def mistyped(world: World, last: str = "_") -> str:
    """Her app password but for its end, so that it is hers that is meant."""
    return world.secret[:-1] + last


async def test_guessing_is_bounded_and_shuts_nobody_else_out(
    world: World, hashes: list[str]
) -> None:
    other = world.accounts.make_password(ALICE, "phone", 0.0).reveal()
    most = login.GUESSES.most
    for _ in range(most):
        assert await enter(world, secret=mistyped(world), client=AWAY) is Denied.WRONG
    hashes.clear()
    assert await enter(world, client=AWAY) is Denied.BLOCKED
    assert not hashes
    # Alice's other device there gets in, and the same one from her own place.
    assert isinstance(await enter(world, secret=other, client=AWAY), Identity)
    assert isinstance(await enter(world, client=HOME), Identity)
    world.clock.advance(login.GUESSES.seconds * 1.1)
    assert isinstance(await enter(world, client=AWAY), Identity)


async def test_old_passwords_of_an_office_do_not_shut_out_the_rest_of_it(world: World) -> None:
    """Behind one address are thousands, and somebody among them who means it."""
    for number in range(login.GUESSES_ADDRESS.most):
        assert await enter(world, f"user{number}", "forgotten", HOME) is Denied.WRONG
        assert await enter(world, ALICE, f"{number:04}-aaaa", AWAY) is Denied.WRONG
    assert await enter(world, ALICE, "guess", HOME) is Denied.BLOCKED
    assert isinstance(await enter(world, client=HOME), Identity)
    assert isinstance(await enter(world, client=AWAY), Identity)


async def test_workers_know_of_each_others_failures(world: World) -> None:
    pairs, places = Ledger(1), Ledger(1)
    gates = [
        login.Gate(world.accounts, world.clock, world.watch, pairs=pairs, places=places)
        for _ in range(2)
    ]
    wrong = Secret(mistyped(world))
    tries = [await one.sign_in(ALICE, wrong, AWAY) for one in [*gates] * 3]
    assert tries == [Denied.WRONG] * login.GUESSES.most + [Denied.BLOCKED]
    right = Secret(world.secret)
    assert [await one.sign_in(ALICE, right, AWAY) for one in gates] == [Denied.BLOCKED] * 2
    assert isinstance(await gates[0].sign_in(ALICE, right, HOME), Identity)
    for one in gates:
        await one.close()


async def test_one_address_cannot_try_many_names(world: World) -> None:
    for number in range(login.GUESSES_ADDRESS.most):
        assert await enter(world, f"user{number}", "wrong", AWAY) is Denied.WRONG
        world.clock.advance(1)
    assert await enter(world, "another", "wrong", AWAY) is Denied.BLOCKED
    assert await enter(world, "another", "wrong", HOME) is Denied.WRONG


async def test_a_success_forgives_what_was_mistyped(world: World) -> None:
    for _ in range(3):
        for _ in range(login.GUESSES.most - 1):
            await enter(world, secret=mistyped(world))
        assert isinstance(await enter(world), Identity)


async def test_guesses_in_any_number_keep_out_nobody(world: World, hashes: list[str]) -> None:
    """From a network of IPv6 somebody has more addresses than can be counted."""
    tries = [enter(world, f"user{n}", "wrong", f"10.0.0.{n}") for n in range(5 * login.WAITING)]
    *guessed, good = await asyncio.gather(*tries, enter(world))
    assert guessed == [Denied.WRONG] * len(tries)
    assert isinstance(good, Identity)
    assert len(hashes) == 1


async def test_too_many_waiting_logins_are_told_to_come_back(world: World) -> None:
    wrong = mistyped(world)
    tries = [enter(world, ALICE, wrong, f"10.0.0.{n}") for n in range(login.WAITING + 10)]
    results = await asyncio.gather(*tries)
    assert results.count(Denied.BUSY) == 10
    assert results.count(Denied.WRONG) == login.WAITING


async def test_a_rush_of_logins_does_not_keep_out_who_was_in_before(world: World) -> None:
    assert isinstance(await enter(world), Identity)
    other = world.accounts.make_password(ALICE, "phone", 0.0).reveal()
    wrong = mistyped(world)
    tries = [enter(world, ALICE, wrong, f"10.0.0.{n}") for n in range(login.WAITING)]
    *_, late, good = await asyncio.gather(*tries, enter(world, secret=other), enter(world))
    assert late is Denied.BUSY
    assert isinstance(good, Identity)


async def test_an_unreadable_file_lets_nobody_in_and_throws_nobody_out(world: World) -> None:
    identity = await enter(world)
    assert isinstance(identity, Identity)
    world.accounts.close()
    world.clock.advance(login.FRESH)
    assert await enter(world) is Denied.BUSY
    assert world.gate.still(identity)


async def test_last_used_is_written_in_the_end(world: World) -> None:
    await enter(world)
    assert [p.used for p in world.accounts.passwords(ALICE)] == [None]
    await world.gate.close()
    at = world.clock.now().timestamp()
    assert [p.used for p in world.accounts.passwords(ALICE)] == [at]
    assert world.accounts.changed(ALICE) is not None


async def test_nothing_told_holds_the_secret(world: World) -> None:
    await enter(world)
    await enter(world, world.secret, "wrong")  # in the wrong field
    assert world.secret not in repr(world.told)
    assert world.secret.replace("-", "") not in repr(vars(world.gate))


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_whom_failures_are_counted_for(client: str, expected: str) -> None:
    assert site(client) == expected
