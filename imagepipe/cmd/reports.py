"""Guru Meditation Reports: what a process of a conductor does at this moment, told at a signal.

As in other services of OpenStack it is SIGUSR2, or a touched file, and [oslo_reports] says where the report
goes. Secrets do not belong in it: not those of the configuration, and nothing of a source but its import.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_reports import guru_meditation_report as gmr
from oslo_reports.generators import process
from oslo_reports.generators import threading as threads
from oslo_reports.generators import version as package
from oslo_reports.generators.conf import ConfigReportGenerator

from imagepipe import errors, version
from imagepipe.cmd import tables
from imagepipe.jobs.supervisor import Child

if TYPE_CHECKING:
    from imagepipe.jobs.conductor import Flight

_HIDDEN = '***'
_USERINFO = re.compile(r'(?<=://)[^/@\s]+(?=@)')
_FLIGHT = ('IMPORT', 'IMAGE', 'METHOD', 'STATE', 'STEP', 'FOR', 'LAST SIGN', 'EPOCH', 'HELD')
_WORKER = ('NUMBER', 'PID', 'FOR', 'LAST SIGN')


class Report(gmr.TextGuruMeditation):
    """The sections of oslo.reports over this process, and one of our own."""

    #: Set by listen(): a process has one configuration and one thing to tell.
    conf: cfg.ConfigOpts
    section: tuple[str, Callable[[], str]]

    def _readd_sections(self) -> None:
        """In place of oslo.reports' own, whose configuration is the global one, which nobody fills here."""
        del self.sections[self.start_section_index :]
        self.add_section(*self.section)
        self.add_section('Package', package.PackageReportGenerator(Release()))
        self.add_section('Threads', threads.ThreadReportGenerator(self.traceback))
        self.add_section('Processes', process.ProcessReportGenerator())
        self.add_section('Configuration', ConfigReportGenerator(self.conf))

    def run(self) -> str:
        """The report. What looks like a login in a URL is hidden, wherever it came from."""
        return _USERINFO.sub(_HIDDEN, super().run())


class Release:
    """What oslo.reports asks a version for."""

    def vendor_string(self) -> str:
        return 'OpenStack'

    def product_string(self) -> str:
        return 'imagepipe'

    def version_string_with_package(self) -> str:
        return version.RELEASE


def listen(
    conf: cfg.ConfigOpts,
    name: str,
    section: tuple[str, Callable[[], str]],
    *,
    also: Callable[[], None] = lambda: None,
) -> None:
    """Make a report of this process when it is asked for; `also` is done with each by signal.

    Raises ConfigurationInvalid.
    """
    Report.conf, Report.section = conf, section
    watched = conf.oslo_reports.file_event_handler
    if watched:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # else it would end the process
        if not os.path.exists(watched):
            raise errors.ConfigurationInvalid(
                reason=f'[oslo_reports] file_event_handler: {watched} does not exist'
            )
        Report.setup_autorun(Release(), service_name=name, conf=conf)
        return

    def report() -> None:
        Report.handle_signal(Release(), name, conf.oslo_reports.log_dir, None)

    def handle(_number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the main thread may be in the middle of writing to the same file.
        threading.Thread(target=report, name='report', daemon=True).start()
        also()

    signal.signal(signal.SIGUSR2, handle)


def flights(found: Sequence['Flight']) -> str:
    """The imports that a worker has in hand: a line for each step at work."""
    rows = [
        (flight.import_id, flight.image_id, flight.method, flight.state, step,
         tables.duration(since), tables.duration(silent), flight.epoch, tables.duration(flight.held))
        for flight in found
        for step, since, silent in flight.steps or [(None, None, None)]
    ]  # fmt: skip
    return tables.table(_FLIGHT, rows) if rows else 'No import is in flight here.'


def workers(found: Sequence[Child]) -> str:
    """The workers of a supervisor."""
    rows = [
        (child.number, child.process.pid, tables.duration(child.age), tables.duration(child.silence))
        for child in found
    ]
    return tables.table(_WORKER, rows) if rows else 'No worker runs.'
