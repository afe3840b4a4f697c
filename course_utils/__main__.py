"""``python -m course_utils COMMAND``: starts the command line, `tools/command_line.py`."""

import sys
import warnings
from collections.abc import Sequence

from course_utils import language, paths


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    tools = paths.REPOSITORY / "tools"
    if not (tools / "command_line.py").is_file():
        missing = f"{tools} is missing: use the package in the course's own folder."
        print(language.translate(missing), file=sys.stderr)
        return 2
    if str(tools) not in sys.path:
        sys.path.insert(0, str(tools))
    import command_line

    return command_line.main(argv)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # any name can be printed, whatever the locale
        if hasattr(stream, "reconfigure") and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    warnings.showwarning = lambda message, *_: print(
        language.translate(f"Warning: {message}"), file=sys.stderr
    )
    try:
        status = main()
    except KeyboardInterrupt:  # before the command line was there to catch it
        status = 130
    sys.exit(status)
