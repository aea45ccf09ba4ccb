"""``python -m tests.fuzzing -runs=1000000``: a coverage-guided fuzz, with the options of libFuzzer.

Needs the ``atheris`` package. The short run that belongs to every test run is ``test_target.py`` beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["opeai_async"]):
    from tests.fuzzing.target import check, corpus


def main() -> None:
    """Fuzz from the corpus of quirks."""
    folder = tempfile.mkdtemp(prefix="opeai_async-fuzz-")
    for number, seed in enumerate(corpus()):
        Path(folder, f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, folder], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
