"""imagepipe: the Images API v2 in front of durable, visible, cancellable imports.

What lives where, and which package may import which, is fixed in
doc/source/contributor/architecture.rst and held by tests/unit/test_architecture.py.
"""

import sys

# Some dependency may have installed eventlet. Merely importing it makes TaskFlow and oslo.utils
# choose its green parts; no process of imagepipe does.
sys.modules.setdefault('eventlet', None)
