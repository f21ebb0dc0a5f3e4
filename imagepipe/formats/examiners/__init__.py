"""One module per disk image format: what oslo.utils' inspectors leave unchecked.

An examiner is pure: `wants(seen)` names the windows of the stream it needs
beside head and tail, `examine(seen)` says what it found, or None when the
bytes are not of its format. It may not raise on any bytes, nor loop over
anything whose length the bytes decide without a bound.
"""

from imagepipe.formats.examiners import luks, qcow2, qed, vdi, vhd, vhdx, vmdk
from imagepipe.formats.examiners.examination import Examination, Examiner

ALL: tuple[Examiner, ...] = (
    qcow2.Qcow2(),
    vmdk.Vmdk(),
    vhd.Vhd(),
    vhdx.Vhdx(),
    vdi.Vdi(),
    qed.Qed(),
    luks.Luks(),
)

__all__ = ['ALL', 'Examination', 'Examiner']
