"""OSProfiler: switched on by configuration, at no cost when it is off."""

from oslo_config import cfg
from osprofiler import initializer, opts


def setup(conf: cfg.ConfigOpts) -> str | None:
    """Initialise the driver; the HMAC key for trace points, None when tracing is off."""
    opts.set_defaults(conf)
    if not conf.profiler.enabled:
        return None
    initializer.init_from_conf(
        conf=conf, context={}, project='imagepipe', service='imagepipe', host=conf.get('host', 'localhost')
    )
    return conf.profiler.hmac_keys.split(',')[0]
