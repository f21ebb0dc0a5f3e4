"""Whether an image may be what it turned out to be: the Images API's equality rules, and safety.

Declared and found format must be equal; which findings are fatal; what is
allowed only because an operator named it. Every relief is a field of Rules
and off by default.
"""

import dataclasses
import logging

from imagepipe import errors
from imagepipe.formats.verdict import Finding, Verdict

LOG = logging.getLogger(__name__)

#: What inspection can recognise. Other disk formats hold bytes that nothing recognises.
RECOGNISED = frozenset({'raw', 'qcow2', 'vhd', 'vhdx', 'vmdk', 'vdi', 'qed', 'iso', 'gpt', 'luks'})
#: A consumer that guesses opens these by their own structure when they are declared raw (CVE-2024-40767).
SELF_DESCRIBING = frozenset({'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'qed'})
#: The relief for an ISO with a partition table that is declared raw.
HYBRID_ISO = 'hybrid-iso'
#: What allow_raw_containing may name.
RAW_MAY_CONTAIN = (*sorted(SELF_DESCRIBING), HYBRID_ISO)
#: Kernels and ramdisks: a Linux kernel ends its first sector with a boot signature and has no partitions.
NO_PARTITIONS = frozenset({'aki', 'ari'})
INSPECTED_CONTAINER = 'bare'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What [image_format] says, as values."""

    require_match: bool = True
    allow_raw_containing: tuple[str, ...] = ()
    vmdk_allowed_types: tuple[str, ...] = ('streamOptimized', 'monolithicSparse')
    gpt_nonfatal: tuple[str, ...] = ()
    #: Bytes; 0 is no limit.
    max_virtual_size: int = 0


def judge(verdict: Verdict, *, disk_format: str, container_format: str, rules: Rules) -> int | None:
    """The virtual size to record, in bytes, None when it is not known or not to be known.

    Raises FormatMismatch, FormatAmbiguous, FormatUnsafe, VirtualSizeExceeded.
    """
    if container_format != INSPECTED_CONTAINER:
        return None
    detected = _single(verdict, disk_format, rules)
    _check_raw(detected, disk_format, rules)
    matches = _matches(detected, disk_format)
    if not matches and rules.require_match:
        raise errors.FormatMismatch(declared=disk_format, detected=_content(verdict, detected))
    _check_safety(verdict, detected, disk_format, rules)
    if not matches:
        LOG.warning('Image declared as %s holds %s; accepted as configured.', disk_format, detected)
        return None
    return _virtual_size(verdict, disk_format, rules)


def _content(verdict: Verdict, detected: str) -> str:
    """What people call it: of data that is of no format, what is known besides."""
    if detected != 'raw':
        return detected
    return verdict.compression or ('raw' if verdict.size else 'empty')


def _single(verdict: Verdict, disk_format: str, rules: Rules) -> str:
    """The one format of the bytes; a hybrid ISO is one only when it is declared as one."""
    hybrid = len(verdict.formats) > 1 and verdict.format is not None
    excused = disk_format == 'iso' or (disk_format == 'raw' and HYBRID_ISO in rules.allow_raw_containing)
    if verdict.format is None or (hybrid and not excused):
        raise errors.FormatAmbiguous(formats=', '.join(verdict.formats))
    return verdict.format


def _check_raw(detected: str, disk_format: str, rules: Rules) -> None:
    """Stricter than Glance, and not relieved by require_match."""
    if disk_format == 'raw' and detected in SELF_DESCRIBING and detected not in rules.allow_raw_containing:
        raise errors.FormatMismatch(declared=disk_format, detected=detected)


def _matches(detected: str, disk_format: str) -> bool:
    if disk_format == 'raw':
        return True
    if disk_format not in RECOGNISED:
        return detected in ('raw', 'gpt')
    return detected == disk_format


def _check_safety(verdict: Verdict, detected: str, disk_format: str, rules: Rules) -> None:
    for finding in verdict.findings:
        if finding.format == detected and not _tolerated(finding, disk_format, rules):
            raise errors.FormatUnsafe(check=finding.check, reason=finding.reason)
    allowed = {type_.lower() for type_ in rules.vmdk_allowed_types}
    if detected == 'vmdk' and verdict.subformat not in allowed:
        reason = 'The create type of the vmdk image is not allowed.'
        raise errors.FormatUnsafe(check='create_type', reason=reason)


def _tolerated(finding: Finding, disk_format: str, rules: Rules) -> bool:
    if finding.format == 'gpt' and finding.check in rules.gpt_nonfatal:
        LOG.warning('Image fails the gpt safety check %s; accepted as configured.', finding.check)
        return True
    if finding.format == 'gpt' and disk_format in NO_PARTITIONS:
        return True
    return finding.format == 'qed' and disk_format == 'raw'  # came here by allow_raw_containing only


def _virtual_size(verdict: Verdict, disk_format: str, rules: Rules) -> int | None:
    if disk_format == 'raw':
        size = verdict.size or None
    elif disk_format in RECOGNISED:
        size = verdict.virtual_size
    else:
        return None
    if rules.max_virtual_size and size is not None and size > rules.max_virtual_size:
        raise errors.VirtualSizeExceeded(found=size, limit=rules.max_virtual_size)
    return size
