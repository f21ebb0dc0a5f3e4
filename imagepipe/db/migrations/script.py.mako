"""${message}"""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Bytes, Counter, Document, LongText, Moment, Seconds, Uuid

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Expand: safe under the code of the release before."""
    ${upgrades if upgrades else "pass"}
