"""The only things a tenant is told about a source that failed.

A closed vocabulary: text of exceptions, banners, bodies and addresses would
make the service a scanner of the cloud's networks (OSSN-0078).
"""

import enum


class Reason(enum.StrEnum):
    """Why a source could not be read."""

    NO_NAME = 'its name could not be resolved at the moment'
    NO_CONNECTION = 'no connection could be made'
    NO_TLS = 'the TLS handshake failed'
    CERTIFICATE = 'its certificate could not be verified'
    BROKEN = 'the connection broke'
    NO_ANSWER = 'it did not answer in time'
    IDLE = 'nothing arrived for too long'
    TOO_SLOW = 'less than the lowest allowed rate arrived'
    SERVER_ERROR = 'it answered with a server error'
    BUSY = 'it asked to come back later'
    NO_RESUME = 'the connection broke and the server cannot continue where it ended'
    NOT_HTTP = 'its answer is not valid HTTP'
    HEADERS = 'the headers of its answer are too large'
    ENCODED = 'it sent the data with a content encoding that was not asked for'
    PARTIAL = 'it answered with a part of the data only'
    WRONG_TYPE = 'it sent a document of a type that is no image, such as a web page'
    NO_LOCATION = 'it redirected without saying where to'
