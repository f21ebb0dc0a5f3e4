"""Errors of the database, and of Glance's that is taken over."""

from imagepipe.errors.base import ImagepipeError, Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or stays busy."""

    code = 'imagepipe.database.unavailable'
    template = 'The database cannot be used at the moment.'
    cure = (
        'See whether the database is up, reachable and has connections left. Try again; where a connection '
        'broke at the end of a change, look first whether it was made.'
    )


class DatabaseUnusable(ImagepipeError):
    """The database refuses a command of the operator; the sentence has the driver's words."""

    code = 'imagepipe.database.unusable'
    template = 'The database cannot be used: {reason}'
    cure = 'Act on the words of the driver: host, name, password, rights.'


class DatabaseNotSynced(ImagepipeError):
    """The database has the tables of another release, or none."""

    code = 'imagepipe.database.not_synced'
    template = (
        'The database is at revision {found}, this release needs {wanted}: run imagepipe-manage db sync.'
    )
    cure = 'Run imagepipe-manage db sync.'


class DatabaseNewer(ImagepipeError):
    """The database was synced by a newer release than the one that is asked."""

    code = 'imagepipe.database.newer'
    template = (
        'The database is at revision {found}, which this release does not know: a newer release has synced '
        'it. Use the commands of that one.'
    )
    cure = 'Use the commands of the newer release, and upgrade this host. Services that run go on.'


class GlanceDatabaseUnusable(ImagepipeError):
    """The database of Glance cannot be reached, or is not that of a release that can be read."""

    code = 'imagepipe.adoption.glance_database'
    template = "Glance's database cannot be used: {reason}"
    cure = "Check the URL and Glance's release, and give a user that may read that database."


class GlanceLocationUnreadable(ImagepipeError):
    """A location in Glance's database is encrypted, and not with the key given."""

    code = 'imagepipe.adoption.location_unreadable'
    template = 'A location of Glance is encrypted and cannot be read: is its metadata_encryption_key set?'
    cure = "Give the metadata_encryption_key of Glance's own configuration."
