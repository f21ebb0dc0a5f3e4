"""Errors of what the bytes are: inspection, decompression, conversion."""

from imagepipe.errors.base import ImagepipeError, TooLarge, Unsupported


class FormatMismatch(Unsupported):
    """The content is not of the declared disk_format."""

    code = 'imagepipe.format.mismatch'
    template = "The image is declared as '{declared}' but its content is '{detected}'."
    cure = (
        'Set disk_format to what the content is while the image is queued, or import the file that was meant.'
    )


class FormatAmbiguous(Unsupported):
    """The content is of several formats at once."""

    code = 'imagepipe.format.ambiguous'
    template = 'The content of the image is of several formats at once: {formats}.'
    cure = 'Make a plain disk of it with qemu-img convert, and import that.'


class FormatUnsafe(Unsupported):
    """The content fails a safety check."""

    code = 'imagepipe.format.unsafe'
    template = 'The image fails the safety check {check}: {reason}'
    cure = 'Make a plain disk of it with qemu-img convert, without a backing file or external data.'


class VirtualSizeExceeded(TooLarge):
    """The virtual disk is larger than allowed."""

    code = 'imagepipe.format.virtual_size_exceeded'
    template = 'The virtual disk has {found} bytes, {limit} are allowed.'
    cure = 'Shrink the virtual disk, or have [image_format] max_virtual_size raised.'


class DecompressionFailed(Unsupported):
    """The compressed data cannot be unpacked."""

    code = 'imagepipe.format.decompression_failed'
    template = 'The compressed image could not be unpacked: {reason}'
    cure = 'Unpack the file yourself to see whether it is whole, and import what comes of it.'


class DecompressionBomb(TooLarge):
    """The data unpacks to more than is allowed."""

    code = 'imagepipe.format.decompression_bomb'
    template = 'The compressed image unpacks to more than the allowed {limit}.'
    cure = (
        'Unpack the file and look at it; [conversion] max_decompression_ratio and image_size_cap are the '
        'bounds.'
    )


class ConversionFailed(ImagepipeError):
    """qemu-img could not convert the image."""

    code = 'imagepipe.conversion.failed'
    template = 'The image could not be converted from {source} to {target}.'
    cure = (
        'Run qemu-img check over the disk. If it is sound, the log of the conductor has what qemu-img said.'
    )


class ConversionNotPossible(Unsupported):
    """The format can be stored, not converted."""

    code = 'imagepipe.conversion.not_possible'
    template = "An image of format '{source}' cannot be converted to '{target}'."
    cure = 'Convert the image yourself, or import it into a store that keeps the format it is given.'


class ConversionEncrypted(Unsupported):
    """The disk is encrypted, and its passphrase is not ours."""

    code = 'imagepipe.conversion.encrypted'
    template = 'The image is encrypted; only a disk without encryption can be converted here.'
    cure = (
        'Decrypt the disk with qemu-img convert, or import it into a store that keeps the format it is given.'
    )


class ConversionTimeout(ImagepipeError):
    """qemu-img took longer than [conversion] timeout."""

    code = 'imagepipe.conversion.timeout'
    template = 'The conversion took longer than the allowed {limit} seconds.'
    cure = 'Raise [conversion] timeout, or convert the image before the import.'


class ConversionLimit(ImagepipeError):
    """qemu-img hit its limit of memory, CPU time or file size."""

    code = 'imagepipe.conversion.limit'
    template = 'The conversion of the image needs more resources than are allowed.'
    cure = (
        'Raise the limits of [conversion] if the image is one that should pass, or convert it before the '
        'import.'
    )


class ConverterMissing(ImagepipeError):
    """qemu-img, or the sandbox it must run in, is not on the host."""

    code = 'imagepipe.conversion.converter_missing'
    transient = True
    template = 'The service has no usable converter on this host: {reason}'
    cure = (
        'Install qemu-utils and bubblewrap on every host of a conductor; imagepipe-status upgrade check '
        'looks for them.'
    )


class ConversionNoSpace(TooLarge):
    """The staging area cannot hold the converted image."""

    code = 'imagepipe.conversion.no_space'
    template = 'The staging area has no room for the converted image.'
    cure = (
        'Make room in the staging area, or raise [staging] capacity; imagepipe-manage staging list shows '
        'what fills it.'
    )
