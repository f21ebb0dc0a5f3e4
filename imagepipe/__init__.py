"""imagepipe: the Images API v2 in front of durable, visible, cancellable imports.

What lives where, and which package may import which, is fixed in
doc/source/contributor/architecture.rst and held by tests/unit/test_architecture.py.
"""

import sys

from oslo_service import backend

# eventlet comes with oslo.service. Merely importing it makes TaskFlow and oslo.utils choose its
# green parts, so no process of imagepipe does.
sys.modules.setdefault('eventlet', None)
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)
