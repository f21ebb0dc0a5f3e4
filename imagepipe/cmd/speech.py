"""What commands say, to whoever still listens."""

import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Print at once. Where nobody reads any more, as behind `| head -1`, the work goes on unheard."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        be_unheard(stream)


def be_unheard(stream: TextIO) -> None:
    """Let the rest go nowhere: what is buffered would fail again when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
