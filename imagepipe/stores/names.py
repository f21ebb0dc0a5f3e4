"""Object names; moved to domain/names.py."""

from imagepipe.domain.names import ObjectName, object_name, parse, prefix

__all__ = ['ObjectName', 'object_name', 'parse', 'prefix']
