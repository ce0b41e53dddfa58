"""No port or mode given: RFC 8314's order, and what the port itself shows (rows 8, 129)."""

from __future__ import annotations

import pytest

from posthouse.flow import Endpoint, Security
from posthouse.protocol.server_input import ServerError
from posthouse.setup.probe import Options, to_dict
from scenarios.conftest import HOST, Scene, finding_ids, says

TLS465 = Endpoint(HOST, 465, Security.TLS)
STARTTLS587 = Endpoint(HOST, 587, Security.STARTTLS)


@pytest.mark.parametrize(
    ("open_ports", "chosen"),
    [
        ((465, 587), TLS465),
        ((587,), STARTTLS587),
        ((465,), TLS465),
    ],
)
async def test_the_preferred_port_that_is_open(
    scene: Scene, open_ports: tuple[int, ...], chosen: Endpoint
) -> None:
    for port in open_ports:
        await scene.server(port)
    result = await scene.probe(HOST)
    says(result, "ok", None, str(chosen))
    assert result.endpoint == chosen


async def test_nothing_is_open(scene: Scene) -> None:
    result = await scene.probe(HOST)
    says(result, "refused", "conn.refused", "465")


async def test_an_unusual_port_with_tls(scene: Scene) -> None:
    await scene.server(465)
    scene.dialer.ports[8465] = scene.dialer.ports[465]
    if scene.dialer.real:
        pytest.skip("the port is the mapped one")
    result = await scene.probe(f"{HOST}:8465")
    says(result, "ok", None, f"{HOST}:8465")
    assert result.endpoint.security is Security.TLS


async def test_an_unusual_port_with_starttls(scene: Scene) -> None:
    await scene.server(8587)
    result = await scene.probe(f"{HOST}:8587")
    assert result.endpoint.security is Security.STARTTLS
    says(result, "ok", None, f"{HOST}:8587")


@pytest.mark.parametrize(
    ("port", "security", "verdict"),
    [
        (465, Security.TLS, "ok"),
        (465, Security.STARTTLS, "tls_from_first_byte"),
        (587, Security.STARTTLS, "ok"),
        (587, Security.TLS, "starttls_here"),
        (25, Security.STARTTLS, "ok"),
        (25, Security.TLS, "starttls_here"),
    ],
)
async def test_every_port_in_every_mode(
    scene: Scene, port: int, security: Security, verdict: str
) -> None:
    await scene.server(port)
    result = await scene.probe(port, security)
    assert result.verdict.id == verdict
    assert ("relay_port" in finding_ids(result)) is (port == 25 and verdict == "ok")


async def test_a_url_and_a_wrong_target(scene: Scene) -> None:
    await scene.server(465)
    assert (await scene.probe(f"smtps://{HOST}:465")).endpoint == TLS465
    with pytest.raises(ServerError):
        await scene.probe("http://")


async def test_the_capabilities_are_compared(scene: Scene) -> None:
    await scene.server(587)
    before = {"SIZE": "1000", "SMTPUTF8": ""}
    result = await scene.probe(587, options=Options(before=before))
    assert {"extensions_gone", "extensions_new", "extensions_changed"} <= finding_ids(result)


async def test_the_json_has_its_shape(scene: Scene) -> None:
    await scene.server(587)
    whole = to_dict(await scene.probe(587), "zh")
    assert list(whole) == [
        "schema", "endpoint", "verdict", "suggestion", "steps", "extensions", "tls", "findings",
        "neighbours", "delivery", "transcript",
    ]  # fmt: skip
    assert whole["schema"] == 1
    assert whole["endpoint"] == {"host": HOST, "port": 587, "security": "starttls"}
    assert whole["tls"]["trusted"] is True
    assert whole["tls"]["certificates"][0]["names"] == [HOST]
    assert [line["mark"] for line in whole["transcript"]][:3] == ["<-", "->", "<-"]
    assert any(line["mark"] == "~>" for line in whole["transcript"])
    assert all({"name", "stage", "status", "seconds"} <= set(step) for step in whole["steps"])
