"""The supervisor of a conductor: starts its worker processes, watches them, replaces what fails.

A worker says over a pipe that it lives. One that says nothing for a lease, that dies, or that
asks to be replaced because a step of it hangs, gets a successor; imports are taken over by
their claims, so nothing has to be handed from one to the other.

Workers are forked from it, who has imported what they need: one is there in a tenth of the time that an
interpreter takes which begins with nothing, and shares that memory with the others.
"""

import contextlib
import gc
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

LOG = logging.getLogger(__name__)

#: Exit status of a worker that asks to be replaced because a step of it is stuck.
EXIT_STUCK = 75
#: Exit status of a worker that cannot work by its configuration, and has said so.
EXIT_MISCONFIGURED = os.EX_CONFIG
#: Seconds between two deaths below which a successor waits longer and longer.
_SHORT_LIFE = 10.0
_MAX_PAUSE = 30.0
#: How loudly the end of a worker is told, by its exit status.
_LEVELS = {0: logging.INFO, EXIT_STUCK: logging.WARNING}
_LOOK = 0.2


#: What a worker does, given its number and the pipe on which it says that it lives; its exit status.
Work = Callable[[int, int], int]

_FORK = multiprocessing.get_context('fork')
#: What a supervisor, or its worker, does something at.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Child:
    """One worker process, and the pipe on which it gives signs of life. others: its siblings."""

    def __init__(self, work: Work, number: int, others: Iterable['Child']) -> None:
        self.number = number
        self.started = self.signed = time.monotonic()
        self._told = False
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        not_theirs = [self._pipe, *(other._pipe for other in others)]
        self.process = _FORK.Process(
            target=_become, args=(work, number, theirs, not_theirs), name=f'worker {number}', daemon=True
        )
        try:
            with _deaf():
                self.process.start()
        except OSError:
            self.close()
            raise
        finally:
            os.close(theirs)

    def listen(self) -> None:
        """Note whether the worker has given a sign since the last look."""
        while select.select([self._pipe], [], [], 0)[0]:
            if not os.read(self._pipe, 4096):
                return  # closed: the process is ending
            self.signed = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def silence(self) -> float:
        """Seconds since its last sign."""
        return time.monotonic() - self.signed

    @property
    def listens(self) -> bool:
        """Whether it has come so far that it knows signals; before, they would end it."""
        return self.signed > self.started

    def drain(self) -> None:
        """Tell the worker, once, to end when it is idle; one that does not listen yet is told later."""
        if not self._told and self.listens:
            self._told = True
            self.send_signal(signal.SIGUSR1)

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._pipe)


class Supervisor:
    """Keeps `workers` processes that do `work` running until stopped.

    silence: seconds without a sign after which a worker is killed. grace: seconds that stopping
    workers have before they are killed.
    """

    def __init__(self, work: Work, *, workers: int, silence: float, grace: float) -> None:
        self._work = work
        self._count = workers
        self._silence = silence
        self._grace = grace
        # Not an Event: a signal's handler that sets one may meet its lock held by the thread it interrupts.
        self._stopping = self._draining = False
        #: Whether a worker has ever worked.
        self._begun = False
        self._refused = False
        self._children: dict[int, Child] = {}
        self._due: dict[int, float] = dict.fromkeys(range(workers), 0.0)
        self._pauses: dict[int, float] = {}

    def run(self) -> bool:
        """Start the workers and watch them; returns after stop() or drain(), when all have ended.

        False: their configuration is such that none has begun.
        """
        self._listen_to_signals()
        gc.freeze()  # what the workers share stays shared
        LOG.info('Conductor starts with %s workers', self._count)
        while not self._stopping:
            if not self._draining:
                self._start_due()
            for child in self.children:
                self._watch(child)
            if self._draining and not self._children:
                break
            time.sleep(_LOOK)
        self._stop_all()
        LOG.info('Conductor has stopped')
        return not self._refused

    def stop(self) -> None:
        """End the workers, gracefully first."""
        self._stopping = True

    def drain(self) -> None:
        """Let the workers take nothing new, and end when they are idle."""
        self._draining = True

    def pass_on(self, number: int) -> None:
        """Send a signal to every worker that knows what to do with it."""
        for child in self.children:
            if child.listens:
                child.send_signal(number)

    @property
    def children(self) -> list[Child]:
        """The workers that run now."""
        return list(self._children.values())

    def _listen_to_signals(self) -> None:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        def drain(_number: int, _frame: FrameType | None) -> None:
            self.drain()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGUSR1, drain)

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [number for number, moment in self._due.items() if moment <= now]
        if not self._begun:  # what is wrong with the configuration is told once
            due = [] if self._children else due[:1]
        for number in due:
            try:
                self._children[number] = Child(self._work, number, self.children)
            except OSError as error:  # no process or memory is left: those that run go on
                LOG.error('Worker %s could not be started: %s', number, error)
                self._due[number] = now + self._paused(number)
            else:
                del self._due[number]

    def _watch(self, child: Child) -> None:
        child.listen()
        self._begun = self._begun or child.listens
        if child.process.exitcode is None:
            if child.silence > self._silence:
                LOG.error('Worker %s gives no sign of life and is killed', child.process.pid)
                child.process.kill()
            elif self._draining:
                child.drain()
            return
        self._bury(child)

    def _bury(self, child: Child) -> None:
        status = child.process.exitcode
        child.close()
        del self._children[child.number]
        level = _LEVELS.get(status, logging.ERROR)
        LOG.log(level, 'Worker %s ended with status %s', child.process.pid, status)
        if status == EXIT_MISCONFIGURED and not self._begun:
            self._refused = True
            self.stop()
        if child.age >= _SHORT_LIFE:
            self._pauses.pop(child.number, None)
            self._due[child.number] = time.monotonic()
        else:
            self._due[child.number] = time.monotonic() + self._paused(child.number)

    def _paused(self, number: int) -> float:
        """Seconds before the next attempt: longer after each short life."""
        pause = self._pauses[number] = min(_MAX_PAUSE, self._pauses.get(number, 0.5) * 2)
        return pause

    def _stop_all(self) -> None:
        children = self.children
        for child in children:
            child.process.terminate()
        until = time.monotonic() + self._grace
        for child in children:
            child.process.join(max(0.0, until - time.monotonic()))
            if child.process.exitcode is None:
                LOG.error('Worker %s does not stop and is killed', child.process.pid)
                child.process.kill()
                child.process.join()
            child.close()


def die_with_parent() -> None:
    """End this process when its supervisor is gone, however that died."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        LOG.error('The supervisor is gone; this worker ends')
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name='parent', daemon=True).start()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Signals wait: one to a child that still has its supervisor's handlers would be lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(work: Work, number: int, beat: int, not_ours: Iterable[int]) -> None:
    """What a fork does first: it lets go of what is its supervisor's."""
    for pipe in not_ours:
        os.close(pipe)
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    sys.exit(work(number, beat))
