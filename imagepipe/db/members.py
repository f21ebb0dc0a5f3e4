"""Members in the database. Writers hold the image (ImageRepository.hold), so that they come one by one."""

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db.schema import members
from imagepipe.domain.member import Member, MemberStatus

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class MemberRepository:
    """Reads and writes members; a member that was removed leaves nothing."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, image_id: str, project: str) -> Member:
        """A new member, pending. Raises MemberExists."""
        now = self._tx.now
        member = Member(image_id=image_id, member=project, created_at=now, updated_at=now)
        try:
            values = {**dataclasses.asdict(member), 'status': member.status.value}
            self._connection.execute(sa.insert(members).values(values))
        except db_exc.DBDuplicateEntry as error:
            raise errors.MemberExists(image_id=image_id, member=project) from error
        return member

    def get(self, image_id: str, project: str) -> Member:
        """One member. Raises MemberNotFound."""
        found = [] if '\0' in project else self.of_image(image_id, project)
        if not found:
            raise errors.MemberNotFound(image_id=image_id, member=project.replace('\0', ''))
        return found[0]

    def of_image(self, image_id: str, project: str | None = None) -> list[Member]:
        """The members of an image, the oldest first; only this project where one is named."""
        statement = sa.select(members).where(members.c.image_id == image_id)
        if project is not None:
            statement = statement.where(members.c.member == project)
        rows = self._connection.execute(statement.order_by(members.c.created_at, members.c.member))
        return [_member(row) for row in rows]

    def count(self, image_id: str) -> int:
        """How many members the image has."""
        statement = sa.select(sa.func.count()).select_from(members).where(members.c.image_id == image_id)
        return self._connection.execute(statement).scalar()

    def save(self, member: Member) -> Member:
        """Write the status of a member that is there."""
        member = dataclasses.replace(member, updated_at=self._tx.now)
        values = {'status': member.status.value, 'updated_at': member.updated_at}
        self._connection.execute(sa.update(members).where(*_row(member)).values(values))
        return member

    def delete(self, member: Member) -> None:
        """Forget a member."""
        self._connection.execute(sa.delete(members).where(*_row(member)))


def _row(member: Member) -> tuple[sa.ColumnElement[bool], ...]:
    return members.c.image_id == member.image_id, members.c.member == member.member


def _member(row: sa.Row) -> Member:
    return Member(**{**row._mapping, 'status': MemberStatus(row.status)})
