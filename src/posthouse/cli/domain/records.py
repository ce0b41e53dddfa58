"""``posthouse domain records NAME``: what to publish, from who sends; as text, zone or diff."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.setup.domain.records import Inventory, Plan

FORMS: Final = ("text", "zone", "diff")


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(name: str, **options: Any) -> int:
        return _run(session(words, options), name, options)

    several: dict[str, Any] = {"multiple": True}
    return Command(
        "records",
        words,
        key="cli.domain_records",
        callback=run,
        params=[
            click.Argument(["name"], metavar=words.text("cli.arg.domain")),
            click.Option(["--inventory"], metavar="FILE", help=text("inventory")),
            click.Option(["--service"], metavar="ID", help=text("records_service"), **several),
            click.Option(["--ip"], metavar="ADDRESS", help=text("ip"), **several),
            click.Option(["--mx"], metavar="[N:]HOST", help=text("mx"), **several),
            click.Option(["--dmarc-report"], metavar="ADDRESS", help=text("rua"), **several),
            click.Option(["--tls-report"], metavar="ADDRESS", help=text("tlsrua"), **several),
            click.Option(["--reports"], metavar="FOLDER", help=text("reports")),
            click.Option(["--keys"], metavar="FOLDER", help=text("keys")),
            click.Option(["--flatten"], is_flag=True, help=text("flatten")),
            click.Option(["--connect"], is_flag=True, help=text("records_connect")),
            click.Option(
                ["--as", "form"], type=click.Choice(FORMS), default="text",
                metavar="|".join(FORMS), help=text("form"),
            ),
            click.Option(["--out"], metavar="FOLDER", help=text("records_out")),
            *common(words),
        ],
    )  # fmt: skip


def _run(asked: Session, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.setup.domain import records

    if asked.offline:
        raise click.UsageError(asked.words.text("cli.error.offline_audit"))
    inventory = _inventory(asked, name, given)
    plan = asyncio.run(_plan(asked, inventory, given))
    written = _write(asked.words, plan, given["out"]) if given.get("out") else []
    if asked.json:
        from posthouse.cli.answer import print_json

        print_json({**records.to_dict(plan, asked.lang), "written": written})
    elif given["form"] == "text":
        click.echo(records.text(plan, asked.lang), nl=False)
    else:
        click.echo((records.zone if given["form"] == "zone" else records.diff)(plan), nl=False)
    for path in written:
        click.echo(asked.words.text("screen.domain.file_written", path=path), err=True)
    return records.exit_code(plan)


def _inventory(asked: Session, name: str, given: Mapping[str, Any]) -> Inventory:
    """The file, or the options; refused with the line and the key that is wrong."""
    from posthouse.setup.domain.records import InventoryError, from_options, read_file

    try:
        if given.get("inventory"):
            inventory = read_file(Path(given["inventory"]))
            if inventory.domain != name.strip().lower().rstrip("."):
                text = asked.words.text("cli.error.inventory_other", domain=inventory.domain)
                raise click.UsageError(text)
        else:
            inventory = from_options(
                name,
                services=given["service"],
                addresses=given["ip"],
                mx=given["mx"],
                dmarc_reports=given["dmarc_report"],
                tls_reports=given["tls_report"],
                flatten=given["flatten"],
            )
    except InventoryError as error:
        key = f"records.inventory.{error.reason}"
        reason = asked.words.text(key, key=error.key, detail=error.detail)
        where = f"{given['inventory']}:{error.line}: " if error.line else ""
        raise click.UsageError(f"{where}{reason}") from None
    except OSError:
        text = asked.words.text("cli.error.read_file", path=given["inventory"])
        raise click.ClickException(text) from None
    return _with_keys(asked.words, inventory, given.get("keys"))


def _with_keys(words: Catalogue, inventory: Inventory, folder: str | None) -> Inventory:
    from posthouse.setup.domain.keys import KeyStore, KeyStoreError, publishable

    if folder is None:
        return inventory
    try:
        selectors = publishable(KeyStore(Path(folder)), inventory.domain)
    except KeyStoreError as error:
        raise click.ClickException(key_error(words, error)) from None
    return replace(inventory, selectors=(*inventory.selectors, *selectors))


def key_error(words: Catalogue, error: Any) -> str:
    """What is wrong with the store, and the command that mends it."""
    key = f"records.key_error.{error.reason}"
    return words.text(key, detail=error.detail, fix=error.fix)


async def _plan(asked: Session, inventory: Inventory, given: Mapping[str, Any]) -> Plan:
    from posthouse.cli.domain.audit import net_of
    from posthouse.setup.domain import records

    net = net_of(asked)
    if given["connect"]:
        inventory = await records.with_certificates(inventory, net)
    served = await records.served_policy(inventory.domain, net)
    reports, unread = (), ()
    if given.get("reports"):
        try:
            reports, unread = records.read_folder(Path(given["reports"]))  # type: ignore[assignment]
        except OSError:
            text = asked.words.text("cli.error.read_file", path=given["reports"])
            raise click.ClickException(text) from None
    return await records.propose(
        inventory, net.resolver, net.clock.now(), reports=reports, unread=unread, served=served
    )


def _write(words: Catalogue, plan: Plan, out: str) -> list[str]:
    """The zone fragment and the files for the web server, into a folder; nothing overwritten."""
    from posthouse.setup.domain import records

    folder, written = Path(out), []
    contents = [("records.zone", records.zone(plan).encode())]
    contents += [(file.name, file.content) for file in plan.files]
    for name, content in contents:
        path = folder / name.lstrip("/")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except OSError:
            text = words.text("cli.error.write_file", path=str(path))
            raise click.ClickException(text) from None
        written.append(str(path))
    return written
