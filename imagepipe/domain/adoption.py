"""Taking over the images of a Glance: what its database says of one, and what becomes of it here."""

import collections
import dataclasses
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping

from imagepipe.domain.image import WITH_DATA, Image, Status
from imagepipe.domain.metadefs import Definition, Item, Namespace
from imagepipe.domain.properties import RESERVED_PREFIX

#: What Glance has begun there and cannot be gone on with here: such an image waits for its data again.
UNFINISHED = frozenset({Status.SAVING, Status.UPLOADING, Status.IMPORTING})


#: What of a namespace and its contents says nothing about them.
_UNTOLD = frozenset({'id', 'created_at', 'updated_at'})


class Outcome(enum.StrEnum):
    """What becomes of an image, in the words of the report."""

    NEW = 'new'
    CHANGED = 'changed there'
    UNCHANGED = 'unchanged'
    REMOVED = 'deleted there'
    TOMBSTONE = 'deleted id, kept from reuse'
    CREATED_HERE = 'left alone: created here'
    CHANGED_HERE = 'left alone: changed here'
    DELETED_HERE = 'left alone: deleted here'


#: Those that a run writes.
WRITTEN = frozenset({Outcome.NEW, Outcome.CHANGED, Outcome.REMOVED, Outcome.TOMBSTONE})
#: Those in which this service does not agree with Glance afterwards.
DIFFERENT = frozenset({Outcome.CREATED_HERE, Outcome.CHANGED_HERE, Outcome.DELETED_HERE})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """A member of an image."""

    member: str
    status: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A location; store is None where Glance has only the URL."""

    url: str
    store: str | None
    metadata: Mapping[str, object]
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlanceImage:
    """One image of Glance, as its database has it; deleted_at is set for one that is deleted."""

    image: Image
    deleted_at: datetime.datetime | None
    members: tuple[Share, ...] = ()
    places: tuple[Place, ...] = ()

    def here(self, stores: Mapping[str, str], kinds: Mapping[str, str]) -> 'GlanceImage':
        """As it will be here: a status that stands, and the stores by the names that they have here.

        stores: our ids by Glance's ids, or by URL schemes. kinds: our ids by scheme, for locations
        that say no store.
        """
        image = self.image
        if image.status in UNFINISHED:
            image = dataclasses.replace(image.without_data(), status=Status.QUEUED)
        custom = {
            name: value for name, value in image.properties.items() if not name.startswith(RESERVED_PREFIX)
        }
        places = tuple(_placed(place, stores, kinds) for place in self.places)
        return dataclasses.replace(
            self,
            image=dataclasses.replace(image, properties=custom),
            places=places if image.status in WITH_DATA else (),
        )

    @property
    def digest(self) -> str:
        """Of all that is said of it: equal if nothing has changed."""
        told = dataclasses.asdict(self)
        told['image']['tags'] = sorted(self.image.tags)
        del told['image']['condemned']  # Glance does not say it
        return _digest(told)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlanceNamespace:
    """A namespace of metadata definitions; Glance does not remember those that it has deleted."""

    definition: Definition
    deleted_at: None = None

    @property
    def digest(self) -> str:
        """Of the namespace and what it holds, whatever its id, times and order."""
        told = [_named(self.definition.namespace)]
        for kind in dataclasses.fields(self.definition.contents):
            items = getattr(self.definition.contents, kind.name)
            told.append([kind.name, *sorted((_named(item) for item in items), key=lambda each: each['name'])])
        return _digest(told)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """What this service knows of an id.

    version: what tells whether it was changed here, None where it is not here; adopted: that, when it
    was taken over; digest: of what it was there then. buried: it was here and was deleted.
    """

    version: object = None
    buried: bool = False
    digest: str | None = None
    adopted: object = None


def outcome(known: Known, found: 'GlanceImage | GlanceNamespace | None') -> Outcome:
    """What becomes of something of Glance (None: it is not there any more)."""
    here = known.version is not None
    gone = found is None or found.deleted_at is not None
    if not here:
        if gone:
            return Outcome.UNCHANGED if known.buried or found is None else Outcome.TOMBSTONE
        return Outcome.DELETED_HERE if known.buried else Outcome.NEW
    if known.digest is None:
        return Outcome.CREATED_HERE
    if not gone and found.digest == known.digest:
        return Outcome.UNCHANGED
    if known.version != known.adopted:
        return Outcome.CHANGED_HERE
    return Outcome.REMOVED if gone else Outcome.CHANGED


@dataclasses.dataclass
class Report:
    """What a run has done, or would do."""

    outcomes: collections.Counter[Outcome] = dataclasses.field(default_factory=collections.Counter)
    #: Images by the status that Glance has them in and that does not stand here.
    statuses: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    #: Locations by a store that is not configured here.
    stores: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    #: Namespaces of metadata definitions.
    namespaces: collections.Counter[Outcome] = dataclasses.field(default_factory=collections.Counter)
    #: Ids of the images, and names of the namespaces, that were left alone, with the reason.
    left: dict[str, Outcome] = dataclasses.field(default_factory=dict)

    def note(self, image_id: str, what: Outcome) -> None:
        """Count one image."""
        self.outcomes[what] += 1
        if what in DIFFERENT:
            self.left[image_id] = what

    def note_namespace(self, name: str, what: Outcome) -> None:
        """Count one namespace."""
        self.namespaces[what] += 1
        if what in DIFFERENT:
            self.left[f'namespace {name}'] = what

    @property
    def complete(self) -> bool:
        """Whether everything of Glance can be read here."""
        return not self.left and not self.stores


def _digest(told: object) -> str:
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()


def _named(item: Namespace | Item) -> dict[str, object]:
    """Its fields; nothing is told alike however it is spelled."""
    fields = {name: value for name, value in dataclasses.asdict(item).items() if name not in _UNTOLD}
    return {name: value for name, value in fields.items() if value not in (None, (), {}, [], False)}


def _placed(place: Place, stores: Mapping[str, str], kinds: Mapping[str, str]) -> Place:
    scheme = place.url.partition('://')[0]
    told = place.store
    store = stores.get(told or scheme) or told or kinds.get(scheme, scheme)
    metadata = {**place.metadata, 'store': store} if told is not None else place.metadata
    return dataclasses.replace(place, store=store, metadata=metadata)
