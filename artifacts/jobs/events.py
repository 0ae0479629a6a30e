"""What a run tells while it goes on: `events.jsonl` in its job's folder, written by one, read by many.

A line is an event, and the offset after a line is the event's id, so whoever reads on needs no more than that number.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Literal

import msgspec

from artifacts.errors import StoreRefused
from artifacts.jobs.records import EVENTS, clean
from artifacts.system.disk import check_regular, open_at_once

MAX_EVENTS_BYTES = 8 * 2**20  # a run says no more than this, some 40,000 events
MAX_EVENTS_READ = 256 * 2**10  # at once


# What a training does, in this order; "linear" and "network" come again where it learns from every ticket. A job of
# another kind reads, then it checks (an inspection) or answers.
Phase = Literal["read", "check", "linear", "network", "calibrate", "export", "publish", "answer"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a run tells while it goes on; None where it is not told.

    Attributes:
        kind: which of the fields are told; a server that is older than the run passes over a kind it does not know.
        time: RFC 3339 in UTC, only to show.
        phase: that has begun, or that the epoch is of.
        epoch, num_epochs: the one that has ended, counted from 1, and how many there can be.
        loss: of the training.
        validation_loss, validation_accuracy: None also where the kind has none.
        tickets_per_s: trained on.
        seconds_left: of the whole training, at most; null while too little was seen to know.
        seconds_expected: that the whole training takes; told once, as soon as enough was seen to know.
        detail: in words; never a ticket's.
    """

    kind: Literal["state", "epoch", "message", "phase"]
    time: str
    phase: Phase | None = None
    epoch: int | None = None
    num_epochs: int | None = None
    loss: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    tickets_per_s: float | None = None
    seconds_left: float | None = None
    seconds_expected: float | None = None
    detail: str | None = None


_EVENT_DECODER = msgspec.json.Decoder(Event)


def append_event(folder: Path, event: Event) -> bool:
    """Tell an event to whoever follows the job, and return whether it was told: False once 8 MiB were.

    For one writer. A line that a crash or a full disk has torn is ended first, so that the next is whole.

    Args:
        folder: of the job.
        event: its `detail` is cut after 2000 characters.
    Raises:
        StoreRefused: the disk is full or failing; the training can go on without it.
    """
    if event.detail is not None:
        event = msgspec.structs.replace(event, detail=clean(event.detail))
    line = msgspec.json.encode(event) + b"\n"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(folder / EVENTS, flags, 0o600)
        try:
            num_bytes = check_regular(fd)
            if num_bytes and os.pread(fd, 1, num_bytes - 1) != b"\n":
                line = b"\n" + line
            if num_bytes + len(line) > MAX_EVENTS_BYTES:
                return False
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as the next write would say
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreRefused("events-not-written", path=folder / EVENTS, reason=error) from error
    return True


def read_events(folder: Path, offset: int = 0) -> list[tuple[int, Event]]:
    """Return what the run has told since `offset`, in order, each with the offset that follows it.

    The offset that came with an event is the one to ask on with. No more than 256 KiB are read at once: ask until
    nothing comes. A line that is torn or no event is passed over, and an offset inside a line means the next one.

    Args:
        folder: of the job.
        offset: 0 for all.
    Raises:
        FileNotFoundError: nothing was told yet, or there is no such folder; and every other OSError.
    """
    with open(folder / EVENTS, "rb", opener=open_at_once) as file:
        check_regular(file.fileno())
        start = min(max(offset - 1, 0), MAX_EVENTS_BYTES)  # a byte early: after a line feed a line begins
        file.seek(start)
        raw = file.read(MAX_EVENTS_READ)
    begin = raw.find(b"\n") + 1 if offset > 0 else 0
    events: list[tuple[int, Event]] = []
    if offset > 0 and not begin:
        return events
    while end := raw.find(b"\n", begin) + 1:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events.append((start + end, _EVENT_DECODER.decode(raw[begin : end - 1])))
        begin = end
    return events
