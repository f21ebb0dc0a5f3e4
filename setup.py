"""The build is pbr's; everything it needs to know stands in setup.cfg."""

import setuptools

setuptools.setup(setup_requires=['pbr>=6.1.1'], pbr=True)
