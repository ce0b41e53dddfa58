"""cli: the command."""


def main() -> None:
    """The command line."""
    raise SystemExit(2)
