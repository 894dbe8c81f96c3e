"""The program ``hgproto``, also as ``python -m hgproto``: the command line."""

__all__ = ["main"]


def main() -> None:
    """Runs the command line as the program of this process, and exits."""
    try:
        from hgproto.system.interrupts import run_program
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run_program("hgproto.cli")


if __name__ == "__main__":
    main()
