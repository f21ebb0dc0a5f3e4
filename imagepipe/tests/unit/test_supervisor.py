"""The supervisor of a conductor when the system has no process to give."""

import errno
import os
import threading
from multiprocessing.context import ForkProcess

import testtools

from imagepipe.jobs.supervisor import Supervisor


class NoProcessTest(testtools.TestCase):
    def test_a_worker_that_cannot_be_started_is_tried_again_and_the_others_go_on(self) -> None:
        files, start = [], ForkProcess.start
        supervisor = Supervisor(lambda _number, _beat: 0, workers=1, silence=30.0, grace=5.0)
        supervisor._pauses[0] = 0.01
        self.patch(Supervisor, '_listen_to_signals', lambda self: None)

        def scarce(process: ForkProcess) -> None:
            files.append(len(os.listdir('/proc/self/fd')))
            if len(files) < 3:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            start(process)
            supervisor.stop()

        self.patch(ForkProcess, 'start', scarce)
        runs = threading.Thread(target=supervisor.run, daemon=True)
        runs.start()
        runs.join(60)
        self.assertFalse(runs.is_alive())
        self.assertEqual([files[0]] * 3, files, 'an attempt leaves no descriptor open')
