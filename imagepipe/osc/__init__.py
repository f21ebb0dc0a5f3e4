"""A plugin of python-openstackclient: `openstack image import list`, `show`, `watch`, `cancel`, `retry`.

It runs on users' machines, inside the client: of ours it may import only what shows an import to
people, and of others only what the client brings. It is the extra `openstackclient` of setup.cfg.
"""
