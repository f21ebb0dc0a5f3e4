"""The parameters of calls, as the OpenAPI document tells them."""

from imagepipe.api.description import TEXT, WHOLE, Parameter
from imagepipe.domain import listing, metadef_listing, task
from imagepipe.domain.image import Visibility
from imagepipe.domain.import_ import ImportState

STORE = Parameter(name='X-Image-Meta-Store', where='header', description='The store that takes the data.')
SIZE = Parameter(
    name='x-openstack-image-size',
    where='header',
    description='How many bytes the data has, where the request is sent in chunks.',
    schema=WHOLE,
)
RANGE = Parameter(name='Range', where='header', description='One range of bytes, as bytes=0-511.')
PREFER = Parameter(name='prefer', description='Stores to try first, separated by commas.')

CLEAR_TARGET = Parameter(
    name='x-image-cache-clear-target',
    where='header',
    description='What is emptied, in any case of letters: cache, queue, or both where it is not sent.',
)

LIMIT = Parameter(name='limit', description='The size of the page; cut to api_limit_max.', schema=WHOLE)
MARKER = Parameter(name='marker', description='The id of the last row of the page before.')

_COMPARED = 'A value, eq:VALUE, or in:VALUE,VALUE; double quotes protect commas.'
_MOMENT = 'An ISO 8601 time, with gt:, gte:, lt:, lte:, eq: or neq: before it.'

#: A list of images; any other name filters by a custom property.
IMAGES = (
    LIMIT,
    MARKER,
    Parameter(name='sort', description='KEY[:DIRECTION], several separated by commas; desc by default.'),
    Parameter(
        name='sort_key', description='A key to sort by.', schema={'enum': [*listing.SORT_KEYS]}, repeated=True
    ),
    Parameter(
        name='sort_dir', description='Its direction.', schema={'enum': [*listing.SORT_DIRS]}, repeated=True
    ),
    *(Parameter(name=name, description=_COMPARED) for name in listing.LISTS),
    *(Parameter(name=name, description=_MOMENT) for name in listing.TIMES),
    *(Parameter(name=name, description='Exactly this number.', schema=WHOLE) for name in listing.NUMBERS),
    *(Parameter(name=name, description='A bound.', schema={'type': 'integer'}) for name in listing.RANGES),
    *(Parameter(name=name, description='Exactly this text.') for name in listing.EXACT),
    Parameter(name='tag', description='A tag that the image has.', repeated=True),
    Parameter(
        name='visibility',
        description='Only images of this visibility; all includes community images of others.',
        schema={'enum': [*(item.value for item in Visibility), listing.ALL]},
    ),
    Parameter(
        name='member_status',
        description='Which of the images that others share; accepted by default.',
        schema={'enum': [*listing.MEMBER_STATUSES]},
    ),
    Parameter(name='protected', description='Protected or not.', schema={'enum': ['true', 'false']}),
    Parameter(name='os_hidden', description='Hidden ones instead.', schema={'enum': ['true', 'false']}),
)

TASKS = (
    LIMIT,
    MARKER,
    Parameter(name='sort_key', description='The key to sort by.', schema={'enum': [*task.SORT_KEYS]}),
    Parameter(name='sort_dir', description='Its direction.', schema={'enum': [*listing.SORT_DIRS]}),
    Parameter(name='status', description='The status of the task.', schema={'enum': [*task.STATUSES]}),
    Parameter(name='type', description='The type of the task.', schema={'enum': [*task.TYPES]}),
    Parameter(name='owner', description='The project.'),
)

IMPORTS_OF_IMAGE = (LIMIT, MARKER)
IMPORTS = (
    LIMIT,
    MARKER,
    Parameter(
        name='state',
        description='The state of the import.',
        schema={'enum': [state.value for state in ImportState]},
    ),
    Parameter(name='image_id', description='The image that was imported.', schema=TEXT),
    Parameter(name='method', description='The import method.'),
    Parameter(name='owner', description='The project, for administrators.'),
)

RESOURCE_TYPE = Parameter(
    name='resource_type', description='A resource type: names of properties have its prefix.'
)
_MARKED_BY_NAME = Parameter(name='marker', description='The name of the last row of the page before.')
_SORT_DIR = Parameter(
    name='sort_dir', description='The direction; desc by default.', schema={'enum': [*listing.SORT_DIRS]}
)
METADEF_NAMESPACES = (
    LIMIT,
    _MARKED_BY_NAME,
    Parameter(
        name='sort_key',
        description='A key to sort by; created_at by default.',
        schema={'enum': [*metadef_listing.NAMESPACE_SORT_KEYS]},
    ),
    _SORT_DIR,
    Parameter(
        name='visibility',
        description='Only namespaces of this visibility.',
        schema={'enum': [*metadef_listing.VISIBILITIES]},
    ),
    Parameter(name='resource_types', description='Associated with any of these, separated by commas.'),
)
METADEF_TAGS = (
    LIMIT,
    _MARKED_BY_NAME,
    Parameter(
        name='sort_key',
        description='A key to sort by; created_at by default.',
        schema={'enum': [*metadef_listing.TAG_SORT_KEYS]},
    ),
    _SORT_DIR,
)
APPEND = Parameter(
    name='X-Openstack-Append', where='header', description='true adds the tags to those that are there.'
)
