"""Every error imagepipe can answer with: code, HTTP status, sentence; one module for each noun.

An error is declared once. Whoever raises it gives facts; the sentence is made
here, HTTP is made of it in api/rendering.py, and the documentation page of
error codes is generated from REGISTRY. A code, once released, never changes;
its second part says which module has it.

The sentences are shown to tenants: no paths of the host, no addresses behind
a refused URL, no secrets.
"""

from imagepipe.errors.base import *
from imagepipe.errors.cache import *
from imagepipe.errors.conductors import *
from imagepipe.errors.configuration import *
from imagepipe.errors.data import *
from imagepipe.errors.database import *
from imagepipe.errors.formats import *
from imagepipe.errors.identity import *
from imagepipe.errors.images import *
from imagepipe.errors.imports import *
from imagepipe.errors.locations import *
from imagepipe.errors.members import *
from imagepipe.errors.metadefs import *
from imagepipe.errors.quota import *
from imagepipe.errors.request import *
from imagepipe.errors.signatures import *
from imagepipe.errors.sources import *
from imagepipe.errors.stores import *
from imagepipe.errors.transfers import *
