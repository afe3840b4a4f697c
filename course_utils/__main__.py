"""``python -m course_utils``: see `cli.py`."""

import sys
import warnings

from course_utils import cli

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # any name can be printed, whatever the locale
        if hasattr(stream, "reconfigure") and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    warnings.showwarning = lambda message, *_: print(f"Warning: {message}", file=sys.stderr)
    sys.exit(cli.main())
